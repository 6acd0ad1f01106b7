/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The health of a pool's storage, as its technology reports it. */
#include <model/pool_health.h>

void cst_pool_health_note(CstPoolHealth *health, const char *note)
{
    if (!health->notes)
        health->notes = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(health->notes, g_strdup(note));
}

void cst_pool_health_clear(CstPoolHealth *health)
{
    g_free(health->state);
    g_clear_pointer(&health->notes, g_ptr_array_unref);
    *health = (CstPoolHealth){0};
}
