/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>
#include <image/image.h>

#include "line.h"
#include "spec.h"

/** Returns the path in @name, without "file:" before it; borrowed from @name. */
const char *cli_qemu_path(const char *name);

/**
 * Parses @name. @format is the value of -f or NULL. With @image_opts, @name is a list of options.
 * Only local files are supported. Return: FALSE after a message. Clear *ret_file in any case.
 */
gboolean cli_qemu_file_parse(const char *name, const char *format, gboolean image_opts,
                             CliQemuFile *ret_file);

typedef enum {
    CLI_QEMU_WRITE = 1 << 0,   /**< the command will change the image */
    CLI_QEMU_SHARE = 1 << 1,   /**< -U: other programs may write to it */
    CLI_QEMU_BACKING = 1 << 2, /**< the command opens the backing files, too */
    CLI_QEMU_BROKEN = 1 << 3   /**< the image may be damaged or unsupported */
} CliQemuCheckFlags;

/**
 * Returns why the image cannot be opened, as qemu-img says it; NULL: it can be opened. A second
 * line is a hint. The parameters are those of cli_qemu_file_check(). g_free() it.
 */
char *cli_qemu_file_problem(CliQemuFile *file, unsigned flags, const CstImageFormat **ret_format);
/**
 * Checks that the image can be opened, so that a failure has qemu-img's message. The command checks
 * again when it opens the image. @flags are CliQemuCheckFlags. *ret_format (may be NULL) is the
 * format. Adds data files next to the images to file->data_files. Return: FALSE after a message.
 */
gboolean cli_qemu_file_check(CliQemuFile *file, unsigned flags, const CstImageFormat **ret_format);
