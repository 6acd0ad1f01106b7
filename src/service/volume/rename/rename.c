/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Renames a volume, its records (by_name.c), and the references of its overlays (relink.c).
 *
 * The overlays are claimed first, then the volume, then the new name. A durable intent records the
 * change. Without overlays, the storage changes by the backend's rename only. With overlays:
 * - vol_link gives the volume the new name in addition to the old one.
 * - One write for each overlay changes the reference in its header.
 * - vol_rename removes the old name. The records follow.
 *
 * So each reference leads to the volume at all times. A failure undoes the steps. After a crash,
 * the replay completes the rename if the new name exists.
 */
#include "rename.h"

#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <service/volumes.h>
#include <store/trash.h>

#include "by_name.h"
#include "core/claim.h"
#include "core/intent.h"
#include "core/job.h"
#include "core/overlays.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/table.h"
#include "dependency/dependents.h"
#include "dependency/depth.h"
#include "dependency/guard.h"
#include "dependency/remembered.h"
#include "relink.h"
#include "volume/running/commit.h"

#define OVERLAYS_MAX 10000 /* per rename: each overlay is claimed, and recorded in the intent */

/* --- data ------------------------------------------------------------------------------------- */

/* An overlay that gets a new reference. */
typedef struct {
    VolumeClaim claim;
    Relink link;
    gboolean done; /* it has, or may have, the new reference */
} Overlay;

static void overlay_free(Overlay *overlay)
{
    relink_clear(&overlay->link);
    volume_release(&overlay->claim);
    g_free(overlay);
}

typedef struct {
    CstPool *pool;
    const char *name, *new_name;
    CstTask *task;
    char *path;            /* of the volume, as in the references of overlays */
    GPtrArray *overlays;   /* of Overlay * */
    VolumeClaim claim;     /* of the volume */
    VolumeClaim new_claim; /* of the new name */
    CstVolume *volume;
    KeptByName kept;
    CstIntent *intent;
} Rename;

/* Releases the claims in reverse order. */
static void rename_clear(Rename *rename)
{
    volume_release(&rename->new_claim);
    volume_release(&rename->claim);
    g_clear_pointer(&rename->overlays, g_ptr_array_unref);
    g_clear_pointer(&rename->volume, cst_volume_unref);
    g_clear_pointer(&rename->path, g_free);
    kept_clear(&rename->kept);
    cst_intent_end(rename->intent);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rename, rename_clear)

static const VolumeClaim *last_claim(const Rename *rename)
{
    guint count = rename->overlays->len;

    return count ? &((Overlay *)g_ptr_array_index(rename->overlays, count - 1))->claim : NULL;
}

/* --- checks of overlays ----------------------------------------------------------------------- */

/* Appends a line with the overlay and the reason. */
static void note_reason(GString *reasons, const VolumeOverlay *overlay, const GError *why)
{
    g_string_append_printf(reasons, "\n  %s/%s: %s", cst_pool_name(overlay->pool),
                           overlay->volume->name, why->message);
}

/* Only the reference to a backing file can be changed in an image. */
static gboolean names_as_backing(const Rename *rename, const CstVolume *overlay, GError **error)
{
    g_autofree char *clean = NULL;
    const char *backing = overlay->extra->backing_path;

    clean = backing && g_path_is_absolute(backing) ? g_canonicalize_filename(backing, NULL)
                                                   : g_strdup(backing);
    return g_strcmp0(clean, rename->path) == 0 ||
           cst_fail(error, CST_ERROR_UNSUPPORTED, _("it keeps its data in the volume"));
}

/*
 * Remote storage may be unreachable during the recovery after a crash. Only the intents of its own
 * volumes wait for it.
 */
static gboolean can_be_recovered(const Rename *rename, CstPool *pool, CstPoolState *state,
                                 GError **error)
{
    return pool == rename->pool || !cst_pool_state_is_remote(state) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED, _("its pool is on remote storage"));
}

static gboolean plan_overlay(Rename *rename, const VolumeOverlay *found, GError **error)
{
    Overlay *overlay = g_new0(Overlay, 1);
    VolumeClaim *claim = &overlay->claim;
    g_autoptr(CstVolume) now = NULL;

    claim->task = rename->task;
    claim->after = last_claim(rename);
    claim->at_once = TRUE;
    g_ptr_array_add(rename->overlays, overlay);
    return volume_claim_now(claim, found->pool, found->volume->name, CLAIM_WRITE, &now, error) &&
           names_as_backing(rename, found->volume, error) &&
           can_be_recovered(rename, found->pool, claim->state, error) &&
           volume_not_held(claim, error) &&
           relink_plan(claim->state, now, rename->volume, rename->new_name, &overlay->link, error);
}

/* Tries all overlays, so that the error names every obstacle. */
static gboolean plan_overlays(Rename *rename, const GPtrArray *found, CstPoolState *state,
                              GError **error)
{
    g_autoptr(GString) reasons = g_string_new(NULL);

    if (found->len > OVERLAYS_MAX)
        return cst_fail(
            error, CST_ERROR_LIMIT,
            _("volume '%s' is the base of %u volumes; at most %u can be changed with it"),
            rename->name, found->len, OVERLAYS_MAX);
    for (guint i = 0; i < found->len; i++) {
        const VolumeOverlay *one = g_ptr_array_index(found, i);
        g_autoptr(GError) why = NULL;

        if (!cst_pool_state_can_link(state))
            cst_fail(&why, CST_ERROR_UNSUPPORTED,
                     _("a volume of pool type '%s' can't have two names at once"),
                     cst_pool_type_name(state->def->type));
        if (why || !plan_overlay(rename, one, &why))
            note_reason(reasons, one, why);
    }
    return reasons->len == 0 ||
           cst_fail(
               error, CST_ERROR_BUSY,
               _("volume '%s' cannot be renamed, because volumes based on it cannot be changed:%s"),
               rename->name, reasons->str);
}

/* --- claims and checks ------------------------------------------------------------------------ */

/* Checks that the overlays of the volume are still the claimed ones. */
static gboolean check_same_overlays(const Rename *rename, GError **error)
{
    g_autoptr(GPtrArray) found = volume_overlays(rename->pool, rename->path, error);
    gboolean same = found && found->len == rename->overlays->len;

    for (guint i = 0; same && i < found->len; i++) {
        const VolumeOverlay *one = g_ptr_array_index(found, i);
        const VolumeClaim *claim = &((Overlay *)g_ptr_array_index(rename->overlays, i))->claim;

        same = one->pool == claim->pool && strcmp(one->volume->name, claim->name) == 0;
    }
    return same || (found && cst_fail(error, CST_ERROR_BUSY,
                                      _("the overlays of volume '%s' have just changed; try again"),
                                      rename->name));
}

/* Overlays reference the volume by this path, even if other paths lead to it. */
static gboolean claim_overlays(Rename *rename, CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) found = NULL;

    rename->overlays = g_ptr_array_new_with_free_func((GDestroyNotify)overlay_free);
    rename->path = cst_pool_state_vol_path(state, rename->name);
    rename->volume = pool_volume_now(rename->pool, state, rename->name, error);
    found = rename->volume ? volume_overlays(rename->pool, rename->path, error) : NULL;
    return found && plan_overlays(rename, found, state, error);
}

/* If the new name exists, the call fails at once and does not wait for its claim. */
static gboolean claim_both(Rename *rename, CstPoolState *state, GError **error)
{
    rename->claim.task = rename->new_claim.task = rename->task;
    rename->claim.after = last_claim(rename);
    g_clear_pointer(&rename->volume, cst_volume_unref);
    if (!pool_check_free(rename->pool, state, rename->new_name, error) ||
        !volume_claim_now(&rename->claim, rename->pool, rename->name, CLAIM_WRITE, &rename->volume,
                          error))
        return FALSE;
    rename->new_claim.after = &rename->claim;
    rename->new_claim.creating = TRUE;
    return volume_claim(&rename->new_claim, rename->pool, rename->new_name, CLAIM_WRITE, error) &&
           pool_check_free(rename->pool, state, rename->new_name, error);
}

static gboolean rename_prepare(Rename *rename, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(rename->pool, error);

    if (!state || !cst_pool_state_check_rename(state, error) ||
        !cst_pool_state_volume_name_check(state, rename->new_name, error))
        return FALSE;
    if (strcmp(rename->name, rename->new_name) == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' has that name already"),
                        rename->name);
    if (!claim_overlays(rename, state, error))
        return FALSE;
    CST_TEST_POINT("vol.rename.planned");
    return claim_both(rename, state, error) && volume_not_held(&rename->claim, error) &&
           running_commit_is_settled(&rename->claim, error) && check_same_overlays(rename, error) &&
           volume_not_remembered(&rename->claim, REMEMBERED_OTHER_PATHS, error) &&
           kept_read(rename->pool, rename->claim.state, rename->volume, &rename->kept, error);
}

/* --- the intent ------------------------------------------------------------------------------- */

static void put_overlay(GHashTable *fields, guint i, const char *key, const char *value)
{
    g_autofree char *name = g_strdup_printf("overlay%u-%s", i, key);

    intent_put(fields, name, value);
}

static const char *get_overlay(GHashTable *fields, guint i, const char *key)
{
    g_autofree char *name = g_strdup_printf("overlay%u-%s", i, key);

    return g_hash_table_lookup(fields, name);
}

static gboolean rename_record_intent(Rename *rename, GError **error)
{
    g_autoptr(GHashTable) fields = intent_fields_new();

    intent_put(fields, "volume", rename->name);
    intent_put(fields, "to", rename->new_name);
    if (!intent_put_identity(fields, "identity", rename->claim.state, rename->volume, error))
        return FALSE;
    kept_save(&rename->kept, fields);
    for (guint i = 0; i < rename->overlays->len; i++) {
        const Overlay *overlay = g_ptr_array_index(rename->overlays, i);

        put_overlay(fields, i, "pool", cst_pool_name(overlay->claim.pool));
        put_overlay(fields, i, "volume", overlay->claim.name);
        put_overlay(fields, i, "from", overlay->link.from);
        put_overlay(fields, i, "to", overlay->link.to);
        put_overlay(fields, i, "format", overlay->link.format);
    }
    rename->intent =
        intent_begin_durable(rename->pool, rename->claim.state, VOLUME_RENAME, fields, error);
    return rename->intent != NULL;
}

/* --- the change ------------------------------------------------------------------------------- */

/* Leaves the completion to the next start, or to the time when the storage answers. */
static void rename_leave_to_replay(Rename *rename, const GError *why)
{
    cst_log(CST_LOG_WARNING, "pool '%s': volume '%s' is half renamed: %s", rename->pool->name,
            rename->name, why->message);
    cst_intent_keep(g_steal_pointer(&rename->intent));
    pool_recover_later(rename->pool, rename->claim.state);
    pool_rescan_volume(rename->pool, rename->claim.state, rename->name);
    pool_rescan_volume(rename->pool, rename->claim.state, rename->new_name);
}

/* Reverts the steps of a rename with overlays. */
static void rename_undo_overlays(Rename *rename)
{
    CstService *service = rename->pool->service;
    g_autoptr(GError) why = NULL;

    CST_TEST_POINT("vol.rename.take_back");
    relink_restore_name(rename->claim.state, rename->name, rename->new_name, &why);
    for (guint i = 0; !why && i < rename->overlays->len; i++) {
        Overlay *overlay = g_ptr_array_index(rename->overlays, i);
        const Relink back = {
            .from = overlay->link.to, .to = overlay->link.from, .format = overlay->link.format};

        if (!overlay->done)
            continue;
        overlay->done =
            !relink_overlay(service, overlay->claim.state, overlay->claim.name, &back, &why);
        volume_rescan(&overlay->claim);
    }
    if (!why)
        cst_pool_state_rename(rename->claim.state, rename->new_name, rename->name, &why);
    if (why)
        rename_leave_to_replay(rename, why);
}

static gboolean relink_all(Rename *rename, GError **error)
{
    cst_task_set_total(rename->task, rename->overlays->len);
    for (guint i = 0; i < rename->overlays->len; i++) {
        Overlay *overlay = g_ptr_array_index(rename->overlays, i);

        /* An error may follow the write of the header. rename_undo_overlays() checks the header. */
        overlay->done = TRUE;
        if (!cst_task_check(rename->task, error) ||
            !relink_overlay(rename->pool->service, overlay->claim.state, overlay->claim.name,
                            &overlay->link, error))
            return FALSE;
        CST_CRASH_POINT("vol.rename.relinked");
        volume_rescan(&overlay->claim);
        cst_task_skip(rename->task, 1);
    }
    return TRUE;
}

/* Fails if an overlay created since the check references the old name. */
static gboolean rename_check_overlays(const Rename *rename, GError **error)
{
    g_autoptr(GPtrArray) found = volume_overlays(rename->pool, rename->path, error);

    if (!found || found->len == 0)
        return found != NULL;
    return cst_fail(error, CST_ERROR_BUSY, _("'%s' was just made upon volume '%s'; try again"),
                    ((VolumeOverlay *)g_ptr_array_index(found, 0))->volume->name, rename->name);
}

/* Returns whether the error of a failed link guarantees that the volume has no second name. */
static gboolean is_without_change(const GError *why)
{
    return g_error_matches(why, CST_ERROR, CST_ERROR_VOL_EXISTS) ||
           g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED) ||
           g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN);
}

static gboolean change_with_overlays(Rename *rename, GError **error)
{
    CstPoolState *state = rename->claim.state;
    g_autoptr(GError) why = NULL;

    if (!cst_pool_state_link(state, rename->name, rename->new_name, &why)) {
        if (!is_without_change(why))
            rename_undo_overlays(rename);
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    CST_CRASH_POINT("vol.rename.linked");
    if (relink_all(rename, error) && rename_check_overlays(rename, error) &&
        cst_pool_state_rename(state, rename->name, rename->new_name, error))
        return TRUE;
    rename_undo_overlays(rename);
    return FALSE;
}

/* A failed call may have renamed the volume, for example after a timeout. */
static gboolean change_alone(Rename *rename, GError **error)
{
    CstPoolState *state = rename->claim.state;
    g_autoptr(CstVolume) still = NULL;
    g_autoptr(GError) why = NULL;

    if (cst_pool_state_rename(state, rename->name, rename->new_name, &why))
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN) &&
        (!cst_pool_state_scan_any(state, rename->name, NULL, &still, NULL) || !still))
        rename_leave_to_replay(rename, why);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Moves the data kept by name to the volume's new name. */
static gboolean rename_move_kept(CstService *service, CstPoolState *state, const char *name,
                                 const char *new_name, const KeptByName *kept, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;

    if (!cst_pool_state_scan_any(state, new_name, NULL, &volume, error))
        return FALSE;
    return !volume || kept_move(service, state, name, volume, kept, error);
}

/* Rescans the clones of this volume, because their records contain its name. */
static void rescan_children(CstPool *pool, CstPoolState *state, const char *name)
{
    g_autoptr(GPtrArray) children = cst_pool_state_vol_children(state, name, NULL);

    for (guint i = 0; children && i < children->len; i++) {
        g_autofree char *child = cst_pool_state_vol_resolve(state, g_ptr_array_index(children, i));

        if (child)
            pool_rescan_volume(pool, state, child);
    }
}

/*
 * The new name enters the table before the old one is removed, so that the base of the volume
 * always has this overlay.
 */
static void rename_update_tables(const Rename *rename)
{
    CstPool *pool = rename->pool;

    pool_rescan_volume(pool, rename->claim.state, rename->new_name);
    CST_TEST_POINT("vol.rename.shown");
    pool_table_remove(pool, rename->name);
    pool_table_end_move(pool, rename->name);
    overlays_note(pool, rename->claim.state, rename->volume, NULL);
    rescan_children(pool, rename->claim.state, rename->new_name);
    for (guint i = 0; i < rename->overlays->len; i++)
        volume_rescan(&((Overlay *)g_ptr_array_index(rename->overlays, i))->claim);
}

/* Writes the record first, because trash-list finds a deleted volume by its record only. */
static gboolean record_trashed(const Rename *rename, GError **error)
{
    const CstTrashed *trashed = rename->kept.trashed;

    if (!trashed || cst_dry_run())
        return TRUE;
    if (!cst_trash_set(rename->pool->service->paths, &rename->pool->uuid, trashed, error))
        return FALSE;
    CST_CRASH_POINT("vol.rename.trash_recorded");
    return TRUE;
}

/* Performs the prepared rename. The caller clears @rename, which ends the intent. */
static gboolean rename_run_steps(Rename *rename, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!rename_record_intent(rename, error))
        return FALSE;
    CST_CRASH_POINT("vol.rename.recorded");
    if (!kept_begin_move(rename->pool, rename->new_name, error) || !record_trashed(rename, error) ||
        !(rename->overlays->len > 0 ? change_with_overlays : change_alone)(rename, error))
        return FALSE;
    CST_CRASH_POINT("vol.rename.renamed");
    /* The volume has its new name. From here on the operation must not fail. */
    if (!rename_move_kept(rename->pool->service, rename->claim.state, rename->name,
                          rename->new_name, &rename->kept, &why))
        rename_leave_to_replay(rename, why);
    CST_CRASH_POINT("vol.rename.settled");
    rename_update_tables(rename);
    return TRUE;
}

/* The references of the volume stay in force, although the volume is in no table in between. */
static gboolean rename_run(Rename *rename, GError **error)
{
    gboolean done;

    pool_table_begin_move(rename->pool, rename->volume);
    done = rename_run_steps(rename, error);
    pool_table_end_move(rename->pool, rename->name);
    return done;
}

static gboolean vol_rename_run(CstPool *pool, const char *name, const char *new_name, CstTask *task,
                               GError **error)
{
    g_auto(Rename) rename = {.pool = pool, .name = name, .new_name = new_name, .task = task};

    return rename_prepare(&rename, error) && rename_run(&rename, error);
}

gboolean volume_rename_claimed(const VolumeClaim *claim, CstVolume *volume, const char *new_name,
                               const KeptByName *kept, GError **error)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    Rename rename = {
        .pool = claim->pool,
        .name = claim->name,
        .new_name = new_name,
        .task = claim->task,
        .overlays = none,
        .claim = *claim,
        .volume = volume,
        .kept = *kept,
    };
    gboolean done = rename_run(&rename, error);

    cst_intent_end(rename.intent);
    return done;
}

gboolean cst_vol_rename(CstPool *pool, const char *name, const char *new_name, CstTask *task,
                        GError **error)
{
    g_auto(Job) job = {0};
    const uint32_t depth = chain_depth_warned(pool, name);
    gboolean done;

    job_begin(&job, pool, "rename", name, &task);
    done = vol_rename_run(pool, name, new_name, task, error);
    if (done)
        volume_renamed(pool, name, depth, pool, new_name);
    return job_end(&job, done, error);
}

/* --- after a crash ---------------------------------------------------------------------------- */

/* Returns the state of the pool of overlay @i. @state: of the volume's own pool. */
static CstPoolState *state_of_overlay(CstService *service, CstPoolState *state,
                                      VolumeOpenPool open_pool, GHashTable *fields, guint i,
                                      GError **error)
{
    const char *name = get_overlay(fields, i, "pool");

    return g_strcmp0(name, state->def->name) == 0 ? cst_pool_state_ref(state)
                                                  : open_pool(service, name, error);
}

static gboolean relink_recorded(CstService *service, CstPoolState *state, VolumeOpenPool open_pool,
                                GHashTable *fields, GError **error)
{
    for (guint i = 0; get_overlay(fields, i, "volume"); i++) {
        g_autoptr(CstPoolState) its_state =
            state_of_overlay(service, state, open_pool, fields, i, error);
        const Relink link = {
            .from = (char *)get_overlay(fields, i, "from"),
            .to = (char *)get_overlay(fields, i, "to"),
            .format = (char *)get_overlay(fields, i, "format"),
        };

        if (!its_state ||
            !relink_overlay(service, its_state, get_overlay(fields, i, "volume"), &link, error))
            return FALSE;
        CST_CRASH_POINT("vol.rename.replayed");
    }
    return TRUE;
}

/* Returns whether both are names of the same file. */
static gboolean is_one(CstPoolState *state, const CstVolume *a, const CstVolume *b)
{
    const CstFileId one = cst_volume_file_id(a), other = cst_volume_file_id(b);

    return cst_pool_state_can_link(state) && one.inode && cst_file_id_equal(&one, &other);
}

static void show_replayed(CstService *service, CstPoolState *state, const char *name,
                          const char *new_name)
{
    g_autoptr(CstPool) pool = cst_service_pool_by_name(service, state->def->name, NULL);
    g_autoptr(CstPoolState) active = pool ? pool_state_get(pool, NULL) : NULL;

    if (!active)
        return;
    pool_rescan_volume(pool, active, name);
    pool_rescan_volume(pool, active, new_name);
}

gboolean volume_rename_replay(CstService *service, CstPoolState *state, VolumeOpenPool open_pool,
                              const CstIntentRecord *record, GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, "volume");
    const char *new_name = g_hash_table_lookup(record->fields, "to");
    g_autoptr(CstVolume) before = NULL, after = NULL;
    g_auto(KeptByName) kept = {0};

    if (!name || !new_name)
        return TRUE;
    if (!cst_pool_state_scan_any(state, name, NULL, &before, error) ||
        !cst_pool_state_scan_any(state, new_name, NULL, &after, error) ||
        !intent_keep_if_same(record->fields, "identity", state, &after, error))
        return FALSE;
    kept_load(record->fields, &kept);
    if (kept.trashed)
        cst_trash_drop_temporaries(service->paths, &state->def->uuid, kept.trashed->hidden);
    /* The rename has not happened: the new name is missing, or belongs to another file. */
    if (!after)
        return !kept.trashed ||
               cst_trash_remove(service->paths, &state->def->uuid, kept.trashed->hidden, error);
    /* The old name belongs to another volume now. Only Cistern creates names of the trash. */
    if (before && !is_one(state, before, after))
        return !kept.trashed ||
               cst_trash_set(service->paths, &state->def->uuid, kept.trashed, error);
    if (!relink_recorded(service, state, open_pool, record->fields, error) ||
        !cst_pool_state_rename(state, name, new_name, error) ||
        !rename_move_kept(service, state, name, new_name, &kept, error))
        return FALSE;
    show_replayed(service, state, name, new_name);
    return TRUE;
}
