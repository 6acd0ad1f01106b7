/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a secret document: what is accepted prints as a document that is accepted and prints
 * the same again. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include <model/secret_def.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstSecretDef) def = cst_secret_def_parse(text, 0, &error);
    g_autoptr(CstSecretDef) copy = NULL;
    g_autoptr(CstSecretDef) again = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    if (!def != (error != NULL))
        abort();
    if (!def)
        return 0;
    copy = cst_secret_def_copy(def);
    first = cst_secret_def_format(copy);
    again = cst_secret_def_parse(first, 0, NULL);
    second = again ? cst_secret_def_format(again) : NULL;
    if (g_strcmp0(first, second) != 0)
        abort();
    return 0;
}
