/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backup commands in the order of `help`. */
#include "backup.h"

#include "commands/commands.h"

const CliCommand *const cli_backup_commands[] = {
    &cli_backup_init_command,
    &cli_backup_create_command,
    &cli_backup_list_command,
    &cli_backup_info_command,
    &cli_backup_restore_command,
    &cli_backup_mount_command,
    &cli_backup_check_command,
    &cli_backup_prove_command,
    &cli_backup_forget_command,
    &cli_backup_prune_command,
    &cli_backup_repair_command,
    &cli_backup_unlock_command,
    NULL,
};
