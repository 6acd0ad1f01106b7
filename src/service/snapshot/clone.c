/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates a volume with the content of a snapshot: with the snapshot's capacity, in the volume's
 * own format. The volume is claimed for reading from before its snapshots are listed until the
 * clone exists.
 */
#include <service/snapshots.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "core/claim.h"
#include "core/copy_turn.h"
#include "core/job.h"
#include "provider.h"
#include "volume/create/clone.h"

/*
 * Returns the definition of the clone: that of the volume, with the capacity of the snapshot. A
 * clone of a snapshot inside an image is read through its whole chain and has no backing file.
 */
static CstVolDef *describe_clone(const VolumeClaim *source, const CstVolume *volume,
                                 const CstSnapshot *snapshot, gboolean in_pool,
                                 const char *new_name)
{
    CstVolDef *def = cst_volume_describe(source->state, volume);

    g_free(def->name);
    def->name = g_strdup(new_name);
    def->capacity = snapshot->capacity;
    def->allocation = 0;
    def->has_allocation = FALSE;
    if (volume_keeps_snapshots(volume) && !in_pool)
        g_clear_pointer(&def->backing, cst_backing_def_free);
    return def;
}

static const CstSnapshot *clone_find_snapshot(const GPtrArray *snapshots, const char *volume,
                                              const char *name, GError **error)
{
    const CstSnapshot *snapshot = cst_snapshot_find(snapshots, name);

    if (!snapshot)
        cst_fail_no_snapshot(volume, name, error);
    return snapshot;
}

/* Whether the pool keeps the snapshot, although the volume's format has snapshots inside. */
static gboolean snapshot_is_in_pool(const CstVolume *volume, const CstSnapshot *snapshot)
{
    return volume_keeps_snapshots(volume) && strcmp(snapshot->kept_by, volume->format) != 0;
}

/* Fails if the pool keeps the snapshot from a time before the volume had its present format. */
static gboolean snapshot_check_format(SnapshotTarget *target, const char *name, GError **error)
{
    g_autoptr(CstImage) image = NULL;

    if (!snapshot_open_kept(target, name, &image, error))
        return FALSE;
    return image || cst_fail(error, CST_ERROR_UNSUPPORTED,
                             _("snapshot '%s' was taken before volume '%s' became %s; it can be "
                               "reverted to, or deleted"),
                             name, target->volume->name, target->volume->format);
}

static gboolean clone_snapshot(CstPool *pool, const char *volume, const char *name,
                               const char *new_volume, CstTask *task, GError **error)
{
    g_auto(SnapshotTarget) target = {.claim.task = task};
    const SnapshotProvider *provider =
        snapshot_claim(&target, pool, volume, CLAIM_READ, NULL, error);
    g_autoptr(GPtrArray) snapshots = provider ? snapshot_list_all(provider, &target, error) : NULL;
    const CstSnapshot *snapshot =
        snapshots ? clone_find_snapshot(snapshots, volume, name, error) : NULL;
    const CstVolume *source = target.volume;
    VolumeClone clone = {.snapshot = name, .task = task};
    g_autoptr(CstVolDef) def = NULL;

    CST_TEST_POINT("vol.snapshot.clone.listed");
    if (!snapshot)
        return FALSE;
    /* Otherwise the transaction would wait for the claim of this call. */
    if (strcmp(volume, new_volume) == 0)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", volume);
    clone.in_pool = snapshot_is_in_pool(source, snapshot);
    if (clone.in_pool && !snapshot_check_format(&target, name, error))
        return FALSE;
    def = describe_clone(&target.claim, source, snapshot, clone.in_pool, new_volume);
    clone.def = def;
    clone.source = source;
    clone.from = &target.claim;
    return volume_clone(pool, &clone, error);
}

gboolean cst_vol_snapshot_clone(CstPool *pool, const char *volume, const char *name,
                                const char *new_volume, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};

    job_begin(&job, pool, "clone", new_volume, &task);
    copy_turn_offer(&turn, pool, task);
    return job_end(&job, clone_snapshot(pool, volume, name, new_volume, task, error), error);
}
