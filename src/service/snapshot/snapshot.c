/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of a volume. They are kept by its image where the format can (qcow2), else by the
 * pool's technology; each is a SnapshotProvider. A pool whose volume has become such an image may
 * still keep older ones: they are listed first, and their names refer to them.
 *
 * Every call claims the volume: for reading to list, for writing to change. A change by the image
 * engine is done as a whole or not at all. One by the pool's technology takes more than one step,
 * and is an intent in the journal meanwhile: after a crash the backend drops or completes it. The
 * volume is rescanned after each change, also after a failed one.
 */
#include "snapshot.h"

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <image/snapshot.h>

#include "core/claim.h"
#include "core/intent.h"
#include "core/job.h"
#include "core/scan.h"
#include "dependency/guard.h"
#include "volume/clone.h"
#include "volume/declare.h"
#include "volume/open.h"

/* The volume whose snapshots are listed or changed. */
typedef struct {
    VolumeClaim claim;
    CstVolume *volume;
    /* The pool's snapshots from before it became an image that keeps its own; NULL: not asked. */
    GPtrArray *older;
} Target;

static void target_clear(Target *target)
{
    volume_release(&target->claim);
    g_clear_pointer(&target->volume, cst_volume_unref);
    g_clear_pointer(&target->older, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Target, target_clear)

/** What keeps a volume's snapshots: its image, or its pool's technology. */
typedef struct {
    GPtrArray *(*list)(Target *target, GError **error);
    gboolean (*create)(Target *target, const char *name, uint64_t limit, CstTask *task,
                       GError **error);
    /* @lost: names of the snapshots that go, to which the user has agreed */
    gboolean (*revert)(Target *target, const char *name, const GPtrArray *lost, CstTask *task,
                       GError **error);
    gboolean (*remove)(Target *target, const char *name, CstTask *task, GError **error);
    gboolean (*rename)(Target *target, const char *name, const char *new_name, GError **error);
    /* of what the guest sees; @until NULL: now */
    gboolean (*changed)(Target *target, const char *since, const char *until, CstTask *task,
                        CstChanged *changed, GError **error);
} SnapshotProvider;

/* --- the image -------------------------------------------------------------------------------- */

/* Taken over one to one; how much space a snapshot inside of an image takes is not known. */
static GPtrArray *image_list(Target *target, GError **error)
{
    g_autoptr(CstImage) image = volume_open_image(&target->claim, target->volume, 0, error);
    g_autoptr(GPtrArray) found = image ? cst_image_snapshot_list(image, error) : NULL;
    GPtrArray *list;

    if (!found)
        return NULL;
    list = g_ptr_array_new_with_free_func((GDestroyNotify)cst_snapshot_free);
    for (guint i = 0; i < found->len; i++) {
        const CstImageSnapshot *from = g_ptr_array_index(found, i);
        CstSnapshot *to = g_new0(CstSnapshot, 1);

        to->name = g_strdup(from->name);
        to->kept_by = g_strdup(target->volume->format);
        to->created = (int64_t)from->seconds;
        to->capacity = from->capacity;
        to->allocation = CST_SNAPSHOT_UNKNOWN;
        to->machine_state = from->state_size;
        g_ptr_array_add(list, to);
    }
    return list;
}

static CstImage *open_to_change(Target *target, GError **error)
{
    return volume_open_image(&target->claim, target->volume, CST_IMAGE_WRITE, error);
}

/* The image's own calls are whole or not at all; what is written after them is safe to lose. */
static gboolean image_create(Target *target, const char *name, uint64_t limit, CstTask *task,
                             GError **error)
{
    g_autoptr(CstImage) image = NULL;

    if (limit)
        return cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                        _("snapshots inside of a %s image have no size of their own"),
                        target->volume->format);
    image = open_to_change(target, error);
    return image && cst_image_snapshot_create(image, name, task, error) &&
           cst_image_flush(image, error);
}

static gboolean image_revert(Target *target, const char *name, const GPtrArray *lost, CstTask *task,
                             GError **error)
{
    g_autoptr(CstImage) image = open_to_change(target, error);

    return image && cst_image_snapshot_revert(image, name, task, error) &&
           cst_image_flush(image, error);
}

static gboolean image_remove(Target *target, const char *name, CstTask *task, GError **error)
{
    g_autoptr(CstImage) image = open_to_change(target, error);

    return image && cst_image_snapshot_delete(image, name, task, error) &&
           cst_image_flush(image, error);
}

static gboolean image_rename(Target *target, const char *name, const char *new_name, GError **error)
{
    g_autoptr(CstImage) image = open_to_change(target, error);

    return image && cst_image_snapshot_rename(image, name, new_name, error) &&
           cst_image_flush(image, error);
}

/*
 * What a hypervisor has open holds tables in memory that the file does not have yet; those of
 * snapshots do not change.
 */
static gboolean image_changed(Target *target, const char *since, const char *until, CstTask *task,
                              CstChanged *changed, GError **error)
{
    g_autoptr(CstBlob) blob =
        until ? NULL
              : cst_pool_state_vol_open(target->claim.state, target->volume->name, FALSE, error);
    g_autoptr(CstImage) image = NULL;

    if (!until && (!blob || !volume_not_written(target->volume, blob, error)))
        return FALSE;
    image = volume_open_image(&target->claim, target->volume, 0, error);
    return image && cst_image_changed(image, since, until, task, changed, error);
}

static const SnapshotProvider image_provider = {
    .list = image_list,
    .create = image_create,
    .revert = image_revert,
    .remove = image_remove,
    .rename = image_rename,
    .changed = image_changed,
};

/* --- the pool's technology -------------------------------------------------------------------- */

static GPtrArray *pool_list(Target *target, GError **error)
{
    return cst_pool_state_snapshots(target->claim.state, target->volume->name, error);
}

static gboolean pool_create(Target *target, const char *name, uint64_t limit, CstTask *task,
                            GError **error)
{
    const CstSnapshotCreate how = {.limit = limit};

    return cst_pool_state_snapshot_create(target->claim.state, target->volume->name, name, &how,
                                          task, error);
}

/*
 * The technology puts another file in place, for which the declaration of the volume has to be
 * kept.
 */
static gboolean pool_revert(Target *target, const char *name, const GPtrArray *lost, CstTask *task,
                            GError **error)
{
    if (!cst_pool_state_snapshot_revert(target->claim.state, target->volume->name, name, lost, task,
                                        error))
        return FALSE;
    trust_keep_for_new_file(&target->claim);
    return TRUE;
}

static gboolean pool_remove(Target *target, const char *name, CstTask *task, GError **error)
{
    return cst_pool_state_snapshot_remove(target->claim.state, target->volume->name, name, task,
                                          error);
}

static gboolean pool_rename(Target *target, const char *name, const char *new_name, GError **error)
{
    return cst_pool_state_snapshot_rename(target->claim.state, target->volume->name, name, new_name,
                                          error);
}

/*
 * What is stored is what the guest sees of raw volumes only. A technology may make something for as
 * long as the question lasts (a snapshot of what is there now), which must not outlive us.
 */
static gboolean pool_changed(Target *target, const char *since, const char *until, CstTask *task,
                             CstChanged *changed, GError **error)
{
    const CstVolume *volume = target->volume;
    CstIntent *intent;
    gboolean told;

    if (volume->format && !cst_image_name_is_plain(volume->format))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("what has changed in a %s image since a snapshot outside of it is not "
                          "told"),
                        volume->format);
    intent = volume_intent(&target->claim, "changed", error);
    told = intent && cst_pool_state_snapshot_changed(target->claim.state, volume->name, since,
                                                     until, task, changed, error);
    cst_intent_end(intent);
    return told;
}

static const SnapshotProvider pool_provider = {
    .list = pool_list,
    .create = pool_create,
    .revert = pool_revert,
    .remove = pool_remove,
    .rename = pool_rename,
    .changed = pool_changed,
};

/* --- which of them ---------------------------------------------------------------------------- */

/* NULL with UNSUPPORTED where neither the format nor the pool can keep snapshots. */
static const SnapshotProvider *provider_of(const Target *target, GError **error)
{
    if (volume_keeps_snapshots(target->volume))
        return &image_provider;
    if (cst_pool_state_has_snapshots(target->claim.state) && target->volume->type != CST_VOL_DIR)
        return &pool_provider;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("volume '%s' can't have snapshots: neither can its pool (type '%s') nor its format; "
               "a qcow2 volume could"),
             target->volume->name, cst_pool_type_name(target->claim.state->def->type));
    return NULL;
}

const CstSnapshot *volume_snapshot_find(const GPtrArray *snapshots, const char *name)
{
    for (guint i = 0; i < snapshots->len; i++) {
        const CstSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        if (strcmp(snapshot->name, name) == 0)
            return snapshot;
    }
    return NULL;
}

/*
 * The provider for a volume that is an image: its own, unless @name is one that the pool keeps from
 * before the volume was such an image. Notes the pool's snapshots in the target.
 */
static const SnapshotProvider *provider_by_name(Target *target, const char *name, GError **error)
{
    if (!cst_pool_state_has_snapshots(target->claim.state))
        return &image_provider;
    target->older = pool_list(target, error);
    if (!target->older)
        return NULL;
    return name && volume_snapshot_find(target->older, name) ? &pool_provider : &image_provider;
}

/*
 * Claims the volume and finds the provider. @name: of the snapshot, NULL: none. Names are checked
 * only where they become names of files: images made elsewhere may have any.
 */
static const SnapshotProvider *claim_target(Target *target, CstPool *pool, const char *volume,
                                            ClaimKind kind, const char *name, GError **error)
{
    const SnapshotProvider *provider;

    if (!volume_claim(&target->claim, pool, volume, kind, error))
        return NULL;
    target->volume = pool_volume(pool, target->claim.state, volume, error);
    provider = target->volume ? provider_of(target, error) : NULL;
    if (provider == &image_provider)
        provider = provider_by_name(target, name, error);
    if (provider == &pool_provider && name &&
        !cst_pool_state_name_check(target->claim.state, name, _("snapshot"), error))
        return NULL;
    return provider;
}

/* --- the calls -------------------------------------------------------------------------------- */

/* The older ones of the pool come first: they were taken before the image existed. */
static GPtrArray *list_all(const SnapshotProvider *provider, Target *target, GError **error)
{
    GPtrArray *inside = provider->list(target, error);

    /* Taken before the image was there. */
    if (!inside || !target->older || provider == &pool_provider)
        return inside;
    g_ptr_array_extend_and_steal(target->older, inside);
    return g_steal_pointer(&target->older);
}

GPtrArray *cst_vol_snapshots(CstPool *pool, const char *volume, CstTask *task, GError **error)
{
    g_auto(Target) target = {.claim.task = task};
    const SnapshotProvider *provider = claim_target(&target, pool, volume, CLAIM_READ, NULL, error);

    return provider ? list_all(provider, &target, error) : NULL;
}

/** One change of a volume's snapshots. */
typedef struct SnapshotChange SnapshotChange;

struct SnapshotChange {
    const char *kind; /* of the job */
    gboolean (*run)(const SnapshotProvider *provider, Target *target, const SnapshotChange *change,
                    CstTask *task, GError **error);
    const char *name;          /* of the snapshot */
    const char *new_name;      /* rename */
    const char *const *agreed; /* revert: names of snapshots that may be lost; NULL: none */
    uint64_t limit;            /* create: bytes to set aside for changes; 0: the default */
};

/* A failure to record the intent keeps the change from beginning. */
static gboolean change_claimed(CstPool *pool, const char *volume, const SnapshotChange *change,
                               CstTask *task, GError **error)
{
    g_auto(Target) target = {.claim.task = task};
    const SnapshotProvider *provider =
        claim_target(&target, pool, volume, CLAIM_WRITE, change->name, error);
    CstIntent *intent = NULL;
    gboolean done;

    if (provider == &pool_provider)
        intent = volume_intent(&target.claim, "snapshot", error);
    CST_CRASH_POINT("vol.snapshot.begun");
    done = provider && (provider != &pool_provider || intent) &&
           change->run(provider, &target, change, task, error);
    CST_CRASH_POINT("vol.snapshot.done");
    cst_intent_end(intent);
    volume_rescan(&target.claim);
    return done;
}

static gboolean run_change(CstPool *pool, const char *volume, const SnapshotChange *change,
                           CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, change->kind, volume, &task);
    return job_end(&job, change_claimed(pool, volume, change, task, error), error);
}

static gboolean run_create(const SnapshotProvider *provider, Target *target,
                           const SnapshotChange *change, CstTask *task, GError **error)
{
    return cst_name_check(change->name, _("snapshot"), error) &&
           provider->create(target, change->name, change->limit, task, error);
}

gboolean cst_vol_snapshot_create(CstPool *pool, const char *volume, const char *name,
                                 uint64_t limit, CstTask *task, GError **error)
{
    const SnapshotChange change = {"snapshot", run_create, .name = name, .limit = limit};

    return run_change(pool, volume, &change, task, error);
}

gboolean cst_vol_changed(CstPool *pool, const char *volume, const char *since, const char *until,
                         CstTask *task, CstChanged *changed, GError **error)
{
    g_auto(Target) target = {.claim.task = task};
    const SnapshotProvider *provider =
        claim_target(&target, pool, volume, CLAIM_READ, since, error);

    return provider && provider->changed(&target, since, until, task, changed, error);
}

/* What a revert would remove; snapshots inside of an image all stay. */
static GPtrArray *lost_by_revert(const SnapshotProvider *provider, Target *target, const char *name,
                                 GError **error)
{
    if (provider != &pool_provider)
        return g_ptr_array_new();
    return cst_pool_state_snapshot_revert_loses(target->claim.state, target->volume->name, name,
                                                error);
}

GPtrArray *cst_vol_snapshot_revert_loses(CstPool *pool, const char *volume, const char *name,
                                         CstTask *task, GError **error)
{
    g_auto(Target) target = {.claim.task = task};
    const SnapshotProvider *provider = claim_target(&target, pool, volume, CLAIM_READ, name, error);

    return provider ? lost_by_revert(provider, &target, name, error) : NULL;
}

/* What is lost; BUSY, naming them all, when there is one that nobody has agreed to lose. */
static GPtrArray *agreed_loss(const SnapshotProvider *provider, Target *target,
                              const SnapshotChange *change, GError **error)
{
    g_autoptr(GPtrArray) lost = lost_by_revert(provider, target, change->name, error);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; lost && i < lost->len; i++) {
        const char *name = g_ptr_array_index(lost, i);

        if (!change->agreed || !g_strv_contains(change->agreed, name))
            g_string_append_printf(names, "%s'%s'", names->len > 0 ? ", " : "", name);
    }
    if (!lost || names->len == 0)
        return g_steal_pointer(&lost);
    cst_fail(error, CST_ERROR_BUSY,
             _("reverting volume '%s' to snapshot '%s' would remove its newer snapshots: "
               "%s; agree to that, or delete them"),
             target->volume->name, change->name, names->str);
    return NULL;
}

/* Reverting changes what others see: guests, and images based on this one. */
static gboolean run_revert(const SnapshotProvider *provider, Target *target,
                           const SnapshotChange *change, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) lost = volume_not_shown(&target->claim, error)
                                    ? agreed_loss(provider, target, change, error)
                                    : NULL;

    return lost && provider->revert(target, change->name, lost, task, error);
}

gboolean cst_vol_snapshot_revert(CstPool *pool, const char *volume, const char *name,
                                 const char *const *agreed, CstTask *task, GError **error)
{
    const SnapshotChange change = {"revert", run_revert, .name = name, .agreed = agreed};

    return run_change(pool, volume, &change, task, error);
}

static gboolean run_delete(const SnapshotProvider *provider, Target *target,
                           const SnapshotChange *change, CstTask *task, GError **error)
{
    return volume_not_held(&target->claim, error) &&
           provider->remove(target, change->name, task, error);
}

gboolean cst_vol_snapshot_delete(CstPool *pool, const char *volume, const char *name, CstTask *task,
                                 GError **error)
{
    const SnapshotChange change = {"delete", run_delete, .name = name};

    return run_change(pool, volume, &change, task, error);
}

/*
 * Fails with EXISTS when the other provider has a snapshot of that name; each refuses its own
 * twice.
 */
static gboolean check_name_free(const SnapshotProvider *provider, Target *target, const char *name,
                                GError **error)
{
    g_autoptr(GPtrArray) inside = NULL;

    if (target->older && provider == &pool_provider) {
        inside = image_provider.list(target, error);
        if (!inside)
            return FALSE;
    }
    if ((target->older && volume_snapshot_find(target->older, name)) ||
        (inside && volume_snapshot_find(inside, name)))
        return cst_fail_snapshot_exists(target->volume->name, name, error);
    return TRUE;
}

static gboolean run_rename(const SnapshotProvider *provider, Target *target,
                           const SnapshotChange *change, CstTask *task, GError **error)
{
    const char *name = change->new_name;

    if (provider == &pool_provider
            ? !cst_pool_state_name_check(target->claim.state, name, _("snapshot"), error)
            : !cst_name_check(name, _("snapshot"), error))
        return FALSE;
    return check_name_free(provider, target, name, error) &&
           provider->rename(target, change->name, name, error);
}

gboolean cst_vol_snapshot_rename(CstPool *pool, const char *volume, const char *name,
                                 const char *new_name, CstTask *task, GError **error)
{
    const SnapshotChange change = {"rename", run_rename, .name = name, .new_name = new_name};

    return run_change(pool, volume, &change, task, error);
}
