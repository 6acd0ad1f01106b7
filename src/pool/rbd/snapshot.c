/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of images, created, listed and removed by librbd. librbd also lists helpers of clones,
 * the trash, and snapshots of groups and mirrors. These are not user snapshots, and are not shown.
 *
 * A revert copies object by object, so an interrupted revert leaves mixed content. A note in the
 * pool's metadata records the revert before it begins. The next start of the pool repeats the
 * revert, unless the volume is open. The note has the image's id, so that it stays valid when the
 * volume is renamed.
 */
#include "rbd.h"

#include <errno.h>
#include <string.h>

#include <base/alloc.h>
#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>

/*
 * Followed by ID_MARK and the image's id. The name of a volume follows for an image of the old
 * format, which has no id. A name cannot contain ID_MARK. The value is the snapshot.
 */
#define REVERT_NOTE "cistern_revert_"
#define ID_MARK     '@'

/* --- listing ---------------------------------------------------------------------------------- */

/* A snapshot that cannot be identified is not shown. */
gboolean cst_rbd_snapshot_is_users(RbdJob *job, rbd_image_t image, const rbd_snap_info_t *snap)
{
    rbd_snap_namespace_type_t type = RBD_SNAP_NAMESPACE_TYPE_USER;

    return job->ceph->rbd_snap_get_namespace_type(image, snap->id, &type) >= 0 &&
           type == RBD_SNAP_NAMESPACE_TYPE_USER && !g_str_has_prefix(snap->name, RBD_HIDDEN_PREFIX);
}

gboolean cst_rbd_snapshot_infos(RbdJob *job, rbd_image_t image, rbd_snap_info_t **ret_infos,
                                int *ret_count, GError **error)
{
    rbd_snap_info_t *infos = NULL;
    int room = 32, count;

    do {
        g_free(infos);
        infos = cst_alloc0((uint64_t)room + 1, sizeof(*infos), cst_rbd_job_object(job), error);
        if (!infos)
            return FALSE;
        count = job->ceph->rbd_snap_list(image, infos, &room);
    } while (count == -ERANGE);
    if (count < 0) {
        g_free(infos);
        return cst_ceph_fail(error, count, _("cannot list the snapshots of %s"), job->what);
    }
    *ret_infos = infos;
    *ret_count = count;
    return TRUE;
}

int cst_rbd_snapshot_drop(RbdJob *job, rbd_image_t image, const rbd_snap_info_t *snap)
{
    rbd_snap_namespace_type_t type = RBD_SNAP_NAMESPACE_TYPE_USER;
    int result = job->ceph->rbd_snap_get_namespace_type(image, snap->id, &type);

    /*
     * The cluster removes a snapshot in the trash with its last clone. Groups and mirrors remove
     * their own snapshots.
     */
    if (result < 0 || type != RBD_SNAP_NAMESPACE_TYPE_USER)
        return result;
    result = cst_rbd_snapshot_unprotect(job, image, snap->name);
    if (result >= 0)
        result =
            job->ceph->rbd_snap_remove2(image, snap->name, 0, cst_rbd_job_progress, &job->work);
    return result;
}

/* The bytes of a snapshot alone are unknown, because only the OSDs know them, object by object. */
static CstSnapshot *rbd_snapshot_describe(RbdJob *job, rbd_image_t image,
                                          const rbd_snap_info_t *info, GHashTable *records)
{
    CstSnapshot *snapshot = g_new0(CstSnapshot, 1);
    struct timespec made = {0};

    snapshot->name = g_strdup(info->name);
    snapshot->capacity = info->size;
    snapshot->allocation = CST_SNAPSHOT_UNKNOWN;
    if (job->ceph->rbd_snap_get_timestamp(image, info->id, &made) >= 0)
        snapshot->created = made.tv_sec;
    cst_snapshot_read_record(snapshot, cst_rbd_record_of(records, info->id));
    return snapshot;
}

static gboolean list_of_image(RbdJob *job, rbd_image_t image, GError **error)
{
    g_autoptr(GHashTable) records = NULL;
    rbd_snap_info_t *infos = NULL;
    int count = 0;

    if (!cst_rbd_snapshot_infos(job, image, &infos, &count, error))
        return FALSE;
    if (count > 0)
        records = cst_rbd_records(job, image);
    for (int i = 0; i < count; i++)
        if (cst_rbd_snapshot_is_users(job, image, &infos[i]))
            g_ptr_array_add(job->out, rbd_snapshot_describe(job, image, &infos[i], records));
    job->ceph->rbd_snap_list_end(infos);
    g_free(infos);
    return TRUE;
}

static gboolean rbd_snapshot_list_job(RbdJob *job, GError **error)
{
    return cst_rbd_with_image(job, FALSE, list_of_image, error);
}

/* Moves the list out of the job, which frees the remaining elements. */
static gboolean snapshots_list(CstPoolState *state, const char *volume, GPtrArray *snapshots,
                               GError **error)
{
    return cst_rbd_job_list(state, rbd_snapshot_list_job, volume, (GDestroyNotify)cst_snapshot_free,
                            snapshots, error);
}

/* --- create, remove, rename ------------------------------------------------------------------- */

/* job->in: the record; NULL: no record. */
static gboolean create_in(RbdJob *job, rbd_image_t image, GError **error)
{
    int result =
        job->ceph->rbd_snap_create2(image, job->other, 0, cst_rbd_job_progress, &job->work);

    CST_CRASH_POINT("rbd.snapshot.created");
    if (result == -EEXIST)
        return cst_fail_snapshot_exists(job->name, job->other, error);
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot make snapshot '%s' of volume '%s'"),
                             job->other, job->name);
    if (job->in)
        cst_rbd_record_set(job, image, job->other, job->in);
    return TRUE;
}

static gboolean rbd_snapshot_create_job(RbdJob *job, GError **error)
{
    return cst_rbd_with_image(job, TRUE, create_in, error);
}

/*
 * Ceph itself does not refuse to remove a snapshot with clones of version 2, so this is checked
 * here. Sets the image back to its head.
 */
static gboolean rbd_refuse_clones(RbdJob *job, rbd_image_t image, GError **error)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;
    int result = job->ceph->rbd_snap_set(image, job->other);
    gboolean done;

    if (result == -ENOENT)
        return cst_fail_no_snapshot(job->name, job->other, error);
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot use snapshot '%s' of volume '%s'"),
                             job->other, job->name);
    done = cst_rbd_list_clones(job, image, children, error);
    job->ceph->rbd_snap_set(image, NULL);
    if (!done || children->len == 0)
        return done;
    text = cst_rbd_clones_text(job->state, children);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("snapshot '%s' of volume '%s' has clones: %s; flatten or delete them first"),
                    job->other, job->name, text);
}

/*
 * A snapshot protected by another user is refused. A protection that we set for removed clones is
 * removed.
 */
static gboolean remove_from(RbdJob *job, rbd_image_t image, GError **error)
{
    int result, is_protected = 0;
    uint64_t id = 0;

    if (!rbd_refuse_clones(job, image, error))
        return FALSE;
    result = job->ceph->rbd_snap_get_id(image, job->other, &id);
    if (result >= 0)
        result = job->ceph->rbd_snap_is_protected(image, job->other, &is_protected);
    if (result >= 0 && is_protected) {
        result = cst_rbd_snapshot_protected_by_us(job, image, job->other);
        if (result == 0)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("snapshot '%s' of volume '%s' is protected; unprotect it first (rbd "
                              "snap unprotect)"),
                            job->other, job->name);
        if (result > 0)
            result = cst_rbd_snapshot_unprotect(job, image, job->other);
    }
    if (result >= 0)
        result =
            job->ceph->rbd_snap_remove2(image, job->other, 0, cst_rbd_job_progress, &job->work);
    CST_CRASH_POINT("rbd.snapshot.removed");
    if (result == -ENOENT)
        return cst_fail_no_snapshot(job->name, job->other, error);
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot remove snapshot '%s' of volume '%s'"),
                             job->other, job->name);
    cst_rbd_record_remove(job, image, id);
    return TRUE;
}

static gboolean rbd_snapshot_remove_job(RbdJob *job, GError **error)
{
    return cst_rbd_with_image(job, TRUE, remove_from, error);
}

static gboolean rename_in(RbdJob *job, rbd_image_t image, GError **error)
{
    const char *new_name = job->in;
    int result = job->ceph->rbd_snap_rename(image, job->other, new_name);

    if (result == -ENOENT)
        return cst_fail_no_snapshot(job->name, job->other, error);
    if (result == -EEXIST)
        return cst_fail_snapshot_exists(job->name, new_name, error);
    return result >= 0 ||
           cst_ceph_fail(error, result, _("cannot rename snapshot '%s' of volume '%s'"), job->other,
                         job->name);
}

static gboolean rbd_snapshot_rename_job(RbdJob *job, GError **error)
{
    return cst_rbd_with_image(job, TRUE, rename_in, error);
}

static RbdJob *snapshot_job(CstPoolState *state, RbdRun run, const char *volume, const char *name,
                            CstTask *task, GError **error)
{
    RbdJob *job = cst_rbd_job_new(state, run, volume, error);

    if (!job)
        return NULL;
    job->other = g_strdup(name);
    job->task = task ? cst_task_ref(task) : NULL;
    return job;
}

/* A name with the hidden prefix would not be listed. */
static gboolean name_ok(const char *name, GError **error)
{
    if (g_str_has_prefix(name, RBD_HIDDEN_PREFIX))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' is a reserved name for snapshots with clones"), name);
    return cst_rbd_name_check(name, _("snapshot"), error);
}

static gboolean snapshots_create(CstPoolState *state, const char *volume, const char *name,
                                 const CstSnapshotCreate *how, CstTask *task, GError **error)
{
    g_autoptr(RbdJob) job = NULL;

    if (!name_ok(name, error))
        return FALSE;
    job = snapshot_job(state, rbd_snapshot_create_job, volume, name, task, error);
    if (!job)
        return FALSE;
    job->in = how ? cst_consistency_record(how->consistency, how->consistency_reason) : NULL;
    job->in_free = g_free;
    return cst_rbd_job_wait(job, error);
}

static gboolean snapshots_remove(CstPoolState *state, const char *volume, const char *name,
                                 CstTask *task, GError **error)
{
    g_autoptr(RbdJob) job = snapshot_job(state, rbd_snapshot_remove_job, volume, name, task, error);

    return job && cst_rbd_job_wait(job, error);
}

static gboolean snapshots_rename(CstPoolState *state, const char *volume, const char *name,
                                 const char *new_name, GError **error)
{
    g_autoptr(RbdJob) job = NULL;

    if (!name_ok(new_name, error))
        return FALSE;
    job = snapshot_job(state, rbd_snapshot_rename_job, volume, name, NULL, error);
    if (!job)
        return FALSE;
    job->in = g_strdup(new_name);
    job->in_free = g_free;
    return cst_rbd_job_wait(job, error);
}

/* --- revert ----------------------------------------------------------------------------------- */

/* Returns 0 or a negative errno. The task counts the image's size. */
static int rbd_roll_back_image(RbdJob *job, rbd_image_t image, const char *snapshot)
{
    CST_TEST_POINT("rbd.snapshot.roll_back");
    job->ceph->rbd_get_size(image, &job->size);
    cst_task_add_total(job->task, job->size);
    return job->ceph->rbd_snap_rollback_with_progress(image, snapshot, cst_rbd_job_progress,
                                                      &job->work);
}

/* Whether the revert of @note is finished, and only the note remains. */
static gboolean is_finished(RbdState *state, const char *note)
{
    gboolean finished;

    g_mutex_lock(&state->lock);
    finished = g_hash_table_contains(state->finished, note);
    g_mutex_unlock(&state->lock);
    return finished;
}

static void set_finished(RbdState *state, const char *note, gboolean finished)
{
    g_mutex_lock(&state->lock);
    if (finished)
        g_hash_table_add(state->finished, g_strdup(note));
    else
        g_hash_table_remove(state->finished, note);
    g_mutex_unlock(&state->lock);
}

/* Returns the name of the note for @image; the caller frees it. NULL: *ret_result is the errno. */
static char *note_name(RbdJob *job, rbd_image_t image, int *ret_result)
{
    g_autofree char *id = NULL;

    *ret_result = cst_rbd_image_id(job, image, &id);
    if (*ret_result < 0)
        return NULL;
    return *id ? g_strdup_printf("%c%s", ID_MARK, id) : g_strdup(job->name);
}

/* The note is set after the snapshot was found, and removed after the whole revert. */
static gboolean revert_in(RbdJob *job, rbd_image_t image, GError **error)
{
    g_autofree char *note = NULL;
    uint64_t id = 0;
    int result = job->ceph->rbd_snap_get_id(image, job->other, &id);

    if (result == -ENOENT)
        return cst_fail_no_snapshot(job->name, job->other, error);
    if (result >= 0)
        note = note_name(job, image, &result);
    if (note) {
        set_finished(job->state, note, FALSE);
        result = cst_rbd_note_set(job, REVERT_NOTE, note, job->other);
    }
    if (result >= 0) {
        CST_CRASH_POINT("rbd.revert.noted");
        result = rbd_roll_back_image(job, image, job->other);
        CST_CRASH_POINT("rbd.revert.rolled");
    }
    if (result >= 0)
        result = cst_rbd_note_remove(job, REVERT_NOTE, note);
    return result >= 0 || cst_ceph_fail(error, result,
                                        _("cannot revert volume '%s' to snapshot '%s'; try again, "
                                          "or restart the pool to have it finished"),
                                        job->name, job->other);
}

static gboolean rbd_snapshot_revert_job(RbdJob *job, GError **error)
{
    return cst_rbd_with_image(job, TRUE, revert_in, error);
}

/* A revert cannot be cancelled, because it would leave mixed content. */
static gboolean snapshots_revert(CstPoolState *state, const char *volume, const char *name,
                                 const GPtrArray *agreed, CstTask *task, GError **error)
{
    g_autoptr(RbdJob) job = snapshot_job(state, rbd_snapshot_revert_job, volume, name, task, error);

    if (!job)
        return FALSE;
    job->flags = RBD_JOB_UNSTOPPABLE;
    return cst_rbd_job_wait(job, error);
}

/* Opens the image of a note. Returns 0 or a negative errno. */
static int open_noted(RbdJob *job, const char *note, gboolean writable, rbd_image_t *ret_image)
{
    const CstCeph *ceph = job->ceph;

    if (*note == ID_MARK)
        return writable ? ceph->rbd_open_by_id(job->conn->io, note + 1, ret_image, NULL)
                        : ceph->rbd_open_by_id_read_only(job->conn->io, note + 1, ret_image, NULL);
    return writable ? ceph->rbd_open(job->conn->io, note, ret_image, NULL)
                    : ceph->rbd_open_read_only(job->conn->io, note, ret_image, NULL);
}

/*
 * TRUE if the image of @note is not open, so that no revert of it is in progress. *ret_result: 0 or
 * a negative errno.
 */
static gboolean rbd_volume_is_closed(RbdJob *job, const char *note, int *ret_result)
{
    rbd_image_t image = NULL;
    size_t watchers = 0;

    *ret_result = open_noted(job, note, FALSE, &image);
    if (*ret_result < 0)
        return TRUE;
    *ret_result = job->ceph->rbd_watchers_list(image, NULL, &watchers);
    job->ceph->rbd_close(image);
    if (*ret_result != -ERANGE)
        return *ret_result < 0 || watchers == 0;
    *ret_result = 0; /* the list has no space for the watchers */
    return FALSE;
}

/* Opens the image of @note and reverts it. Returns 0 or a negative errno. */
static int revert_again(RbdJob *job, const char *note, const char *snapshot)
{
    char name[RBD_MAX_IMAGE_NAME_SIZE + 1] = "";
    size_t len = sizeof(name);
    rbd_image_t image = NULL;
    int result = open_noted(job, note, TRUE, &image);
    gboolean named;

    if (result < 0)
        return result;
    named = job->ceph->rbd_get_name(image, name, &len) >= 0;
    result = rbd_roll_back_image(job, image, snapshot);
    job->ceph->rbd_close(image);
    if (result < 0)
        return result;
    set_finished(job->state, note, TRUE);
    cst_log(CST_LOG_INFO, "finished the revert of volume '%s' to snapshot '%s'",
            named ? name : note, snapshot);
    return result;
}

/*
 * RbdNoteFunc: completes the interrupted revert of @note, unless another process is doing it. If
 * only the note could not be removed, the revert is not repeated, because the volume may have been
 * written since.
 */
static void finish_revert(RbdJob *job, const char *note, const char *snapshot)
{
    gboolean finished = is_finished(job->state, note);
    int result = 0;

    if (!finished && !rbd_volume_is_closed(job, note, &result)) {
        job->flags |= RBD_JOB_LEFT;
        return;
    }
    if (!finished && result >= 0)
        result = revert_again(job, note, snapshot);
    /* If the volume or the snapshot was removed, no revert is needed. */
    if (result >= 0 || result == -ENOENT)
        result = cst_rbd_note_remove(job, REVERT_NOTE, note);
    if (result < 0)
        job->flags |= RBD_JOB_LEFT;
}

/* Runs in the job that drops drafts, which cannot be cancelled from here on. */
gboolean cst_rbd_finish_reverts(RbdJob *job, GError **error)
{
    job->flags = RBD_JOB_UNSTOPPABLE;
    if (!cst_rbd_note_each(job, REVERT_NOTE, finish_revert, error))
        return FALSE;
    /* A later note of these volumes is of another revert, because another process may write it. */
    if (!(job->flags & RBD_JOB_LEFT)) {
        g_mutex_lock(&job->state->lock);
        g_hash_table_remove_all(job->state->finished);
        g_mutex_unlock(&job->state->lock);
        return TRUE;
    }
    return cst_fail(error, CST_ERROR_BUSY,
                    _("a volume with an interrupted revert is open in a program; the revert is "
                      "finished when it is closed"));
}

/* --- open ------------------------------------------------------------------------------------- */

/* job->other: the snapshot. */
static gboolean open_one(RbdJob *job, GError **error)
{
    job->out_free = (GDestroyNotify)cst_blob_unref;
    job->out = cst_rbd_image_blob(job, job->name, job->other, FALSE, error);
    return job->out != NULL;
}

static CstBlob *snapshots_open(CstPoolState *state, const char *volume, const char *name,
                               GError **error)
{
    g_autoptr(RbdJob) job = snapshot_job(state, open_one, volume, name, NULL, error);

    return job && cst_rbd_job_wait(job, error) ? g_steal_pointer(&job->out) : NULL;
}

const CstSnapshotBackend cst_rbd_snapshots = {
    .of_drafts = TRUE,
    .list = snapshots_list,
    .create = snapshots_create,
    .revert = snapshots_revert,
    .remove = snapshots_remove,
    .rename = snapshots_rename,
    .open = snapshots_open,
    .changed = cst_rbd_snapshot_changed,
};
