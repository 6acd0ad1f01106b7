/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convert --bitmaps: copies the dirty bitmaps of the source into the target, after its content. An
 * inconsistent bitmap fails the command before the conversion, or is left out. The data files of
 * both images stay closed.
 */
#include "bitmaps.h"

#include <stdio.h>

#include <image/bitmap.h>
#include <image/hold.h>

#include "formats.h"
#include "message.h"

/* Return: the bitmaps of the source; NULL after a message. *ret_image is the open source. */
static GPtrArray *read_bitmaps(const CliQemuBitmapCopy *copy, CstImage **ret_image)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstBlob) blob = cst_blob_file_open(copy->source, FALSE, &why);
    GPtrArray *bitmaps = NULL;

    *ret_image =
        blob ? cst_image_open(blob, copy->source_format, CST_IMAGE_NO_DATA, NULL, &why) : NULL;
    if (*ret_image)
        bitmaps = cst_image_bitmap_list(*ret_image, &why);
    if (!bitmaps)
        cli_qemu_fail("Failed to read bitmaps", why);
    return bitmaps;
}

gboolean cli_qemu_bitmaps_check(const CliQemuBitmapCopy *copy)
{
    g_autoptr(CstImage) image = NULL;
    g_autoptr(GPtrArray) bitmaps = NULL;

    if (!(cli_qemu_traits(copy->source_format) & CLI_QEMU_BITMAPS))
        return cli_qemu_error("Source lacks bitmap support");
    if (!(cli_qemu_traits(copy->target_format) & CLI_QEMU_BITMAPS))
        return cli_qemu_error("Format driver '%s' does not support bitmaps",
                              cst_image_format_name(copy->target_format));
    bitmaps = read_bitmaps(copy, &image);
    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const CstImageBitmap *bitmap = g_ptr_array_index(bitmaps, i);

        if (!bitmap->inconsistent || copy->skip_broken)
            continue;
        cli_qemu_error("Cannot copy inconsistent bitmap '%s'", bitmap->name);
        cli_qemu_hint("Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it");
        return FALSE;
    }
    return bitmaps != NULL;
}

static gboolean copy_bitmap(CstImage *from, const CstImageBitmap *bitmap, CstImage *to)
{
    g_autoptr(GError) why = NULL;

    return (cst_image_bitmap_add(to, bitmap->name, bitmap->granularity, bitmap->enabled, &why) &&
            cst_image_bitmap_merge(to, bitmap->name, from, bitmap->name, &why)) ||
           cli_qemu_error("Failed to copy bitmap '%s': %s", bitmap->name, why->message);
}

gboolean cli_qemu_bitmaps_copy(const CliQemuBitmapCopy *copy)
{
    g_autoptr(CstImage) from = NULL;
    g_autoptr(GPtrArray) bitmaps = read_bitmaps(copy, &from);
    g_autoptr(GError) why = NULL;
    g_autoptr(CstBlob) blob = bitmaps ? cst_image_open_unused(copy->target, &why) : NULL;
    g_autoptr(CstImage) to = NULL;

    if (!bitmaps)
        return FALSE;
    if (blob)
        to = cst_image_open(blob, copy->target_format, CST_IMAGE_WRITE | CST_IMAGE_NO_DATA, NULL,
                            &why);
    if (!to)
        return cli_qemu_error("Could not open '%s': %s", copy->target, why->message);
    for (guint i = 0; i < bitmaps->len; i++) {
        const CstImageBitmap *bitmap = g_ptr_array_index(bitmaps, i);

        if (bitmap->inconsistent)
            cli_qemu_warn("Skipping inconsistent bitmap '%s'", bitmap->name);
        else if (!copy_bitmap(from, bitmap, to))
            return FALSE;
    }
    return cst_image_flush(to, &why) || cli_qemu_fail(copy->target, why);
}
