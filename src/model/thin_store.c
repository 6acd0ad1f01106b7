/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stores of thin volumes, as listed. */
#include <model/thin_store.h>

void cst_thin_store_free(CstThinStore *store)
{
    if (!store)
        return;
    g_free(store->name);
    g_free(store);
}
