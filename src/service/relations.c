/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "volume_plan.h"

/* Who has a volume open, and what is based on it. */

#define NAMED_AT_MOST 8 /* in a message */

gboolean volume_not_held(const VolumeClaim *claim, GError **error)
{
    g_autoptr(GPtrArray) holders = cst_pool_state_vol_holders(claim->state, claim->name, error);
    g_autoptr(GString) text = NULL;

    if (!holders)
        return FALSE;
    if (holders->len == 0)
        return TRUE;
    text = g_string_new(NULL);
    for (guint i = 0; i < holders->len; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                               ((const CstHolder *)g_ptr_array_index(holders, i))->what);
    return cst_fail(error, CST_ERROR_BUSY, _("volume '%s' is in use: %s"), claim->name, text->str);
}

/* --- children -----------------------------------------------------------------------------------
 */

/* Images live in pools of files: those are looked through where nobody has yet. */
static gboolean add_overlays(CstService *service, const char *path, GPtrArray *children,
                             GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(service, CST_LIST_POOLS_ACTIVE, error);

    if (!pools)
        return FALSE;
    for (guint i = 0; i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);

        if (state && cst_pool_state_holds_images(state) && pool_table_ensure(pool, state, NULL))
            pool_table_overlays(pool, path, children);
    }
    return TRUE;
}

GPtrArray *volume_children(const VolumeClaim *claim, GError **error)
{
    g_autofree char *path = cst_pool_state_vol_path(claim->state, claim->name);
    g_autoptr(GPtrArray) children = cst_pool_state_vol_children(claim->state, claim->name, error);

    if (!children || !add_overlays(claim->pool->service, path, children, error))
        return NULL;
    return g_steal_pointer(&children);
}

gboolean volume_not_needed(const VolumeClaim *claim, GError **error)
{
    g_autoptr(GPtrArray) children = volume_children(claim, error);
    g_autoptr(GString) text = NULL;

    if (!children)
        return FALSE;
    if (children->len == 0)
        return TRUE;
    text = g_string_new(NULL);
    for (guint i = 0; i < children->len && i < NAMED_AT_MOST; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                               (const char *)g_ptr_array_index(children, i));
    if (children->len > NAMED_AT_MOST)
        g_string_append_printf(text, _(" and %u more"), children->len - NAMED_AT_MOST);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' is what others are based on: %s; delete them or make them "
                      "independent (vol-flatten) first"),
                    claim->name, text->str);
}
