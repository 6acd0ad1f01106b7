/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds volumes by path or key among all active pools. Several pools may contain the same
 * directory. A path belongs to the first pool, ordered by name, that resolves it and has such a
 * volume. Volumes that are not in the table are scanned, so a lookup may do storage I/O. If that
 * fails in a pool that resolves the path, and no further pool has the volume, the lookup fails with
 * that error. The file may be a volume then, so it must not count as a file outside of all pools.
 */
#include <service/volumes.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "pool.h"
#include "scan.h"

/* Whether the storage failed. The other errors mean that the pool has no such volume. */
static gboolean is_storage_failure(const GError *why)
{
    return why && !g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL) &&
           !g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) &&
           !g_error_matches(why, CST_ERROR, CST_ERROR_INVALID) &&
           !g_error_matches(why, CST_ERROR, CST_ERROR_STATE);
}

/*
 * Returns TRUE if @path is a volume of this pool that exists. Returns FALSE without @error if the
 * pool does not resolve @path.
 */
static gboolean resolve_in(CstPool *pool, const char *path, char **ret_name, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = NULL;
    g_autofree char *name = state ? cst_pool_state_vol_resolve(state, path) : NULL;

    if (!name)
        return FALSE;
    volume = pool_volume(pool, state, name, error);
    if (!volume)
        return FALSE;
    *ret_name = g_steal_pointer(&name);
    return TRUE;
}

/*
 * *ret_found: whether a pool has the volume. Returns FALSE if the definitions or the storage of a
 * pool cannot be read.
 */
static gboolean resolve_volume_path(CstService *service, const char *path, CstPool **ret_pool,
                                    char **ret_name, gboolean *ret_found, GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(service, CST_LIST_POOLS_ACTIVE, error);
    g_autoptr(GError) failure = NULL;

    if (!pools)
        return FALSE;
    *ret_found = FALSE;
    for (guint i = 0; i < pools->len && !*ret_found; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        g_autoptr(GError) why = NULL;

        if (resolve_in(pool, path, ret_name, &why)) {
            *ret_pool = cst_pool_ref(pool);
            *ret_found = TRUE;
        } else if (!failure && is_storage_failure(why)) {
            failure = g_steal_pointer(&why);
        }
    }
    if (*ret_found || !failure)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean cst_service_volume_by_key(CstService *service, const char *key, CstPool **ret_pool,
                                   char **ret_name, GError **error)
{
    gboolean found;

    if (!resolve_volume_path(service, key, ret_pool, ret_name, &found, error))
        return FALSE;
    if (!found)
        return cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching key %s"), key);
    return TRUE;
}

gboolean cst_service_volume_by_path(CstService *service, const char *path, CstPool **ret_pool,
                                    char **ret_name, GError **error)
{
    /* libvirt searches the canonical path. Its message contains both forms if they differ. */
    g_autofree char *clean =
        g_path_is_absolute(path) ? g_canonicalize_filename(path, NULL) : g_strdup(path);
    gboolean found;

    if (!resolve_volume_path(service, clean, ret_pool, ret_name, &found, error))
        return FALSE;
    if (found)
        return TRUE;
    if (strcmp(clean, path) == 0)
        return cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching path '%s'"), path);
    return cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching path '%s' (%s)"), path,
                    clean);
}
