/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists a Ceph pool's images and makes their records. OSDs are queried for many images in parallel
 * (query.c). An image that this does not describe is opened through librbd. If an image does not
 * answer, the scan lists its old record with that problem, because volumes must not disappear when
 * a part of the cluster hangs.
 *
 * Ceph has no stamp of an image's content. A record matches while size, features and allocation are
 * the same.
 */
#include "query.h"

#include <errno.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

/* --- listing ---------------------------------------------------------------------------------- */

static void list_free(gpointer data)
{
    GPtrArray *pairs = data;

    g_ptr_array_unref(pairs);
}

/*
 * Lists ids and names alternately, in the job's thread. The list may grow between two calls, so the
 * call is repeated until the list fits.
 */
static gboolean list_images(RbdJob *job, GError **error)
{
    g_autofree rbd_image_spec_t *specs = NULL;
    GPtrArray *pairs = g_ptr_array_new_with_free_func(g_free);
    size_t count = 256;
    int result;

    job->out = pairs;
    job->out_free = list_free;
    do {
        g_free(specs);
        specs = cst_alloc0(count, sizeof(*specs), cst_rbd_job_object(job), error);
        if (!specs)
            return FALSE;
        result = job->ceph->rbd_list2(job->conn->io, specs, &count);
    } while (result == -ERANGE);
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot list the images of %s"), job->what);
    for (size_t i = 0; i < count; i++) {
        g_ptr_array_add(pairs, g_strdup(specs[i].id));
        g_ptr_array_add(pairs, g_strdup(specs[i].name));
    }
    job->ceph->rbd_image_spec_list_cleanup(specs, count);
    return TRUE;
}

GPtrArray *cst_rbd_list_names(CstPoolState *state, GError **error)
{
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, list_images, NULL, error);

    return job && cst_rbd_job_wait(job, error) ? g_steal_pointer(&job->out) : NULL;
}

/* Hides drafts, and names with control characters, which are not valid in XML. */
static gboolean is_hidden(const char *name)
{
    if (cst_rbd_is_draft(name))
        return TRUE;
    for (const char *p = name; *p; p++)
        if (g_ascii_iscntrl(*p))
            return TRUE;
    return FALSE;
}

static gboolean rbd_name_is_listed(const char *name)
{
    return !is_hidden(name) && !cst_name_is_trash(name);
}

static RbdScanning *scanning_of_list(CstPoolState *state, RbdConn *conn, GPtrArray *pairs,
                                     GError **error)
{
    RbdScanning *s = cst_rbd_scanning_new(state, conn, pairs->len / 2, error);

    for (guint i = 0; s && i + 1 < pairs->len; i += 2)
        if (rbd_name_is_listed(g_ptr_array_index(pairs, i + 1)))
            cst_rbd_scanning_add(s, g_ptr_array_index(pairs, i + 1), g_ptr_array_index(pairs, i));
    return s;
}

/* --- records ---------------------------------------------------------------------------------- */

static gboolean rbd_text_equal(const char *a, const char *b)
{
    return g_strcmp0(a, b) == 0;
}

static gboolean still_fits(const CstVolume *known, const CstVolume *now)
{
    return known && !cst_volume_problem(known) &&
           cst_volume_stamp_equal(&known->stamp, &now->stamp) &&
           known->allocation == now->allocation &&
           rbd_text_equal(known->extra ? known->extra->backing_path : NULL,
                          now->extra ? now->extra->backing_path : NULL);
}

/* Consumes @volume. Returns a new reference to @known instead if it still matches. */
static CstVolume *or_known(CstVolume *volume, CstVolume *known)
{
    if (!still_fits(known, volume))
        return volume;
    cst_volume_unref(volume);
    return cst_volume_ref(known);
}

/*
 * Without an object map, the size of all possible objects is the allocation, and the option marks
 * it as an estimate.
 */
static CstVolume *volume_new(const CstPoolState *state, const RbdHeader *header, const char *name)
{
    CstVolume *volume = cst_volume_new(name);
    gboolean mapped = state->def->refresh_alloc != CST_REFRESH_ALLOC_CAPACITY && header->mapped;

    volume->type = CST_VOL_NETWORK;
    volume->format = "raw";
    volume->mode = volume->uid = volume->gid = CST_PERMS_UNSET;
    volume->capacity = header->size;
    volume->allocation = mapped ? header->allocated : cst_rbd_header_objects_size(header);
    volume->stamp =
        (CstVolumeStamp){.device = header->features, .inode = header->order, .size = header->size};
    if (!mapped)
        cst_options_add(&cst_volume_extra(volume)->options, "allocation", "estimate");
    if (header->parent) {
        cst_volume_extra(volume)->backing_path = g_strdup(header->parent);
        cst_volume_extra(volume)->backing_format = g_strdup("raw");
        cst_volume_extra(volume)->backing_trust = CST_TRUST_NAMED;
    }
    return volume;
}

/*
 * Makes the record of an image that could not be queried: the old record, with the reason as its
 * problem.
 */
static CstVolume *volume_unanswered(const char *name, const CstVolume *known, const char *problem)
{
    CstVolume *volume = cst_volume_new(name);

    volume->type = CST_VOL_NETWORK;
    volume->format = "raw";
    volume->mode = volume->uid = volume->gid = CST_PERMS_UNSET;
    if (known) {
        volume->capacity = known->capacity;
        volume->allocation = known->allocation;
    }
    cst_volume_extra(volume)->problem = g_strdup(problem);
    if (known && known->extra) {
        volume->extra->backing_path = g_strdup(known->extra->backing_path);
        volume->extra->backing_format = g_strdup(known->extra->backing_format);
        volume->extra->backing_trust = known->extra->backing_trust;
    }
    return volume;
}

/* --- one image, through librbd ---------------------------------------------------------------- */

static void header_free(gpointer data)
{
    cst_rbd_header_clear(data);
    g_free(data);
}

static int rbd_add_allocated(uint64_t offset, size_t length, int exists, void *data)
{
    RbdHeader *header = data;

    if (exists)
        header->allocated += length;
    return 0;
}

/*
 * With an object map, librbd answers the iteration over whole objects without reading each object.
 */
static gboolean read_image(RbdJob *job, rbd_image_t image, RbdHeader *header, GError **error)
{
    rbd_image_info_t info = {0};
    g_auto(RbdOrigin) origin = {0};
    int result = job->ceph->rbd_stat(image, &info, sizeof(info));

    if (result >= 0)
        result = job->ceph->rbd_get_features(image, &header->features);
    if (result >= 0)
        result = job->ceph->rbd_get_flags(image, &header->flags);
    header->size = info.size;
    header->order = (uint8_t)info.order;
    if (result >= 0 && !(job->flags & RBD_PROBE_CAPACITY_ONLY) && cst_rbd_header_has_map(header)) {
        result = job->ceph->rbd_diff_iterate2(image, NULL, 0, info.size, 0, 1, rbd_add_allocated,
                                              header);
        header->mapped = result >= 0;
    }
    if (result < 0)
        return cst_ceph_fail(error, result, _("failed to stat the RBD image '%s'"), job->name);
    if (!cst_rbd_origin_read(job, image, &origin, error))
        return FALSE;
    if (origin.image)
        header->parent = cst_rbd_origin_path(&origin);
    return TRUE;
}

/* Opens the image through librbd, in the job's thread. */
static gboolean probe_image(RbdJob *job, GError **error)
{
    RbdHeader *header = g_new0(RbdHeader, 1);
    rbd_image_t image = NULL;
    gboolean done;

    job->out = header;
    job->out_free = header_free;
    if (!cst_rbd_image_open(job, job->name, FALSE, &image, error))
        return FALSE;
    done = read_image(job, image, header, error);
    job->ceph->rbd_close(image);
    return done;
}

/* Returns a job with the header as its result. */
static RbdJob *open_and_probe(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, probe_image, name, error);

    if (!job)
        return NULL;
    if (state->def->refresh_alloc == CST_REFRESH_ALLOC_CAPACITY)
        job->flags = RBD_PROBE_CAPACITY_ONLY;
    return cst_rbd_job_wait(job, error) ? g_steal_pointer(&job) : NULL;
}

/* --- passing on ------------------------------------------------------------------------------- */

/*
 * Looks up the parent's name in the list of the scan. FALSE if the parent is not in this pool, so
 * that the image must be opened.
 */
static gboolean rbd_find_parent_name(RbdState *state, RbdConn *conn, GHashTable *names,
                                     RbdHeader *header)
{
    const char *name;

    if (!header->parent_id)
        return TRUE;
    name =
        header->parent_pool == conn->pool_id &&
                rbd_text_equal(header->parent_namespace, state->namespace ? state->namespace : "")
            ? g_hash_table_lookup(names, header->parent_id)
            : NULL;
    if (!name)
        return FALSE;
    header->parent = g_strconcat(state->prefix, name, NULL);
    return TRUE;
}

/*
 * Makes the record of a queried image; NULL if it was removed. @described: the answers are
 * complete. An image that timed out is not opened, because this would take another deadline.
 */
static CstVolume *record_of(CstPoolState *state, RbdQuery *query, gboolean described,
                            CstVolume *known)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(RbdJob) job = NULL;

    if (query->result == -ENOENT)
        return NULL;
    if (described && query->result >= 0)
        return or_known(volume_new(state, &query->header, query->name), known);
    if (query->result == -ETIMEDOUT || query->result == -EINPROGRESS) {
        cst_ceph_fail(&why, -ETIMEDOUT, _("volume '%s'"), query->name);
        return volume_unanswered(query->name, known, why->message);
    }
    job = open_and_probe(state, query->name, &why);
    if (job)
        return or_known(volume_new(state, job->out, query->name), known);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        return NULL;
    return volume_unanswered(query->name, known, why->message);
}

/* Passes on all records. Only this thread calls the scan's functions. */
static gboolean hand_on(CstPoolState *state, RbdScanning *s, GPtrArray *pairs, const CstScan *scan,
                        CstTask *task, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i + 1 < pairs->len; i += 2)
        g_hash_table_insert(names, g_ptr_array_index(pairs, i), g_ptr_array_index(pairs, i + 1));
    for (guint i = 0; i < s->count; i++) {
        RbdQuery *query = &s->queries[i];
        g_autoptr(CstVolume) known = scan->known(query->name, scan->data);
        CstVolume *volume;
        gboolean described;

        if (!cst_task_check(task, error))
            return FALSE;
        described = query->result >= 0 &&
                    rbd_find_parent_name((RbdState *)state, s->conn, names, &query->header);
        volume = record_of(state, query, described, known);
        if (volume)
            scan->sink(volume, scan->data);
    }
    return TRUE;
}

/* Passes on all volumes with their old data, because the cluster does not answer. */
static void hand_on_unanswered(RbdScanning *s, const CstScan *scan)
{
    for (guint i = 0; i < s->count; i++) {
        const char *name = s->queries[i].name;
        g_autoptr(CstVolume) known = scan->known(name, scan->data);
        g_autoptr(GError) why = NULL;

        cst_ceph_fail(&why, -ETIMEDOUT, _("volume '%s'"), name);
        scan->sink(volume_unanswered(name, known, why->message), scan->data);
    }
}

gboolean cst_rbd_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) pairs = cst_rbd_list_names(state, error);
    g_autoptr(RbdConn) conn = pairs ? cst_rbd_conn_get((RbdState *)state, error) : NULL;
    RbdScanning *s;
    gboolean done = TRUE;

    if (!conn)
        return FALSE;
    s = scanning_of_list(state, conn, pairs, error);
    if (!s)
        return FALSE;
    if (cst_rbd_scanning_ask(s))
        done = hand_on(state, s, pairs, scan, task, error);
    else
        hand_on_unanswered(s, scan);
    cst_work_unref(&s->work);
    return done;
}

/*
 * Queries one image without opening it. If *ret_answered is FALSE, the image must be opened. A
 * cluster that does not answer is an error here, because the caller waits for this one volume. The
 * next call then connects anew.
 */
static gboolean query_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, gboolean *ret_answered, GError **error)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)state, error);
    RbdScanning *s;
    RbdQuery *query;
    gboolean done = TRUE;

    if (!conn)
        return FALSE;
    s = cst_rbd_scanning_new(state, conn, 1, error);
    if (!s)
        return FALSE;
    s->no_list = TRUE;
    cst_rbd_scanning_add(s, name, NULL);
    query = &s->queries[0];
    if (!cst_rbd_scanning_ask(s) || query->result == -ETIMEDOUT) {
        cst_rbd_conn_give_up((RbdState *)state, conn);
        done = cst_ceph_fail(error, -ETIMEDOUT, _("volume '%s'"), name);
    } else if (query->result >= 0 && (!query->header.parent_id || query->header.parent)) {
        *ret_volume = or_known(volume_new(state, &query->header, name), known);
        *ret_answered = TRUE;
    } else {
        *ret_answered = query->result == -ENOENT && query->step == ASK_OLD;
    }
    cst_work_unref(&s->work);
    return done;
}

gboolean cst_rbd_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(RbdJob) job = NULL;
    gboolean answered_all = FALSE;

    *ret_volume = NULL;
    if (is_hidden(name) || !*name)
        return TRUE;
    if (!query_one(state, name, known, ret_volume, &answered_all, error))
        return FALSE;
    if (answered_all)
        return TRUE;
    job = open_and_probe(state, name, &why);
    if (job) {
        *ret_volume = or_known(volume_new(state, job->out, name), known);
        return TRUE;
    }
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- identity --------------------------------------------------------------------------------- */

static gboolean rbd_read_image_id(RbdJob *job, rbd_image_t image, GError **error)
{
    char *id = NULL;
    int result = cst_rbd_image_id(job, image, &id);

    job->out = id;
    job->out_free = g_free;
    return result >= 0 || cst_ceph_fail(error, result, _("failed to open %s"), job->what);
}

static gboolean rbd_image_id_job(RbdJob *job, GError **error)
{
    return cst_rbd_with_image(job, FALSE, rbd_read_image_id, error);
}

char *cst_rbd_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error)
{
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, rbd_image_id_job, volume->name, error);

    return job && cst_rbd_job_wait(job, error) ? g_steal_pointer(&job->out) : NULL;
}
