/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** An image that a command line names by a path, by --image-opts or by "json:{…}". */
typedef struct {
    const char *name;   /**< as it was given, for messages; borrowed */
    char *path;         /**< of the local file */
    char *format;       /**< given format; NULL: it is detected */
    gboolean read_only; /**< by the option "read-only": a command must not change the image */
    /** External data files that may be opened: one that was named, and those that lie next to the
     * images. NULL until there is one. */
    GPtrArray *data_files;
} CliQemuFile;

void cli_qemu_file_clear(CliQemuFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliQemuFile, cli_qemu_file_clear)

/** Adds the path of a data file that may be opened. */
void cli_qemu_file_add_data(CliQemuFile *file, const char *path);

/**
 * Parses the options of a block device, as "driver=qcow2,file.filename=PATH" (@image_opts) or
 * "json:{…}", into *ret_file. Supports formats on local files, and an external data file. Return:
 * FALSE after a message.
 */
gboolean cli_qemu_spec_parse(const char *text, gboolean image_opts, CliQemuFile *ret_file);
