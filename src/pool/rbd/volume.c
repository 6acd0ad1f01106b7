/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Existing volumes: opening, removal, resize, flattening, and their users. Each call is a job
 * (job.c) with one open image. A removal or a flattening releases the origin (origin.c), after a
 * note that survives a crash.
 */
#include "rbd.h"

#include <errno.h>
#include <inttypes.h>

#include <base/alloc.h>
#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <model/flags.h>

/* --- opening ---------------------------------------------------------------------------------- */

/* job->flags: for writing. */
static gboolean open_blob(RbdJob *job, GError **error)
{
    job->out_free = (GDestroyNotify)cst_blob_unref;
    job->out =
        cst_rbd_image_blob(job, job->other ? job->other : job->name, NULL, job->flags != 0, error);
    return job->out != NULL;
}

CstBlob *cst_rbd_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, open_blob, name, error);

    if (!job)
        return NULL;
    job->flags = writable;
    return cst_rbd_job_wait(job, error) ? g_steal_pointer(&job->out) : NULL;
}

/* --- delete ----------------------------------------------------------------------------------- */

/*
 * Removes snapshots: all, or (@all FALSE) only snapshots that are not a user's. BUSY if user
 * snapshots remain.
 */
static gboolean rbd_remove_snapshots(RbdJob *job, rbd_image_t image, const char *name, gboolean all,
                                     GError **error)
{
    rbd_snap_info_t *infos = NULL;
    int count = 0, result = 0;
    g_autoptr(GString) kept = g_string_new(NULL);

    if (!cst_rbd_snapshot_infos(job, image, &infos, &count, error))
        return FALSE;
    for (int i = 0; i < count && result >= 0; i++) {
        if (cst_rbd_snapshot_is_users(job, image, &infos[i]) && !all)
            g_string_append_printf(kept, "%s'%s'", kept->len ? ", " : "", infos[i].name);
        else
            result = cst_rbd_snapshot_drop(job, image, &infos[i]);
    }
    job->ceph->rbd_snap_list_end(infos);
    g_free(infos);
    if (kept->len)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("volume '%s' has snapshots: %s; delete them first, or with it "
                          "(--delete-snapshots)"),
                        name, kept->str);
    return result >= 0 ||
           cst_ceph_fail(error, result, _("failed to remove the snapshots of volume '%s'"), name);
}

/* librbd's own error would not name the clones. */
static gboolean refuse_parent(RbdJob *job, rbd_image_t image, const char *name, GError **error)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;

    if (!cst_rbd_list_clones(job, image, children, error))
        return FALSE;
    if (children->len == 0)
        return TRUE;
    text = cst_rbd_clones_text(job->state, children);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' has clones: %s; flatten or delete them first"), name, text);
}

/*
 * Makes all checks, then removes the snapshots. After a failure the image exists, and may lack some
 * of them.
 */
static gboolean prepare_removal(RbdJob *job, const char *name, gboolean snapshots,
                                RbdOrigin *origin, GError **error)
{
    rbd_image_t image = NULL;
    gboolean done;

    if (!cst_rbd_image_open(job, name, TRUE, &image, error))
        return FALSE;
    done = refuse_parent(job, image, name, error) &&
           cst_rbd_origin_read(job, image, origin, error) &&
           rbd_remove_snapshots(job, image, name, snapshots, error);
    job->ceph->rbd_close(image);
    return done;
}

/*
 * The note about the origin is set before the removal, because the origin cannot be read
 * afterwards.
 */
gboolean cst_rbd_remove_image(RbdJob *job, const char *name, gboolean snapshots, GError **error)
{
    g_auto(RbdOrigin) origin = {0};
    int result;

    if (!prepare_removal(job, name, snapshots, &origin, error))
        return FALSE;
    cst_rbd_origin_note(job, &origin);
    CST_CRASH_POINT("rbd.remove.prepared");
    result =
        job->ceph->rbd_remove_with_progress(job->conn->io, name, cst_rbd_job_progress, &job->work);
    /*
     * Ceph refuses to remove an image with watchers, which may be newer than the core's own check.
     */
    if (result == -EBUSY)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("volume '%s' is open somewhere; close it there first"), name);
    if (result < 0 && result != -ENOENT)
        return cst_ceph_fail(error, result, _("failed to remove volume '%s%s'"), job->state->prefix,
                             name);
    cst_rbd_origin_release(job, &origin);
    return TRUE;
}

static gboolean rbd_delete_volume_job(RbdJob *job, GError **error)
{
    return cst_rbd_remove_image(job, job->name, (job->flags & CST_VOL_DELETE_WITH_SNAPSHOTS) != 0,
                                error);
}

gboolean cst_rbd_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    g_autoptr(RbdJob) job = NULL;

    if (!cst_flags_check(flags, CST_VOL_DELETE_ZEROED | CST_VOL_DELETE_WITH_SNAPSHOTS,
                         "virStorageBackendRBDDeleteVol", error))
        return FALSE;
    job = cst_rbd_job_new(state, rbd_delete_volume_job, name, error);
    if (!job)
        return FALSE;
    job->flags = flags;
    return cst_rbd_job_wait(job, error);
}

/* --- rename ----------------------------------------------------------------------------------- */

/*
 * Atomic for other clients. Clones and snapshots refer to the image's id. If the image does not
 * exist and an image with the new name does, it was already renamed.
 */
static gboolean rename_image(RbdJob *job, GError **error)
{
    rbd_image_t image = NULL;
    int result = job->ceph->rbd_rename(job->conn->io, job->name, job->other);

    if (result == -EEXIST)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", job->other);
    if (result == -ENOENT) {
        if (!cst_rbd_image_open(job, job->other, FALSE, &image, NULL))
            return cst_fail_no_volume(job->name, error);
        job->ceph->rbd_close(image);
        return TRUE;
    }
    CST_CRASH_POINT("rbd.rename.renamed");
    return result >= 0 || cst_ceph_fail(error, result, _("failed to rename volume '%s%s'"),
                                        job->state->prefix, job->name);
}

gboolean cst_rbd_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                            GError **error)
{
    g_autoptr(RbdJob) job = NULL;

    if (!cst_rbd_name_check(new_name, _("volume"), error))
        return FALSE;
    job = cst_rbd_job_new(state, rename_image, name, error);
    if (!job)
        return FALSE;
    job->other = g_strdup(new_name);
    return cst_rbd_job_wait(job, error);
}

/* --- resize, flatten -------------------------------------------------------------------------- */

/* "true" allows shrinking, which the core has checked. */
static gboolean rbd_resize_job(RbdJob *job, GError **error)
{
    rbd_image_t image = NULL;
    int result;

    if (!cst_rbd_image_open(job, job->name, TRUE, &image, error))
        return FALSE;
    result = job->ceph->rbd_resize2(image, job->size, true, cst_rbd_job_progress, &job->work);
    job->ceph->rbd_close(image);
    CST_CRASH_POINT("rbd.resize.resized");
    return result >= 0 ||
           cst_ceph_fail(error, result, _("failed to resize the RBD image '%s'"), job->name);
}

gboolean cst_rbd_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                            GError **error)
{
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, rbd_resize_job, name, error);

    if (!job)
        return FALSE;
    job->size = capacity;
    return cst_rbd_job_wait(job, error);
}

/*
 * Copies the content that the image still reads from its parent. After an interruption the rest is
 * still read from the parent.
 */
static gboolean flatten_image(RbdJob *job, rbd_image_t image, GError **error)
{
    int result;

    job->ceph->rbd_get_size(image, &job->size);
    cst_task_add_total(job->task, job->size);
    result = job->ceph->rbd_flatten_with_progress(image, cst_rbd_job_progress, &job->work);
    if (!cst_task_check(job->task, result < 0 ? error : NULL) && result < 0)
        return FALSE;
    return result >= 0 ||
           cst_ceph_fail(error, result, _("failed to flatten volume '%s'"), job->name);
}

/*
 * The origin is read first, because a flattened image has no origin. It is also released after a
 * failure, which does nothing while the clone still needs it.
 */
static gboolean rbd_flatten_job(RbdJob *job, GError **error)
{
    g_auto(RbdOrigin) origin = {0};
    rbd_image_t image = NULL;
    gboolean done;

    if (!cst_rbd_image_open(job, job->name, TRUE, &image, error))
        return FALSE;
    done = cst_rbd_origin_read(job, image, &origin, error);
    if (done && !origin.image)
        done = cst_fail(error, CST_ERROR_STATE, _("volume '%s' shares content with no other"),
                        job->name);
    if (done) {
        cst_rbd_origin_note(job, &origin);
        done = flatten_image(job, image, error);
    }
    job->ceph->rbd_close(image);
    CST_CRASH_POINT("rbd.flatten.flattened");
    cst_rbd_origin_release(job, &origin);
    return done;
}

gboolean cst_rbd_vol_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error)
{
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, rbd_flatten_job, name, error);

    if (!job)
        return FALSE;
    job->task = task ? cst_task_ref(task) : NULL;
    return cst_rbd_job_wait(job, error);
}

/* --- users and dependents --------------------------------------------------------------------- */

/*
 * Appends the watchers: the clients that have the image open for writing. Leaves out the watchers
 * of this client, of all its calls.
 */
gboolean cst_rbd_list_watchers(RbdJob *job, rbd_image_t image, GPtrArray *holders, GError **error)
{
    g_autofree rbd_image_watcher_t *watchers = NULL;
    size_t count = 8;
    int result;

    do {
        g_free(watchers);
        watchers = cst_alloc0(count, sizeof(*watchers), cst_rbd_job_object(job), error);
        if (!watchers)
            return FALSE;
        result = job->ceph->rbd_watchers_list(image, watchers, &count);
    } while (result == -ERANGE);
    for (size_t i = 0; result >= 0 && i < count; i++)
        if ((uint64_t)watchers[i].id != job->conn->id)
            cst_holders_add(holders, 0, _("RBD client %" PRId64 " at %s"), watchers[i].id,
                            watchers[i].addr);
    if (result >= 0)
        job->ceph->rbd_watchers_list_cleanup(watchers, count);
    return result >= 0 ||
           cst_ceph_fail(error, result, _("cannot find the users of volume '%s'"), job->name);
}

static gboolean rbd_list_watchers_job(RbdJob *job, rbd_image_t image, GError **error)
{
    return cst_rbd_list_watchers(job, image, job->out, error);
}

static gboolean list_holders(RbdJob *job, GError **error)
{
    return cst_rbd_with_image(job, FALSE, rbd_list_watchers_job, error);
}

gboolean cst_rbd_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error)
{
    return cst_rbd_job_list(state, list_holders, name, (GDestroyNotify)cst_holder_free, holders,
                            error);
}

static gboolean clones_of(RbdJob *job, rbd_image_t image, GError **error)
{
    return cst_rbd_list_clones(job, image, job->out, error);
}

static gboolean list_children(RbdJob *job, GError **error)
{
    return cst_rbd_with_image(job, FALSE, clones_of, error);
}

gboolean cst_rbd_vol_children(CstPoolState *state, const char *name, GPtrArray *children,
                              GError **error)
{
    return cst_rbd_job_list(state, list_children, name, g_free, children, error);
}
