/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_service.h"

#include <base/error.h>
#include <service/live.h>
#include <service/snapshots.h>

/* Every volume has one snapshot, "s", and every pool one thin pool, "tp". */

GArray *cst_pool_vols_properties(CstPool *pool, const char *const *names, guint count,
                                 unsigned wants, CstTask *task, GError **error)
{
    GArray *all;

    if (!fake_works(error))
        return NULL;
    all = g_array_new(FALSE, TRUE, sizeof(CstVolProperties));
    g_array_set_size(all, count);
    return all;
}

GPtrArray *cst_vol_snapshots(CstPool *pool, const char *volume, CstTask *task, GError **error)
{
    GPtrArray *snapshots;

    if (!fake_works(error))
        return NULL;
    snapshots = g_ptr_array_new_with_free_func((GDestroyNotify)cst_snapshot_free);
    for (guint i = 0; i < fake_rows(1); i++) {
        CstSnapshot *snapshot = g_new0(CstSnapshot, 1);

        snapshot->name = g_strdup("s");
        snapshot->kept_by = g_strdup("qcow2");
        snapshot->allocation = CST_SNAPSHOT_UNKNOWN;
        g_ptr_array_add(snapshots, snapshot);
    }
    return snapshots;
}

gboolean cst_vol_snapshot_create(CstPool *pool, const char *volume, const char *name,
                                 uint64_t limit, CstTask *task, GError **error)
{
    return fake_changed(error);
}

CstLiveSnapshots *cst_live_snapshots_new(CstService *service)
{
    return NULL;
}

void cst_live_snapshots_close(CstLiveSnapshots *live)
{
}

void cst_live_snapshots_free(CstLiveSnapshots *live)
{
}

gboolean cst_live_snapshots_create(CstLiveSnapshots *live, const CstSnapshotVolume *volumes,
                                   guint count, const CstLiveRequest *request, CstTask *task,
                                   CstSnapshotSet *ret_set, GError **error)
{
    return fake_changed(error);
}

gboolean cst_live_snapshots_end(CstLiveSnapshots *live, const char *name, GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_snapshot_create_set(const CstSnapshotVolume *volumes, guint count,
                                     const CstSnapshotRequest *request, CstTask *task,
                                     CstSnapshotSet *ret_set, GError **error)
{
    *ret_set = (CstSnapshotSet){.one_step = TRUE};
    return fake_changed(error);
}

GPtrArray *cst_vol_snapshot_revert_loses(CstPool *pool, const char *volume, const char *name,
                                         CstTask *task, GError **error)
{
    GPtrArray *names;

    if (!fake_works(error))
        return NULL;
    names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < fake_rows(1); i++)
        g_ptr_array_add(names, g_strdup("s"));
    return names;
}

gboolean cst_vol_snapshot_revert(CstPool *pool, const char *volume, const char *name,
                                 const char *const *agreed, CstTask *task, GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_snapshot_delete(CstPool *pool, const char *volume, const char *name, CstTask *task,
                                 GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_snapshot_rename(CstPool *pool, const char *volume, const char *name,
                                 const char *new_name, CstTask *task, GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_changed(CstPool *pool, const char *volume, const char *since, const char *until,
                         CstTask *task, CstChanged *changed, GError **error)
{
    if (!fake_works(error))
        return FALSE;
    cst_changed_begin(changed, 1 << 20, NULL);
    for (guint i = 0; i < fake_rows(1); i++)
        cst_changed_add(changed, i * 2, 1);
    cst_changed_end(changed, 1 << 20);
    return TRUE;
}

gboolean cst_vol_snapshot_clone(CstPool *pool, const char *volume, const char *name,
                                const char *new_volume, CstTask *task, GError **error)
{
    return fake_changed(error);
}

gboolean cst_pool_get_health(CstPool *pool, CstPoolHealth *ret_health, GError **error)
{
    if (!fake_works(error))
        return FALSE;
    *ret_health = (CstPoolHealth){.level = CST_HEALTH_GOOD, .state = g_strdup("fine")};
    for (guint i = 0; i < fake_rows(1); i++)
        cst_pool_health_note(ret_health, "note");
    return TRUE;
}

GPtrArray *cst_pool_thin_stores(CstPool *pool, GError **error)
{
    GPtrArray *stores;
    CstThinStore *store;

    if (!fake_works(error))
        return NULL;
    stores = g_ptr_array_new_with_free_func((GDestroyNotify)cst_thin_store_free);
    store = g_new0(CstThinStore, 1);
    *store = (CstThinStore){g_strdup("tp"), 1000, 600, 100, 20, 3};
    g_ptr_array_add(stores, store);
    return stores;
}
