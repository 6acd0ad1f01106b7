/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a pool, pool state or source document: what is accepted prints as a document that is
 * accepted and prints the same again. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include <model/pool_def.h>

#include "fuzz.h"

static void print_again(const CstPoolDef *def)
{
    g_autoptr(CstPoolDef) copy = cst_pool_def_copy(def);
    g_autoptr(CstPoolDef) again = NULL;
    g_autofree char *first = cst_pool_def_format(copy, NULL);
    g_autofree char *second = NULL;

    if (!first)
        abort();
    again = cst_pool_def_parse(first, CST_PARSE_LIVE, NULL);
    second = again ? cst_pool_def_format(again, NULL) : NULL;
    if (g_strcmp0(first, second) != 0)
        abort();
    cst_pool_def_same_source(def, again);
}

static void try_sources(const char *text)
{
    for (int type = 0; type < CST_POOL_TYPE_LAST; type++) {
        CstPoolSource source;
        g_autofree char *printed = NULL;

        if (!cst_pool_source_parse(text, type, &source, NULL))
            continue;
        printed = cst_pool_source_format(&source, type, NULL);
        cst_pool_source_clear(&source);
        if (!printed)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(text, CST_PARSE_LIVE, &error);
    g_autoptr(CstPoolDef) state = NULL;

    if (!def != (error != NULL))
        abort();
    if (def)
        print_again(def);
    state = cst_pool_state_parse(text, NULL);
    if (state)
        print_again(state);
    try_sources(text);
    return 0;
}
