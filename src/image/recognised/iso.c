/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/i18n.h>

#include "format.h"

/* A CD or DVD image (ECMA-119 8.1.2): raw, with a mark in sector 16 that the head does not
 * reach. */
#define ISO_MARK_AT 32769

static int iso_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= ISO_MARK_AT + 5 && memcmp(head + ISO_MARK_AT, "CD001", 5) == 0 ? 60 : 0;
}

static void iso_inspect(CstImageLook *look)
{
    look->info->capacity = look->size;
    if (!cst_look_is_iso(look) && !look->error)
        cst_look_problem(look, _("this is no ISO 9660 image"));
}

const CstImageFormat cst_format_iso = {
    .name = "iso",
    .probe = iso_probe,
    .inspect = iso_inspect,
    .instead = N_("the medium is what the file holds; open it as raw"),
};
