/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

#include "ctl.h"

/**
 * What the commands over image files share. These files alone of the command line use the image
 * engine; they work on paths and need no connection.
 */

/** Opens a file or block device named on the command line; its path is the blob's name. */
CstBlob *cli_image_blob(const char *path, gboolean writable, GError **error);

/**
 * The format called @name; NULL: a guess from the content, which is said on stderr where it is raw,
 * because the guest of a raw image can make it look like anything.
 */
const CstImageFormat *cli_image_format(CliCtl *ctl, CstBlob *blob, const char *name,
                                       GError **error);

/**
 * What an image of several files may open: plain files of its own directory. With @follow the
 * backing files as well, by the names that the images have.
 */
CstChainFiles cli_image_files(gboolean follow);

/** The path that @name means in the image at @owner; NULL when it is no file. */
char *cli_image_named_path(const char *owner, const char *name);

/** Value of a format option; *ret_format is NULL when it was not given. */
gboolean cli_image_format_arg(const CliArgs *args, const char *option,
                              const CstImageFormat **ret_format, GError **error);

/** "1.5 GiB" as qemu-img has it; with --bytes digits. */
char *cli_image_size_text(const CliCtl *ctl, uint64_t bytes);

/** Names of formats, for completion. */
void cli_complete_image_formats(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** Snapshots inside an image (CstImageSnapshot), as a table or as qemu-img's "snapshots". */
void cli_image_print_snapshots(CliCtl *ctl, const GPtrArray *snapshots);
void cli_image_add_snapshots(JsonBuilder *json, const GPtrArray *snapshots);

gboolean cli_cmd_image_info(CliCtl *ctl, const CliArgs *args, GError **error);
