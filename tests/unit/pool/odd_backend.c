/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "odd_backend.h"

#include <unistd.h>

#include <base/error.h>

#include "await.h"

guint odd_closed;
const char *odd_found;
gboolean odd_gives_blob = TRUE;
gint odd_hangs;
gboolean odd_gives_draft = TRUE;
guint odd_drafts_ended;

static CstPoolState *fake_open(const CstPoolDef *def, GError **error)
{
    CstPoolState *state;

    if (!odd_act(error))
        return NULL;
    state = g_new0(CstPoolState, 1);
    state->def = cst_pool_def_copy(def);
    return state;
}

static void fake_close(CstPoolState *state)
{
    odd_closed++;
    cst_pool_def_free(state->def);
    g_free(state);
}

static gboolean fake_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    *ret_active = TRUE;
    return odd_act(error);
}

static gboolean fake_rescan_bus(CstPoolState *state, CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean fake_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean fake_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                              CstVolume **ret_volume, GError **error)
{
    *ret_volume = odd_found ? cst_volume_new(odd_found) : NULL;
    return odd_act(error);
}

static gboolean fake_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    return odd_act(error);
}

static char *fake_vol_path(CstPoolState *state, const char *name)
{
    return odd_how == ODD_RIGHT ? g_strconcat("/", name, NULL) : NULL;
}

static char *fake_vol_resolve(CstPoolState *state, const char *path)
{
    return NULL;
}

static gboolean fake_change(CstPoolState *state, GError **error)
{
    return odd_act(error);
}

static gboolean fake_set_credential(CstPoolState *state, const CstLoginAdmin *admin,
                                    const CstSecretBytes *value, char **ret_account, GError **error)
{
    *ret_account = odd_gives_blob ? g_strdup("u@s") : NULL;
    return odd_act(error);
}

static gboolean fake_change_with_flags(CstPoolState *state, unsigned flags, GError **error)
{
    return odd_act(error);
}

static char *fake_identity(CstPoolState *state, GError **error)
{
    return odd_act(error) ? g_strdup("one line\n") : NULL;
}

static char *fake_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error)
{
    return odd_act(error) ? g_strdup("one of its own") : NULL;
}

static gboolean fake_expect(CstPoolState *state, const char *recorded, gboolean starting,
                            GError **error)
{
    return odd_act(error);
}

static gboolean fake_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error)
{
    return odd_act(error);
}

static gboolean fake_make(CstPoolState *state, const CstVolDef *def, GError **error)
{
    return odd_act(error);
}

static gboolean fake_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error)
{
    draft->blob = odd_gives_blob ? cst_blob_memory_new(NULL, 1) : NULL;
    return odd_act(error);
}

static gboolean fake_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error)
{
    return odd_act(error);
}

static gboolean fake_name(CstPoolState *state, const char *name, GError **error)
{
    return odd_act(error);
}

static gboolean fake_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    return odd_act(error);
}

static CstBlob *fake_vol_open(CstPoolState *state, const char *name, gboolean writable,
                              GError **error)
{
    return odd_act(error) ? cst_blob_memory_new(NULL, 1) : NULL;
}

static gboolean fake_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                            GError **error)
{
    return odd_act(error);
}

static gboolean fake_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                   const char *snapshot, CstVolDraft *draft, GError **error)
{
    draft->blob = odd_gives_blob ? cst_blob_memory_new(NULL, 1) : NULL;
    return odd_act(error);
}

static gboolean fake_list_of_volume(CstPoolState *state, const char *name, GPtrArray *list,
                                    GError **error)
{
    return odd_act(error);
}

static gboolean fake_vols_holders(CstPoolState *state, const char *const *names, guint count,
                                  CstTask *task, GPtrArray **holders, GError **error)
{
    return odd_act(error);
}

static gboolean fake_snapshot_volumes(CstPoolState *state, GHashTable *names, GError **error)
{
    return odd_act(error);
}

static gboolean fake_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean fake_list(CstPoolState *state, GPtrArray *list, GError **error)
{
    return odd_act(error);
}

static gboolean fake_growths(CstPoolState *state, gboolean now, GPtrArray *growths, GError **error)
{
    return odd_act(error);
}

static gboolean fake_growth_use(CstPoolState *state, CstGrowth *growth, GError **error)
{
    return odd_act(error);
}

static gboolean fake_grow(CstPoolState *state, const CstGrowth *growth, uint64_t size,
                          GError **error)
{
    return odd_act(error);
}

static int fake_watch_open(CstPoolState *state, GError **error)
{
    return odd_act(error) ? dup(STDERR_FILENO) : -1;
}

static void fake_watch_read(CstPoolState *state, int fd,
                            void (*changed)(const char *name, gpointer data), gpointer data)
{
}

static gboolean fake_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                     const CstSnapshotCreate *create, CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean fake_snapshot_task(CstPoolState *state, const char *volume, const char *name,
                                   CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean fake_snapshot_revert(CstPoolState *state, const char *volume, const char *name,
                                     const GPtrArray *agreed, CstTask *task, GError **error)
{
    return fake_snapshot_task(state, volume, name, task, error);
}

static gboolean fake_snapshot_rename(CstPoolState *state, const char *volume, const char *name,
                                     const char *new_name, GError **error)
{
    return odd_act(error);
}

static CstBlob *fake_snapshot_open(CstPoolState *state, const char *volume, const char *name,
                                   GError **error)
{
    return fake_vol_open(state, name, FALSE, error);
}

static char fake_draft; /* its address is the draft, and the plan */

static gboolean fake_draft_begin(CstPoolState *state, const char *volume, const char *name,
                                 CstSnapshotDraft **ret_draft, GError **error)
{
    *ret_draft = odd_gives_draft ? (CstSnapshotDraft *)&fake_draft : NULL;
    return odd_act(error);
}

static gboolean fake_draft_update(CstPoolState *state, CstSnapshotDraft *draft, GError **error)
{
    return odd_act(error);
}

static gboolean fake_draft_commit(CstPoolState *state, CstSnapshotDraft *draft,
                                  const CstSnapshotCreate *how, GError **error)
{
    return odd_act(error);
}

static void fake_draft_end(CstPoolState *state, CstSnapshotDraft *draft)
{
    g_assert((char *)draft == &fake_draft);
    odd_drafts_ended++;
}

static gboolean fake_plan_begin(CstPoolState *state, const char *const *volumes, const char *name,
                                const CstSnapshotCreate *how, CstSnapshotPlan **ret_plan,
                                GError **error)
{
    *ret_plan = odd_gives_draft ? (CstSnapshotPlan *)&fake_draft : NULL;
    return odd_act(error);
}

static gboolean fake_plan_rehearse(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                                   uint64_t *ret_us, GError **error)
{
    return odd_act(error);
}

static gboolean fake_plan_make(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                               GError **error)
{
    return odd_act(error);
}

static gboolean fake_plan_commit(CstPoolState *state, CstSnapshotPlan *plan, guint index,
                                 const CstSnapshotCreate *how, GError **error)
{
    return odd_act(error);
}

static void fake_plan_end(CstPoolState *state, CstSnapshotPlan *plan)
{
    fake_draft_end(state, (CstSnapshotDraft *)plan);
}

static gboolean fake_create_many(CstPoolState *state, const char *const *volumes, const char *name,
                                 const CstSnapshotCreate *how, CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean fake_touch(const CstPoolDef *def, GError **error)
{
    AWAIT(!g_atomic_int_get(&odd_hangs));
    return TRUE;
}

CstSnapshotBackend odd_snapshots = {
    .list = fake_list_of_volume,
    .volumes = fake_snapshot_volumes,
    .create = fake_snapshot_create,
    .draft_begin = fake_draft_begin,
    .draft_update = fake_draft_update,
    .draft_commit = fake_draft_commit,
    .draft_end = fake_draft_end,
    .plan_begin = fake_plan_begin,
    .plan_rehearse = fake_plan_rehearse,
    .plan_make = fake_plan_make,
    .plan_commit = fake_plan_commit,
    .plan_end = fake_plan_end,
    .create_many = fake_create_many,
    .revert = fake_snapshot_revert,
    .remove = fake_snapshot_task,
    .rename = fake_snapshot_rename,
    .open = fake_snapshot_open,
};

CstBackend odd_backend = {
    .type = CST_POOL_DIR,
    .open = fake_open,
    .close = fake_close,
    .check = fake_check,
    .rescan_bus = fake_rescan_bus,
    .scan = fake_scan,
    .scan_one = fake_scan_one,
    .usage = fake_usage,
    .vol_path = fake_vol_path,
    .touch = fake_touch,
    .vol_resolve = fake_vol_resolve,
    .build = fake_change_with_flags,
    .start = fake_change,
    .stop = fake_change,
    .destroy = fake_change_with_flags,
    .drop_drafts = fake_change,
    .prove = fake_change,
    .renew = fake_change,
    .set_credential = fake_set_credential,
    .identity = fake_identity,
    .expect = fake_expect,
    .discover = fake_discover,
    .vol_identity = fake_vol_identity,
    .vol_make = fake_make,
    .vol_reserve = fake_reserve,
    .vol_commit = fake_commit,
    .vol_abandon = fake_name,
    .vol_delete = fake_delete,
    .vol_check_wipe = fake_name,
    .vol_open = fake_vol_open,
    .vol_resize = fake_resize,
    .vol_reserve_clone = fake_reserve_clone,
    .vol_holders = fake_list_of_volume,
    .vols_holders = fake_vols_holders,
    .vol_children = fake_list_of_volume,
    .vol_flatten = fake_flatten,
    .thin = fake_list,
    .space_usage = fake_list,
    .growths = fake_growths,
    .growth_use = fake_growth_use,
    .grow = fake_grow,
    .snapshots = &odd_snapshots,
    .watch_open = fake_watch_open,
    .watch_read = fake_watch_read,
};
