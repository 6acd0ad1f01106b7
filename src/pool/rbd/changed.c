/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the changes since a snapshot from librbd, which derives them from the snapshots for which
 * each object of the image has kept its old content. Content that a clone reads from its parent has
 * not changed. The image is queried in pieces, and the ranges of each piece are sorted.
 */
#include "rbd.h"

#include <errno.h>

#include <base/error.h>
#include <base/i18n.h>

#define PIECE (UINT64_C(4) << 30)

/* Input and result of the job. The job owns them, because it may outlive the call. */
typedef struct {
    char *until; /* NULL: the image itself */
    CstChanged changed;
    GArray *piece; /* of CstRange */
    RbdJob *job;   /* the job; borrowed */
} Question;

static void question_free(gpointer data)
{
    Question *question = data;

    g_free(question->until);
    cst_changed_clear(&question->changed);
    g_array_unref(question->piece);
    g_free(question);
}

/* Called in librbd's threads, one call at a time. */
static int rbd_diff_add_range(uint64_t offset, size_t length, int exists, void *data)
{
    Question *question = data;
    const CstRange range = {offset, length};

    g_array_append_val(question->piece, range);
    return cst_rbd_job_progress(0, 0, question->job);
}

static gint compare_range_offsets(gconstpointer a, gconstpointer b)
{
    const CstRange *x = a, *y = b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* FALSE if @changed is full. */
static gboolean rbd_diff_flush_piece(Question *question)
{
    g_array_sort(question->piece, compare_range_offsets);
    for (guint i = 0; i < question->piece->len; i++) {
        const CstRange *range = &g_array_index(question->piece, CstRange, i);

        if (!cst_changed_add(&question->changed, range->offset, range->length))
            return FALSE;
    }
    g_array_set_size(question->piece, 0);
    return TRUE;
}

/* Returns 0 or a negative errno. @older: bytes of the image in the snapshot. */
static int rbd_diff_read_ranges(Question *question, rbd_image_t image, const char *since,
                                uint64_t older)
{
    CstChanged *changed = &question->changed;
    uint64_t end = MIN(older, changed->capacity);

    for (uint64_t at = changed->offset; at < end; at += PIECE) {
        int result = question->job->ceph->rbd_diff_iterate2(image, since, at, MIN(PIECE, end - at),
                                                            0, 0, rbd_diff_add_range, question);

        if (result >= 0)
            result = cst_rbd_job_progress(0, 0, question->job); /* also if no range was reported */
        if (result < 0)
            return result;
        if (!rbd_diff_flush_piece(question))
            return 0;
    }
    cst_changed_end(changed, older);
    return 0;
}

/*
 * The ids of a Ceph pool are never reused. The time distinguishes the Ceph pool from an older pool
 * with its name.
 */
static int rbd_snapshot_identity(RbdJob *job, rbd_image_t image, uint64_t id, char **ret_identity)
{
    struct timespec made = {0};
    int result = job->ceph->rbd_snap_get_timestamp(image, id, &made);

    if (result >= 0)
        *ret_identity = g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld", id,
                                        (int64_t)made.tv_sec, made.tv_nsec);
    return result;
}

/*
 * Ceph reports the changes only from an older snapshot to a newer one. A newer snapshot has a
 * higher id.
 */
static gboolean check_order(RbdJob *job, uint64_t since, uint64_t until, GError **error)
{
    const Question *question = job->out;

    return since <= until || cst_fail(error, CST_ERROR_UNSUPPORTED,
                                      _("snapshot '%s' of volume '%s' is newer than snapshot '%s'"),
                                      job->other, job->name, question->until);
}

/* Sets @image to @snapshot (NULL: the image itself), and returns its size. */
static gboolean rbd_select_snapshot(RbdJob *job, rbd_image_t image, const char *snapshot,
                                    uint64_t *ret_size, GError **error)
{
    int result = job->ceph->rbd_snap_set(image, snapshot);

    if (result >= 0)
        result = job->ceph->rbd_get_size(image, ret_size);
    if (snapshot && result == -ENOENT)
        return cst_fail_no_snapshot(job->name, snapshot, error);
    return result >= 0 || cst_ceph_fail(error, result, _("failed to open %s"), job->what);
}

static gboolean rbd_diff_image(RbdJob *job, rbd_image_t image, GError **error)
{
    Question *question = job->out;
    uint64_t older = 0, capacity = 0, since = 0, until = UINT64_MAX;
    char *identity = NULL;
    int result;

    if (!rbd_select_snapshot(job, image, job->other, &older, error) ||
        !rbd_select_snapshot(job, image, question->until, &capacity, error))
        return FALSE;
    result = job->ceph->rbd_snap_get_id(image, job->other, &since);
    if (result >= 0 && question->until)
        result = job->ceph->rbd_snap_get_id(image, question->until, &until);
    if (result >= 0 && !check_order(job, since, until, error))
        return FALSE;
    if (result >= 0)
        result = rbd_snapshot_identity(job, image, since, &identity);
    cst_changed_begin(&question->changed, capacity, identity);
    if (result >= 0)
        result = rbd_diff_read_ranges(question, image, job->other, older);
    if (result == -ECANCELED && !cst_task_check(job->task, error))
        return FALSE;
    return result >= 0 ||
           cst_ceph_fail(error, result, _("cannot determine the changes in %s since snapshot '%s'"),
                         job->what, job->other);
}

static gboolean rbd_diff_job(RbdJob *job, GError **error)
{
    return cst_rbd_with_image(job, FALSE, rbd_diff_image, error);
}

gboolean cst_rbd_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                                  const char *until, CstTask *task, CstChanged *changed,
                                  GError **error)
{
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, rbd_diff_job, volume, error);
    Question *question;

    if (!job)
        return FALSE;
    question = g_new0(Question, 1);
    question->until = g_strdup(until);
    question->changed = (CstChanged){.offset = changed->offset, .max = changed->max};
    question->piece = g_array_new(FALSE, FALSE, sizeof(CstRange));
    question->job = job;
    job->other = g_strdup(since);
    job->task = task ? cst_task_ref(task) : NULL;
    job->out = question;
    job->out_free = question_free;
    if (!cst_rbd_job_wait(job, error))
        return FALSE;
    cst_changed_clear(changed);
    *changed = question->changed;
    question->changed = (CstChanged){0};
    return TRUE;
}
