/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists and changes snapshots; snapshot_lv.c describes their LVs.
 *
 * A revert keeps the snapshot. A thin revert makes a writable thin snapshot of the snapshot, which
 * gets the volume's name (swap.c). A classic revert merges the snapshot, which consumes it, and
 * creates it anew. A crash between the two loses the snapshot, but not the volume's content. The
 * core has claimed the volume. For revert and delete it has checked that the volume is not open.
 */
#include "logical.h"

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/uuid.h>

/* --- list ------------------------------------------------------------------------------------- */

static char *lv_snapshot_problem(const LvmVolume *lv)
{
    if (lvm_is_lost(lv))
        return g_strdup(_("more of the volume was overwritten than the snapshot has room for"));
    return NULL;
}

static CstSnapshot *lv_snapshot_describe(const LvmGroup *group, const LvmVolume *lv)
{
    CstSnapshot *snapshot = g_new0(CstSnapshot, 1);
    char *name = logical_tag_value(lv, "snap");
    g_autofree char *record = logical_tag_value(lv, LOGICAL_RECORD_TAG);

    snapshot->name = name ? name : g_strdup(lv->name);
    snapshot->created = logical_snapshot_taken_us(lv) / G_USEC_PER_SEC;
    snapshot->capacity = logical_capacity(group, lv);
    snapshot->allocation = CST_SNAPSHOT_UNKNOWN;
    snapshot->problem = lv_snapshot_problem(lv);
    cst_snapshot_read_record(snapshot, record);
    if (lvm_is_cow(lv)) {
        snapshot->limit = lv->size;
        if (lv->data != LVM_PERCENT_UNKNOWN)
            snapshot->allocation = lvm_part(lv->size, lv->data);
    }
    return snapshot;
}

static gboolean lv_list_snapshots(CstPoolState *state, const char *volume, GPtrArray *snapshots,
                                  GError **error)
{
    g_autoptr(LvmVolume) plain = logical_plain_now(LOGICAL(state), volume);
    g_auto(LogicalLookup) found = {0};
    g_autoptr(GPtrArray) list = NULL;

    if (plain)
        return TRUE; /* the devices of an origin and of a thin volume lie on further devices */
    if (!logical_look_up(state, volume, NULL, TRUE, &found, error))
        return FALSE;
    list = logical_snapshots_of(found.group, found.id);
    for (guint i = 0; i < list->len; i++)
        g_ptr_array_add(snapshots, lv_snapshot_describe(found.group, g_ptr_array_index(list, i)));
    return TRUE;
}

/* A snapshot has the id of its volume in a tag. */
static gboolean lv_snapshot_volumes(CstPoolState *state, GHashTable *names, GError **error)
{
    g_autoptr(LvmGroup) group = logical_group_read(LOGICAL(state), NULL, error);
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; group && i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);
        char *of = cst_draft_is_hidden(lv->name) ? logical_tag_value(lv, "of") : NULL;

        if (of)
            g_hash_table_add(ids, of);
    }
    for (guint i = 0; group && i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);
        g_autofree char *id = logical_volume_id(lv);

        if (g_hash_table_contains(ids, id))
            g_hash_table_add(names, g_strdup(lv->name));
    }
    return group != NULL;
}

/* --- create ----------------------------------------------------------------------------------- */

/*
 * Checks whether the LV was created, even if the tool failed, because it may have failed after the
 * creation. @why: the tool's error; NULL: it reported success.
 */
static gboolean lv_check_created(LogicalState *state, const char *lv, GError **why, GError **error)
{
    g_autoptr(LvmGroup) group = NULL;
    struct stat node;

    if (!*why && logical_has_node(state, lv, &node))
        return TRUE;
    group = logical_group_read(state, NULL, error);
    if (!group)
        return FALSE;
    if (lvm_group_find(group, lv))
        return TRUE;
    if (!*why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'lvcreate' claims success, but there is no snapshot"));
    g_propagate_error(error, g_steal_pointer(why));
    return FALSE;
}

static gboolean lv_create_snapshot(CstPoolState *state, const char *volume, const char *name,
                                   const CstSnapshotCreate *how, CstTask *task, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_auto(LogicalLookup) found = {0};
    g_auto(GStrv) tags = NULL, argv = NULL;
    g_autofree char *lv = cst_hidden_name(LOGICAL_SNAPSHOT_SUFFIX);
    g_autofree char *record =
        how ? cst_consistency_record(how->consistency, how->consistency_reason) : NULL;
    g_autoptr(GError) why = NULL;

    if (!logical_look_up(state, volume, name, FALSE, &found, error) ||
        !logical_snapshot_check(&found, volume, name, error))
        return FALSE;
    tags = logical_snapshot_tags(found.id, name,
                                 how && how->taken_us ? how->taken_us : g_get_real_time(), record);
    argv = logical_snapshot_argv(logical, volume, lv,
                                 logical_snapshot_room(logical, how, found.volume), TRUE, tags);
    CST_CRASH_POINT("logical.snapshot.before");
    if (lvm_is_thin(found.volume))
        logical_thin_create(logical, volume, (const char *const *)argv, &why);
    else
        logical_changev(logical, (const char *const *)argv, NULL, &why);
    CST_CRASH_POINT("logical.snapshot.made");
    return lv_check_created(logical, lv, &why, error);
}

/* --- revert ----------------------------------------------------------------------------------- */

/* A writable thin snapshot of the snapshot gets the volume's name. */
static gboolean revert_thin(CstPoolState *state, const LogicalLookup *found, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    char *tags[] = {logical_tag("id", found->id), NULL};
    char token[CST_UUID_TEXT_LEN];
    g_autofree char *draft = NULL;
    CstUuid uuid;
    gboolean done;

    cst_uuid_generate(&uuid);
    draft = cst_draft_name(cst_uuid_format(&uuid, token));
    done = logical_thin_clone(logical, found->snapshot->name, draft, tags, error);
    CST_CRASH_POINT("logical.revert.drafted");
    g_free(tags[0]);
    /* The tag "id" of the draft keeps the other snapshots assigned to the volume. */
    done = done && logical_swap_in(logical, found->volume->name, draft, error);
    if (!done)
        logical_vol_abandon(state, token, NULL);
    return done;
}

/*
 * Merges classic snapshot LV @lv into its origin, without a time limit. The report decides: after a
 * merge the snapshot is removed, even if the tool failed.
 */
static gboolean merge_classic(LogicalState *state, const char *lv, GError **error)
{
    g_autofree char *target = logical_target(state, lv);
    const char *const argv[] = {"lvconvert", "-y", "--merge", "--interval", "1", target, NULL};
    g_autoptr(GError) why = NULL;
    g_autoptr(LvmGroup) group = NULL;

    logical_change_within(state, argv, 0, NULL, &why);
    group = logical_group_read(state, NULL, error);
    if (!group)
        return FALSE;
    if (!lvm_group_find(group, lv))
        return TRUE;
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return cst_fail(error, CST_ERROR_BUSY,
                    _("LVM puts the merge off until the volume is activated anew: something had it "
                      "open"));
}

/*
 * LVM merges a classic snapshot into its origin, which survives a power cut, and consumes it.
 * Volume and snapshot then have the same content, so a new snapshot of the volume replaces the old
 * one.
 */
static gboolean revert_classic(LogicalState *state, const LogicalLookup *found, const char *name,
                               GError **error)
{
    const LvmVolume *snapshot = found->snapshot;
    g_autofree char *lv = cst_hidden_name(LOGICAL_SNAPSHOT_SUFFIX);
    g_autofree char *record = logical_tag_value(snapshot, LOGICAL_RECORD_TAG);
    g_auto(GStrv) tags =
        logical_snapshot_tags(found->id, name, logical_snapshot_taken_us(snapshot), record);
    g_auto(GStrv) argv =
        logical_snapshot_argv(state, found->volume->name, lv, snapshot->size, TRUE, tags);
    g_autoptr(GError) why = NULL;

    if (lvm_is_lost(snapshot))
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("snapshot '%s' of volume '%s' ran out of room and is lost; delete it"),
                        name, found->volume->name);
    /*
     * Checked as late as possible, because a merge that LVM postpones cannot be cancelled any more.
     */
    if (!logical_refuse_held(state, found->volume->name, found->volume->name, error) ||
        !merge_classic(state, snapshot->name, error))
        return FALSE;
    CST_CRASH_POINT("logical.revert.merged");
    logical_changev(state, (const char *const *)argv, NULL, &why);
    if (lv_check_created(state, lv, &why, error))
        return TRUE;
    g_prefix_error(error, _("volume '%s' was reverted, but snapshot '%s' could not be kept: "),
                   found->volume->name, name);
    return FALSE;
}

static gboolean lv_revert_snapshot(CstPoolState *state, const char *volume, const char *name,
                                   const GPtrArray *agreed, CstTask *task, GError **error)
{
    g_auto(LogicalLookup) found = {0};

    if (!logical_find_snapshot(state, volume, name, TRUE, &found, error))
        return FALSE;
    CST_CRASH_POINT("logical.revert.before");
    if (lvm_is_thin(found.snapshot))
        return revert_thin(state, &found, error);
    return revert_classic(LOGICAL(state), &found, name, error);
}

/* --- remove, rename, open --------------------------------------------------------------------- */

static gboolean lv_remove_snapshot(CstPoolState *state, const char *volume, const char *name,
                                   CstTask *task, GError **error)
{
    g_auto(LogicalLookup) found = {0};

    return logical_find_snapshot(state, volume, name, FALSE, &found, error) &&
           logical_remove_lv(LOGICAL(state), found.snapshot->name, error);
}

/* A single change of the group's metadata, so that the snapshot always has a name. */
static gboolean lv_rename_snapshot(CstPoolState *state, const char *volume, const char *name,
                                   const char *new_name, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_auto(LogicalLookup) found = {0}, taken = {0};
    g_autofree char *target = NULL, *was = logical_tag("snap", name);
    g_autofree char *is = logical_tag("snap", new_name);

    if (!logical_find_snapshot(state, volume, name, FALSE, &found, error) ||
        !logical_look_up(state, volume, new_name, FALSE, &taken, error))
        return FALSE;
    if (taken.snapshot)
        return cst_fail_snapshot_exists(volume, new_name, error);
    target = logical_target(logical, found.snapshot->name);
    return logical_change(logical, NULL, error, "lvchange", "--deltag", was, "--addtag", is, target,
                          NULL);
}

static CstBlob *lv_open_snapshot(CstPoolState *state, const char *volume, const char *name,
                                 GError **error)
{
    g_auto(LogicalLookup) found = {0};

    if (!logical_find_snapshot(state, volume, name, TRUE, &found, error))
        return NULL;
    if (lvm_is_lost(found.snapshot)) {
        cst_fail(error, CST_ERROR_CORRUPT,
                 _("snapshot '%s' of volume '%s' ran out of room and is lost; delete it"), name,
                 volume);
        return NULL;
    }
    return logical_open_lv(LOGICAL(state), found.snapshot->name, FALSE, error);
}

const CstSnapshotBackend logical_snapshots = {
    .of_drafts = TRUE,
    .list = lv_list_snapshots,
    .volumes = lv_snapshot_volumes,
    .create = lv_create_snapshot,
    .revert = lv_revert_snapshot,
    .remove = lv_remove_snapshot,
    .rename = lv_rename_snapshot,
    .open = lv_open_snapshot,
    .plan_begin = logical_plan_begin,
    .plan_rehearse = logical_plan_rehearse,
    .plan_make = logical_plan_make,
    .plan_commit = logical_plan_commit,
    .plan_end = logical_plan_end,
    .changed = logical_snapshot_changed,
};
