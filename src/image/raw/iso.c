/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CD and DVD images (ECMA-119 8.1.2): raw images with a mark in sector 16, beyond the head of
 * CST_IMAGE_PROBE_LEN bytes. They are read and written like raw images. A new one is a raw image
 * that is declared to be a medium. Therefore this format has no create callback, and a missing mark
 * is no damage.
 */
#include "raw.h"

#define ISO_MARK_AT 32769

static int iso_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= ISO_MARK_AT + 5 && memcmp(head + ISO_MARK_AT, "CD001", 5) == 0 ? 60 : 0;
}

static void iso_inspect(CstInspection *inspection)
{
    inspection->info->capacity = inspection->size;
}

const CstImageFormat cst_format_iso = {
    .name = "iso",
    .probe = iso_probe,
    .inspect = iso_inspect,
    .is_plain = TRUE,
    .open = cst_raw_open,
    .close = cst_raw_close,
    .flush = cst_raw_flush,
    .resize = cst_raw_resize,
};
