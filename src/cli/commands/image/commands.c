/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands for image files in the order of `help`. Names and letters of their options are
 * qemu-img's.
 */
#include "image.h"

#include <base/i18n.h>

#include "commands/commands.h"

const CliCommand *const cli_image_commands[] = {
    &cli_image_info_command,     &cli_image_create_command,   &cli_image_convert_command,
    &cli_image_check_command,    &cli_image_compare_command,  &cli_image_map_command,
    &cli_image_measure_command,  &cli_image_resize_command,   &cli_image_amend_command,
    &cli_image_snapshot_command, &cli_image_commit_command,   &cli_image_rebase_command,
    &cli_image_flatten_command,  &cli_image_sparsify_command, &cli_image_bitmap_command,
    &cli_image_dd_command,       &cli_image_bench_command,    NULL,
};
