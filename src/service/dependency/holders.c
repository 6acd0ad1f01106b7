/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries about the holders of one volume, or of many volumes in one call. No volume is claimed: an
 * answer is valid for one point in time.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <service/images.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/table.h"

static GPtrArray *vol_holders_new(const GPtrArray *found)
{
    GPtrArray *holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_holder_free);

    for (guint i = 0; i < found->len; i++) {
        const CstHolder *from = g_ptr_array_index(found, i);
        CstVolHolder *to = g_new0(CstVolHolder, 1);

        to->what = g_strdup(from->what);
        to->reads_only = from->reads_only;
        g_ptr_array_add(holders, to);
    }
    return holders;
}

GPtrArray *cst_vol_holders(CstPool *pool, const char *name, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, name, error) : NULL;
    g_autoptr(GPtrArray) found = volume ? cst_pool_state_vol_holders(state, name, error) : NULL;

    return found ? vol_holders_new(found) : NULL;
}

/* Returns the names of known volumes. Their positions in @names are added to @ret_places. */
static GPtrArray *known_names(CstPool *pool, const char *const *names, guint count,
                              GArray *ret_places)
{
    g_autoptr(GPtrArray) volumes = pool_table_known_page(pool, names, count);
    GPtrArray *known = g_ptr_array_new();

    for (guint i = 0; i < count; i++) {
        if (!volumes->pdata[i])
            continue;
        g_ptr_array_add(known, (gpointer)names[i]);
        g_array_append_val(ret_places, i);
    }
    return known;
}

GPtrArray *cst_pool_vols_holders(CstPool *pool, const char *const *names, guint count,
                                 CstTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GPtrArray) known = NULL, found = NULL;
    GPtrArray *lists;

    if (!state || !pool_scan_if_new(pool, state, error))
        return NULL;
    known = known_names(pool, names, count, places);
    found = cst_pool_state_vols_holders(state, (const char *const *)known->pdata, known->len, task,
                                        error);
    if (!found)
        return NULL;
    lists = cst_holder_lists_new(count);
    for (guint i = 0; i < found->len; i++)
        if (found->pdata[i])
            lists->pdata[g_array_index(places, guint, i)] = vol_holders_new(found->pdata[i]);
    return lists;
}
