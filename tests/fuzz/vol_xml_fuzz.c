/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a volume document, for every pool type: what is accepted prints as a document that
 * is accepted and prints the same again. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include <model/vol_def.h>

#include "fuzz.h"

static void try_type(const char *text, CstPoolType type, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstVolDef) def = cst_vol_def_parse(text, type, flags, &error);
    g_autoptr(CstVolDef) copy = NULL;
    g_autoptr(CstVolDef) again = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    if (!def != (error != NULL))
        abort();
    if (!def)
        return;
    copy = cst_vol_def_copy(def);
    first = cst_vol_def_format(copy, type, NULL);
    if (!first)
        abort();
    again = cst_vol_def_parse(first, type, flags, NULL);
    second = again ? cst_vol_def_format(again, type, NULL) : NULL;
    if (g_strcmp0(first, second) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);

    for (int type = 0; type < CST_POOL_TYPE_LAST; type++)
        try_type(text, type, CST_VOL_PARSE_OPT_CAPACITY);
    try_type(text, CST_POOL_LOGICAL, CST_VOL_PARSE_LIVE);
    try_type(text, CST_POOL_DIR, CST_VOL_PARSE_LIVE | CST_VOL_PARSE_NO_CAPACITY);
    return 0;
}
