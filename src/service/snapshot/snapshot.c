/* SPDX-License-Identifier: LGPL-2.1-or-later */
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

/* A volume that is being worked on. */
typedef struct {
    VolumeClaim claim;
    CstVolume *volume;
    /* What the pool kept of it before it became an image that keeps its own; NULL: not asked. */
    GPtrArray *beside;
} Site;

static void site_clear(Site *site)
{
    volume_release(&site->claim);
    g_clear_pointer(&site->volume, cst_volume_unref);
    g_clear_pointer(&site->beside, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Site, site_clear)

/** Who keeps a volume's snapshots. */
typedef struct {
    GPtrArray *(*list)(Site *site, GError **error);
    gboolean (*create)(Site *site, const char *name, uint64_t limit, CstTask *task, GError **error);
    gboolean (*revert)(Site *site, const char *name, CstTask *task, GError **error);
    gboolean (*remove)(Site *site, const char *name, CstTask *task, GError **error);
    gboolean (*rename)(Site *site, const char *name, const char *new_name, GError **error);
} Keeper;

/* --- the image -------------------------------------------------------------------------------- */

static GPtrArray *image_list(Site *site, GError **error)
{
    g_autoptr(CstImage) image = volume_open_image(&site->claim, site->volume, 0, error);
    g_autoptr(GPtrArray) found = image ? cst_image_snapshot_list(image, error) : NULL;
    GPtrArray *list;

    if (!found)
        return NULL;
    list = g_ptr_array_new_with_free_func((GDestroyNotify)cst_snapshot_free);
    for (guint i = 0; i < found->len; i++) {
        const CstImageSnapshot *from = g_ptr_array_index(found, i);
        CstSnapshot *to = g_new0(CstSnapshot, 1);

        to->name = g_strdup(from->name);
        to->kept_by = g_strdup(site->volume->format);
        to->created = (int64_t)from->seconds;
        to->capacity = from->capacity;
        to->allocation = CST_SNAPSHOT_UNKNOWN;
        to->machine_state = from->state_size;
        g_ptr_array_add(list, to);
    }
    return list;
}

static CstImage *open_to_change(Site *site, GError **error)
{
    return volume_open_image(&site->claim, site->volume, CST_IMAGE_WRITE, error);
}

/* The image's own calls are whole or not at all; what is written after them is safe to lose. */
static gboolean image_create(Site *site, const char *name, uint64_t limit, CstTask *task,
                             GError **error)
{
    g_autoptr(CstImage) image = NULL;

    if (limit)
        return cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                        _("snapshots inside of a %s image have no size of their own"),
                        site->volume->format);
    image = open_to_change(site, error);
    return image && cst_image_snapshot_create(image, name, task, error) &&
           cst_image_flush(image, error);
}

static gboolean image_revert(Site *site, const char *name, CstTask *task, GError **error)
{
    g_autoptr(CstImage) image = open_to_change(site, error);

    return image && cst_image_snapshot_revert(image, name, task, error) &&
           cst_image_flush(image, error);
}

static gboolean image_remove(Site *site, const char *name, CstTask *task, GError **error)
{
    g_autoptr(CstImage) image = open_to_change(site, error);

    return image && cst_image_snapshot_delete(image, name, task, error) &&
           cst_image_flush(image, error);
}

static gboolean image_rename(Site *site, const char *name, const char *new_name, GError **error)
{
    g_autoptr(CstImage) image = open_to_change(site, error);

    return image && cst_image_snapshot_rename(image, name, new_name, error) &&
           cst_image_flush(image, error);
}

static const Keeper image_keeper = {
    .list = image_list,
    .create = image_create,
    .revert = image_revert,
    .remove = image_remove,
    .rename = image_rename,
};

/* --- the pool's technology -------------------------------------------------------------------- */

static GPtrArray *pool_list(Site *site, GError **error)
{
    return cst_pool_state_snapshots(site->claim.state, site->volume->name, error);
}

static gboolean pool_create(Site *site, const char *name, uint64_t limit, CstTask *task,
                            GError **error)
{
    const CstSnapshotCreate how = {.limit = limit};

    return cst_pool_state_snapshot_create(site->claim.state, site->volume->name, name, &how, task,
                                          error);
}

static gboolean pool_revert(Site *site, const char *name, CstTask *task, GError **error)
{
    if (!cst_pool_state_snapshot_revert(site->claim.state, site->volume->name, name, task, error))
        return FALSE;
    trust_keep_for_new_file(&site->claim);
    return TRUE;
}

static gboolean pool_remove(Site *site, const char *name, CstTask *task, GError **error)
{
    return cst_pool_state_snapshot_remove(site->claim.state, site->volume->name, name, task, error);
}

static gboolean pool_rename(Site *site, const char *name, const char *new_name, GError **error)
{
    return cst_pool_state_snapshot_rename(site->claim.state, site->volume->name, name, new_name,
                                          error);
}

static const Keeper pool_keeper = {
    .list = pool_list,
    .create = pool_create,
    .revert = pool_revert,
    .remove = pool_remove,
    .rename = pool_rename,
};

/* --- which of them ---------------------------------------------------------------------------- */

static const Keeper *keeper_of(const Site *site, GError **error)
{
    if (volume_keeps_snapshots(site->volume))
        return &image_keeper;
    if (cst_pool_state_has_snapshots(site->claim.state) && site->volume->type != CST_VOL_DIR)
        return &pool_keeper;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("volume '%s' can't have snapshots: neither can its pool (type '%s') nor its format; "
               "a qcow2 volume could"),
             site->volume->name, cst_pool_type_name(site->claim.state->def->type));
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

/* The pool's own, where the image has taken over, and one of these is meant. */
static const Keeper *look_beside(Site *site, const char *name, GError **error)
{
    if (!cst_pool_state_has_snapshots(site->claim.state))
        return &image_keeper;
    site->beside = pool_list(site, error);
    if (!site->beside)
        return NULL;
    return name && volume_snapshot_find(site->beside, name) ? &pool_keeper : &image_keeper;
}

/* @name: of the snapshot, NULL: none. Images made elsewhere may have names that no file can
 * have. */
static const Keeper *enter(Site *site, CstPool *pool, const char *volume, ClaimKind kind,
                           const char *name, GError **error)
{
    const Keeper *keeper;

    if (!volume_claim(&site->claim, pool, volume, kind, error))
        return NULL;
    site->volume = pool_volume(pool, site->claim.state, volume, error);
    keeper = site->volume ? keeper_of(site, error) : NULL;
    if (keeper == &image_keeper)
        keeper = look_beside(site, name, error);
    if (keeper == &pool_keeper && name &&
        !cst_pool_state_name_check(site->claim.state, name, _("snapshot"), error))
        return NULL;
    return keeper;
}

/* --- the calls -------------------------------------------------------------------------------- */

static GPtrArray *list_all(const Keeper *keeper, Site *site, GError **error)
{
    GPtrArray *inside = keeper->list(site, error);

    /* Taken before the image was there. */
    if (!inside || !site->beside || keeper == &pool_keeper)
        return inside;
    g_ptr_array_extend_and_steal(site->beside, inside);
    return g_steal_pointer(&site->beside);
}

GPtrArray *cst_vol_snapshots(CstPool *pool, const char *volume, CstTask *task, GError **error)
{
    g_auto(Site) site = {.claim.task = task};
    const Keeper *keeper = enter(&site, pool, volume, CLAIM_READ, NULL, error);

    return keeper ? list_all(keeper, &site, error) : NULL;
}

/* One call as a job: what the keeper does is given as a closure over its callbacks. */
typedef gboolean (*ChangeFunc)(const Keeper *keeper, Site *site, const char *name,
                               gconstpointer how, CstTask *task, GError **error);

static gboolean in_turn(CstPool *pool, const char *volume, const char *name, ChangeFunc change,
                        gconstpointer how, CstTask *task, GError **error)
{
    g_auto(Site) site = {.claim.task = task};
    const Keeper *keeper = enter(&site, pool, volume, CLAIM_WRITE, name, error);
    CstIntent *intent = NULL;
    gboolean done;

    if (keeper == &pool_keeper)
        intent = volume_intent(&site.claim, "snapshot", error);
    CST_CRASH_POINT("vol.snapshot.begun");
    done = keeper && (keeper != &pool_keeper || intent) &&
           change(keeper, &site, name, how, task, error);
    CST_CRASH_POINT("vol.snapshot.done");
    cst_intent_end(intent);
    volume_rescan(&site.claim);
    return done;
}

static gboolean run_change(CstPool *pool, const char *kind, const char *volume, const char *name,
                           ChangeFunc change, gconstpointer how, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, kind, volume, &task);
    return job_end(&job, in_turn(pool, volume, name, change, how, task, error), error);
}

static gboolean do_create(const Keeper *keeper, Site *site, const char *name, gconstpointer how,
                          CstTask *task, GError **error)
{
    return cst_name_check(name, _("snapshot"), error) &&
           keeper->create(site, name, *(const uint64_t *)how, task, error);
}

gboolean cst_vol_snapshot_create(CstPool *pool, const char *volume, const char *name,
                                 uint64_t limit, CstTask *task, GError **error)
{
    return run_change(pool, "snapshot", volume, name, do_create, &limit, task, error);
}

static gboolean do_revert(const Keeper *keeper, Site *site, const char *name, gconstpointer how,
                          CstTask *task, GError **error)
{
    return volume_not_shown(&site->claim, error) && keeper->revert(site, name, task, error);
}

gboolean cst_vol_snapshot_revert(CstPool *pool, const char *volume, const char *name, CstTask *task,
                                 GError **error)
{
    return run_change(pool, "revert", volume, name, do_revert, NULL, task, error);
}

static gboolean do_delete(const Keeper *keeper, Site *site, const char *name, gconstpointer how,
                          CstTask *task, GError **error)
{
    return volume_not_held(&site->claim, error) && keeper->remove(site, name, task, error);
}

gboolean cst_vol_snapshot_delete(CstPool *pool, const char *volume, const char *name, CstTask *task,
                                 GError **error)
{
    return run_change(pool, "delete", volume, name, do_delete, NULL, task, error);
}

static gboolean do_rename(const Keeper *keeper, Site *site, const char *name, gconstpointer how,
                          CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) inside = NULL;

    if (keeper == &pool_keeper
            ? !cst_pool_state_name_check(site->claim.state, how, _("snapshot"), error)
            : !cst_name_check(how, _("snapshot"), error))
        return FALSE;
    /* Each keeper knows its own; between the two no name may be there twice. */
    if (site->beside && keeper == &pool_keeper) {
        inside = image_keeper.list(site, error);
        if (!inside)
            return FALSE;
    }
    if ((site->beside && volume_snapshot_find(site->beside, how)) ||
        (inside && volume_snapshot_find(inside, how)))
        return cst_fail(error, CST_ERROR_EXISTS, _("volume '%s' has a snapshot '%s' already"),
                        site->volume->name, (const char *)how);
    return keeper->rename(site, name, how, error);
}

gboolean cst_vol_snapshot_rename(CstPool *pool, const char *volume, const char *name,
                                 const char *new_name, CstTask *task, GError **error)
{
    return run_change(pool, "rename", volume, name, do_rename, new_name, task, error);
}
