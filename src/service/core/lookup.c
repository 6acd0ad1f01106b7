/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds volumes by path or key among all active pools. A path belongs to the first pool, in the
 * order of names, whose backend resolves it and which has such a volume; several pools may list one
 * directory. What the table does not know is scanned, so a look-up may touch storage.
 */
#include <service/volumes.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "pool.h"
#include "scan.h"

/*
 * TRUE: @path leads into this pool and the volume exists. A pool that fails to answer counts as not
 * having it: the look-up goes on with the others.
 */
static gboolean resolve_in(CstPool *pool, const char *path, char **ret_name)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = NULL;
    g_autofree char *name = state ? cst_pool_state_vol_resolve(state, path) : NULL;

    if (!name)
        return FALSE;
    volume = pool_volume(pool, state, name, NULL);
    if (!volume)
        return FALSE;
    *ret_name = g_steal_pointer(&name);
    return TRUE;
}

/* *ret_found: whether any pool has it. FALSE is a failure to read the definitions. */
static gboolean resolve(CstService *service, const char *path, CstPool **ret_pool, char **ret_name,
                        gboolean *ret_found, GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(service, CST_LIST_POOLS_ACTIVE, error);

    if (!pools)
        return FALSE;
    *ret_found = FALSE;
    for (guint i = 0; i < pools->len && !*ret_found; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);

        if (resolve_in(pool, path, ret_name)) {
            *ret_pool = cst_pool_ref(pool);
            *ret_found = TRUE;
        }
    }
    return TRUE;
}

gboolean cst_service_volume_by_key(CstService *service, const char *key, CstPool **ret_pool,
                                   char **ret_name, GError **error)
{
    gboolean found;

    if (!resolve(service, key, ret_pool, ret_name, &found, error))
        return FALSE;
    if (!found)
        return cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching key %s"), key);
    return TRUE;
}

gboolean cst_service_volume_by_path(CstService *service, const char *path, CstPool **ret_pool,
                                    char **ret_name, GError **error)
{
    /* libvirt looks for the clean path, and its message names both forms where they differ. */
    g_autofree char *clean =
        g_path_is_absolute(path) ? g_canonicalize_filename(path, NULL) : g_strdup(path);
    gboolean found;

    if (!resolve(service, clean, ret_pool, ret_name, &found, error))
        return FALSE;
    if (found)
        return TRUE;
    if (strcmp(clean, path) == 0)
        return cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching path '%s'"), path);
    return cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching path '%s' (%s)"), path,
                    clean);
}
