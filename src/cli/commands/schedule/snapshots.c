/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The action "snapshot", and the removal of old snapshots.
 *
 * The records of the snapshots are stored before the snapshots are created. After the creation they
 * get its time, as the storage reports it. A record without this time belongs to a run that was
 * killed. Such a snapshot is adopted if the storage created it during or after that run.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "commands/consistency.h"
#include "output/progress.h"
#include "output/text.h"
#include "schedule.h"

#define MIN_FREE_PERCENT 5
#define ABSENT_DAYS      90 /* after which the records of an absent volume are removed */
#define DAY_S            86400

/* --- room ------------------------------------------------------------------------------------- */

/* Returns the bytes that must be free in a pool of @capacity bytes. */
static gboolean min_free_read(const CstSchedule *schedule, uint64_t capacity, uint64_t *ret_bytes,
                              GError **error)
{
    const char *text = cst_schedule_option(schedule, "min-free");
    guint64 percent = MIN_FREE_PERCENT;
    char *end = NULL;

    if (!text || g_str_has_suffix(text, "%")) {
        percent = text ? g_ascii_strtoull(text, &end, 10) : MIN_FREE_PERCENT;
        if ((text && (end == text || strcmp(end, "%") != 0)) || percent > 100)
            return cst_fail(error, CST_ERROR_INVALID,
                            _("--min-free '%s' is no size or percentage, such as 10G or 5%%"),
                            text);
        *ret_bytes = (uint64_t)((double)capacity * (double)percent / 100);
        return TRUE;
    }
    return cst_units_parse(text, 1, ret_bytes, error);
}

/* Returns why the pool of @vol has no room, or NULL. The caller frees it. */
static char *pool_lacks_room(const ScheduleWork *work, const char *pool_name, GError **error)
{
    CstConn *conn = work->ctl->conn;
    g_autoptr(CstPoolRef) pool = cst_conn_pool_by_name(conn, pool_name, error);
    g_autofree char *free_text = NULL, *needed_text = NULL;
    CstPoolInfo info;
    uint64_t needed = 0;

    if (!pool || !cst_conn_pool_info(conn, pool, &info, error) ||
        !min_free_read(work->schedule, info.capacity, &needed, error))
        return NULL;
    if (info.capacity == 0 || info.available >= needed)
        return NULL;
    free_text = cli_size_text(work->ctl, info.available);
    needed_text = cli_size_text(work->ctl, needed);
    return g_strdup_printf(_("pool '%s' has %s free, less than %s (--min-free)"), pool_name,
                           free_text, needed_text);
}

/* --- creation --------------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const GPtrArray *vols;
    CstSnapshotRequest request;
    CstSnapshotSet set;
} CreateTask;

static gboolean run_create(CstTask *task, gpointer data, GError **error)
{
    CreateTask *create = data;

    return cst_conn_snapshot_create_set(create->conn, create->vols, &create->request, task,
                                        &create->set, error);
}

static GPtrArray *copies_new(const GPtrArray *vols, const char *name, int64_t time)
{
    GPtrArray *copies = g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_copy_free);

    for (guint i = 0; i < vols->len; i++) {
        const CstVolRef *vol = vols->pdata[i];
        CstScheduleCopy *copy = g_new0(CstScheduleCopy, 1);

        *copy = (CstScheduleCopy){.place = g_strdup(""),
                                  .pool = g_strdup(vol->pool),
                                  .volume = g_strdup(vol->name),
                                  .name = g_strdup(name),
                                  .time = time};
        g_ptr_array_add(copies, copy);
    }
    return copies;
}

/* Sets the times of creation. */
static gboolean copies_set_created(CstConn *conn, const GPtrArray *vols, const GPtrArray *copies,
                                   GError **error)
{
    for (guint i = 0; i < vols->len; i++) {
        CstScheduleCopy *copy = copies->pdata[i];
        g_autoptr(GPtrArray) snapshots = cst_conn_snapshot_list(conn, vols->pdata[i], error);
        const CstSnapshot *snapshot;

        if (!snapshots)
            return FALSE;
        snapshot = cst_snapshot_find(snapshots, copy->name);
        copy->created = snapshot ? snapshot->created : 0;
    }
    return TRUE;
}

static gboolean request_read(const CstSchedule *schedule, const char *name,
                             CstSnapshotRequest *request, GError **error)
{
    const char *level = cst_schedule_option(schedule, "consistency");
    const char *pause = cst_schedule_option(schedule, "max-pause");
    const char *size = cst_schedule_option(schedule, "size");

    *request = (CstSnapshotRequest){.name = name};
    return (!level || cli_consistency_parse(level, &request->minimum, error)) &&
           (!pause || cli_pause_parse(pause, &request->max_pause_ms, error)) &&
           (!size || cst_units_parse(size, 1, &request->limit, error));
}

gboolean schedule_values_check(const CstSchedule *schedule, GError **error)
{
    const char *limit = cst_schedule_option(schedule, "rate-limit");
    CstSnapshotRequest request;
    uint64_t bytes;

    return request_read(schedule, "", &request, error) &&
           min_free_read(schedule, 0, &bytes, error) &&
           (!limit || cst_units_parse(limit, 1, &bytes, error));
}

static char *group_text(const ScheduleGroup *group)
{
    const CstVolRef *vol = group->vols->pdata[0];

    return group->machine ? g_strdup_printf(_("machine %s"), group->machine)
                          : g_strconcat(vol->pool, "/", vol->name, NULL);
}

/* --- copies of a run that was killed ---------------------------------------------------------- */

/* Whether the snapshot is the one that the schedule made. Without a time it is never removed. */
static gboolean snapshot_is_copy(const CstSnapshot *snapshot, const CstScheduleCopy *copy)
{
    if (!snapshot || snapshot->created == 0)
        return FALSE;
    return copy->created ? snapshot->created == copy->created : snapshot->created >= copy->time;
}

/* Loads the copies that an earlier run of this time has recorded. */
static gboolean earlier_load(ScheduleWork *work, GError **error)
{
    g_autoptr(GPtrArray) copies =
        cst_conn_schedule_copies(work->ctl->conn, work->schedule->name, error);

    if (!copies)
        return FALSE;
    work->earlier = g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_copy_free);
    for (guint i = copies->len; i > 0; i--) {
        const CstScheduleCopy *copy = copies->pdata[i - 1];

        if (copy->time == work->run.planned && !*copy->place)
            g_ptr_array_add(work->earlier, g_ptr_array_steal_index(copies, i - 1));
    }
    return TRUE;
}

/* Returns the record of a volume's copy, borrowed; NULL: the volume has no copy. */
static CstScheduleCopy *earlier_find(const ScheduleWork *work, const CstVolRef *vol,
                                     const char *name)
{
    for (guint i = 0; i < work->earlier->len; i++) {
        CstScheduleCopy *copy = work->earlier->pdata[i];

        if (strcmp(copy->pool, vol->pool) == 0 && strcmp(copy->volume, vol->name) == 0 &&
            strcmp(copy->name, name) == 0)
            return copy;
    }
    return NULL;
}

/*
 * Adopts the snapshots of a group that an earlier run of this time has made. If it has made some of
 * them only, they are deleted, because a group has one point in time. *ret_adopted: the group has
 * its copies.
 */
static gboolean group_adopt(ScheduleWork *work, const ScheduleGroup *group, const char *name,
                            gboolean *ret_adopted, GError **error)
{
    CstConn *conn = work->ctl->conn;
    g_autoptr(GPtrArray) recorded = g_ptr_array_new(), made = g_ptr_array_new();

    *ret_adopted = FALSE;
    if (!work->earlier && !earlier_load(work, error))
        return FALSE;
    for (guint i = 0; i < group->vols->len; i++) {
        const CstVolRef *vol = group->vols->pdata[i];
        CstScheduleCopy *copy = earlier_find(work, vol, name);
        g_autoptr(GPtrArray) snapshots = copy ? cst_conn_snapshot_list(conn, vol, error) : NULL;
        const CstSnapshot *snapshot;

        if (!copy)
            continue;
        if (!snapshots)
            return FALSE;
        g_ptr_array_add(recorded, copy);
        snapshot = cst_snapshot_find(snapshots, name);
        if (snapshot_is_copy(snapshot, copy)) {
            copy->created = snapshot->created;
            g_ptr_array_add(made, (gpointer)vol);
        }
    }
    if (recorded->len == 0)
        return TRUE;
    if (made->len == group->vols->len) {
        *ret_adopted = TRUE;
        work->run.made += made->len;
        return cst_conn_schedule_set_copies(conn, work->schedule->name, recorded, error);
    }
    for (guint i = 0; i < made->len; i++)
        if (!cst_conn_snapshot_delete(conn, made->pdata[i], name, NULL, error))
            return FALSE;
    return cst_conn_schedule_forget_copies(conn, recorded, error);
}

/* --- a group ---------------------------------------------------------------------------------- */

gboolean schedule_group_snapshot(ScheduleWork *work, const ScheduleGroup *group, const char *name,
                                 GError **error)
{
    CliCtl *ctl = work->ctl;
    g_autoptr(GPtrArray) copies = copies_new(group->vols, name, work->run.planned);
    CreateTask create = {.conn = ctl->conn, .vols = group->vols};
    gboolean adopted;
    uint32_t level;

    if (!request_read(work->schedule, name, &create.request, error))
        return FALSE;
    if (ctl->settings.dry_run)
        return cli_run_task(ctl, _("Taking snapshot"), run_create, &create, error);
    if (!group_adopt(work, group, name, &adopted, error) || adopted)
        return adopted;
    if (!cst_conn_schedule_set_copies(ctl->conn, work->schedule->name, copies, error))
        return FALSE;
    if (!cli_run_task(ctl, _("Taking snapshot"), run_create, &create, error)) {
        cst_conn_schedule_forget_copies(ctl->conn, copies, NULL);
        return FALSE;
    }
    level = create.set.consistency;
    cst_snapshot_set_clear(&create.set);
    work->run.made += group->vols->len;
    if (level && (!work->run.consistency || level < work->run.consistency))
        work->run.consistency = level;
    return copies_set_created(ctl->conn, group->vols, copies, error) &&
           cst_conn_schedule_set_copies(ctl->conn, work->schedule->name, copies, error);
}

/* Returns why there is no room for copies of a group; NULL: there is, or a failure in @error. */
static char *group_lacks_room(const ScheduleWork *work, const ScheduleGroup *group, GError **error)
{
    for (guint i = 0; i < group->vols->len; i++) {
        const CstVolRef *vol = group->vols->pdata[i];
        char *reason = pool_lacks_room(work, vol->pool, error);

        if (reason || (error && *error))
            return reason;
    }
    return NULL;
}

gboolean schedule_each_group(ScheduleWork *work, const GPtrArray *groups, ScheduleGroupFunc make,
                             gpointer data, GError **error)
{
    g_autofree char *name = cst_schedule_copy_name(work->schedule, work->run.planned);

    for (guint i = 0; i < groups->len; i++) {
        const ScheduleGroup *group = groups->pdata[i];
        g_autofree char *text = group_text(group);
        g_autoptr(GError) why = NULL;
        g_autofree char *reason = group_lacks_room(work, group, &why);

        if (reason)
            schedule_add_skip(work, text, reason);
        else if ((why || !make(work, group, name, data, &why)) &&
                 !schedule_fail_object(work, text, g_steal_pointer(&why), error))
            return FALSE;
    }
    return TRUE;
}

/* Like schedule_group_snapshot(). A volume that cannot have snapshots is counted, too. */
static gboolean group_snapshot(ScheduleWork *work, const ScheduleGroup *group, const char *name,
                               gpointer unused, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (schedule_group_snapshot(work, group, name, &why)) {
        work->done++;
        return TRUE;
    }
    if (g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED) && !group->machine) {
        g_autofree char *text = group_text(group);

        schedule_add_unfit(work, text, g_steal_pointer(&why));
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean schedule_run_snapshots(ScheduleWork *work, GError **error)
{
    g_autoptr(GPtrArray) groups = schedule_select(work, error);

    return groups && schedule_each_group(work, groups, group_snapshot, NULL, error) &&
           schedule_end_unfit(work, error);
}

/* --- removal ---------------------------------------------------------------------------------- */

/* The copies of one volume that still exist. */
typedef struct {
    CstVolRef *vol;
    GPtrArray *snapshots; /* of the volume */
    GPtrArray *copies;    /* of CstScheduleCopy *, borrowed, the newest first */
    GArray *times;        /* gint64: their times */
} VolCopies;

static void vol_copies_free(gpointer data)
{
    VolCopies *of = data;

    cst_vol_ref_free(of->vol);
    if (of->snapshots)
        g_ptr_array_unref(of->snapshots);
    g_ptr_array_unref(of->copies);
    g_array_unref(of->times);
    g_free(of);
}

/* Whether a pool or volume is absent or not active now. */
static gboolean is_absence(const GError *error)
{
    return g_error_matches(error, CST_ERROR, CST_ERROR_NO_VOL) ||
           g_error_matches(error, CST_ERROR, CST_ERROR_NO_POOL) ||
           g_error_matches(error, CST_ERROR, CST_ERROR_STATE);
}

/* Finds the volume and its snapshots. Its members are NULL if the volume is absent. */
static VolCopies *vol_copies_new(CstConn *conn, const CstScheduleCopy *copy, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstPoolRef) pool = cst_conn_pool_by_name(conn, copy->pool, &why);
    g_autoptr(CstVolRef) vol = pool ? cst_conn_vol_by_name(conn, pool, copy->volume, &why) : NULL;
    g_autoptr(GPtrArray) snapshots = vol ? cst_conn_snapshot_list(conn, vol, &why) : NULL;
    VolCopies *of;

    if (!snapshots && !is_absence(why)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    of = g_new0(VolCopies, 1);
    of->vol = g_steal_pointer(&vol);
    of->snapshots = g_steal_pointer(&snapshots);
    of->copies = g_ptr_array_new();
    of->times = g_array_new(FALSE, FALSE, sizeof(gint64));
    return of;
}

typedef struct {
    ScheduleWork *work;
    CstConn *conn;               /* of the host that has the copies */
    const char *place;           /* of the copies to remove */
    const CstSchedule *schedule; /* whose rules decide */
    GHashTable *volumes;         /* "POOL/VOL" to VolCopies * */
    GHashTable *unusable;        /* "POOL/VOL" of volumes that cannot be read now */
    GPtrArray *gone;             /* of CstScheduleCopy *, borrowed: copies that do not exist */
} Pruning;

static void pruning_add(Pruning *pruning, CstScheduleCopy *copy)
{
    g_autofree char *text = g_strconcat(copy->pool, "/", copy->volume, NULL);
    VolCopies *of = g_hash_table_lookup(pruning->volumes, text);
    g_autoptr(GError) why = NULL;
    const CstSnapshot *snapshot;

    if (strcmp(copy->place, pruning->place) != 0 || g_hash_table_contains(pruning->unusable, text))
        return;
    if (!of) {
        of = vol_copies_new(pruning->conn, copy, &why);
        if (!of) {
            schedule_add_failure(pruning->work, text, g_steal_pointer(&why));
            g_hash_table_add(pruning->unusable, g_steal_pointer(&text));
            return;
        }
        g_hash_table_insert(pruning->volumes, g_strdup(text), of);
    }
    if (!of->snapshots) {
        /* The volume may come back with its pool or its server. */
        if (copy->time < pruning->work->run.began - ABSENT_DAYS * DAY_S)
            g_ptr_array_add(pruning->gone, copy);
        return;
    }
    snapshot = cst_snapshot_find(of->snapshots, copy->name);
    if (!snapshot_is_copy(snapshot, copy)) {
        g_ptr_array_add(pruning->gone, copy);
        return;
    }
    /* A copy of the future was made under a wrong clock. It stays until its time. */
    if (copy->time > pruning->work->run.planned)
        return;
    g_ptr_array_add(of->copies, copy);
    g_array_append_val(of->times, copy->time);
}

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    const char *name;
} DeleteTask;

static gboolean run_delete(CstTask *task, gpointer data, GError **error)
{
    const DeleteTask *delete = data;

    return cst_conn_snapshot_delete(delete->conn, delete->vol, delete->name, task, error);
}

/* Deletes a snapshot. One that a clone or a backup needs stays, and its record, too. */
static void copy_delete(Pruning *pruning, const VolCopies *of, CstScheduleCopy *copy)
{
    ScheduleWork *work = pruning->work;
    DeleteTask task = {pruning->conn, of->vol, copy->name};
    g_autoptr(GError) why = NULL;

    if (cli_run_task(work->ctl, _("Deleting snapshot"), run_delete, &task, &why)) {
        work->run.removed++;
        g_ptr_array_add(pruning->gone, copy);
    } else if (!g_error_matches(why, CST_ERROR, CST_ERROR_BUSY)) {
        g_autofree char *text =
            g_strdup_printf(_("snapshot %s of %s/%s"), copy->name, copy->pool, copy->volume);

        schedule_add_failure(work, text, g_steal_pointer(&why));
    }
}

static void vol_prune(Pruning *pruning, const VolCopies *of)
{
    g_autoptr(GPtrArray) reasons = cst_schedule_decide(
        pruning->schedule, (const gint64 *)of->times->data, of->times->len, pruning->work->zone);

    for (guint i = 0; i < reasons->len; i++)
        if (!reasons->pdata[i] && g_array_index(of->times, gint64, i) != pruning->work->run.planned)
            copy_delete(pruning, of, of->copies->pdata[i]);
}

gboolean schedule_prune_place(ScheduleWork *work, CstConn *conn, const char *place,
                              const CstSchedule *schedule, GError **error)
{
    g_autoptr(GPtrArray) copies =
        cst_conn_schedule_copies(work->ctl->conn, work->schedule->name, error);
    g_autoptr(GHashTable) volumes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, vol_copies_free);
    g_autoptr(GHashTable) unusable = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    Pruning pruning = {work, conn, place, schedule, volumes, unusable, gone};
    GHashTableIter iter;
    gpointer of;

    if (!copies)
        return FALSE;
    for (guint i = 0; i < copies->len; i++)
        pruning_add(&pruning, copies->pdata[i]);
    g_hash_table_iter_init(&iter, volumes);
    while (g_hash_table_iter_next(&iter, NULL, &of))
        vol_prune(&pruning, of);
    return gone->len == 0 || cst_conn_schedule_forget_copies(work->ctl->conn, gone, error);
}

gboolean schedule_prune_snapshots(ScheduleWork *work, GError **error)
{
    return schedule_prune_place(work, work->ctl->conn, "", work->schedule, error);
}
