/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <image/image.h>

/** The copy of dirty bitmaps after a conversion. */
typedef struct {
    const char *source; /**< path */
    const CstImageFormat *source_format;
    const char *target; /**< path */
    const CstImageFormat *target_format;
    gboolean skip_broken; /**< leave out inconsistent bitmaps with a warning */
} CliQemuBitmapCopy;

/**
 * Checks before the conversion that all bitmaps of the source can be copied. Return: FALSE after a
 * message.
 */
gboolean cli_qemu_bitmaps_check(const CliQemuBitmapCopy *copy);
/** Copies the bitmaps into the target. Return: FALSE after a message. */
gboolean cli_qemu_bitmaps_copy(const CliQemuBitmapCopy *copy);
