/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The report of a secret's value and its users. */
#include <model/secret_use.h>

CstSecretUse *cst_secret_use_new(void)
{
    CstSecretUse *use = g_new0(CstSecretUse, 1);

    use->pools = g_ptr_array_new_with_free_func(g_free);
    use->volumes = g_ptr_array_new_with_free_func(g_free);
    return use;
}

void cst_secret_use_free(CstSecretUse *use)
{
    if (!use)
        return;
    g_free(use->usage_id);
    g_free(use->key_id);
    g_free(use->problem);
    g_ptr_array_unref(use->pools);
    g_ptr_array_unref(use->volumes);
    g_free(use);
}
