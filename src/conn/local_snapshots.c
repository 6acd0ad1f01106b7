/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <service/snapshots.h>

#include "local_private.h"

GPtrArray *cst_local_snapshot_list(gpointer self, const CstVolRef *vol, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool ? cst_vol_snapshots(pool, vol->name, NULL, error) : NULL;
}

gboolean cst_local_snapshot_create(gpointer self, const CstVolRef *vol, const char *name,
                                   uint64_t limit, CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_snapshot_create(pool, vol->name, name, limit, task, error);
}

gboolean cst_local_snapshot_revert(gpointer self, const CstVolRef *vol, const char *name,
                                   CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_snapshot_revert(pool, vol->name, name, task, error);
}

gboolean cst_local_snapshot_delete(gpointer self, const CstVolRef *vol, const char *name,
                                   CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_snapshot_delete(pool, vol->name, name, task, error);
}

gboolean cst_local_snapshot_rename(gpointer self, const CstVolRef *vol, const char *name,
                                   const char *new_name, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_snapshot_rename(pool, vol->name, name, new_name, NULL, error);
}

gboolean cst_local_snapshot_clone(gpointer self, const CstVolRef *vol, const char *name,
                                  const char *new_volume, CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_snapshot_clone(pool, vol->name, name, new_volume, task, error);
}
