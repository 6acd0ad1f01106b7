/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries many images without opening them. Listing is one call. The properties of an image need
 * two further calls (its header, its object map), which are asynchronous, with many calls in
 * parallel. Opening a thousand images with librbd would take ten times as long. Images that cannot
 * be described in this way are opened (scan.c).
 *
 * Each image passes through steps (its id, its header, its object map, its parent's name), with one
 * call at a time. The answer to a call starts the next call, in librados' thread. work.lock guards
 * the index of the next image and the number of pending calls. A query belongs to the thread of its
 * answer.
 *
 * The waiter gives up after the deadline. Pending calls have a reference to the scanning, so a late
 * answer writes to memory that still exists, and is not read.
 */
#include "query.h"

#include <errno.h>
#include <string.h>

#include <base/alloc.h>

/*
 * Maximum number of pending calls. It is large, so that calls to a hanging OSD do not block calls
 * to other OSDs, and below librados' own limit (objecter_inflight_ops).
 */
#define IN_FLIGHT 512

/* --- calls ------------------------------------------------------------------------------------ */

/* Runs after the last answer, when the waiter has dropped its reference. */
static void scanning_clear(CstWork *work)
{
    RbdScanning *s = (RbdScanning *)work;

    for (guint i = 0; i < s->count; i++) {
        g_free(s->queries[i].id);
        g_free(s->queries[i].name);
        cst_rbd_answers_clear(s->conn->ceph, &s->queries[i].answers);
        cst_rbd_header_clear(&s->queries[i].header);
    }
    g_free(s->queries);
    g_free(s->what);
    g_free(s->namespace);
    g_free(s->prefix);
    cst_rbd_conn_unref(s->conn);
}

static void query_submit(RbdQuery *query);

/*
 * Returns the next image to query, or NULL. If a call has timed out, the remaining images are
 * skipped after the deadline of the first call. The caller holds the lock.
 */
static RbdQuery *next_query(RbdScanning *s)
{
    if (s->late &&
        g_get_monotonic_time() - s->started > s->conn->deadline_ms * G_TIME_SPAN_MILLISECOND)
        s->next = s->count;
    while (s->next < s->count) {
        RbdQuery *query = &s->queries[s->next++];

        /* An image of the old format has no header object. */
        if (!query->id || *query->id)
            return query;
    }
    return NULL;
}

/* Ends a query and starts the next one. After the last query the scanning is finished. */
static void query_done(RbdScanning *s)
{
    RbdQuery *next;
    gboolean finished;

    g_mutex_lock(&s->work.lock);
    s->pending--;
    next = next_query(s);
    s->pending += next != NULL;
    finished = s->pending == 0;
    g_mutex_unlock(&s->work.lock);
    if (next)
        query_submit(next);
    else if (finished)
        cst_work_finish(&s->work, TRUE, NULL);
}

static void query_set_parent(RbdQuery *query)
{
    g_autofree char *name = cst_rbd_id_decode(&query->answers);

    if (name)
        query->header.parent = g_strconcat(query->scanning->prefix, name, NULL);
}

/* Whether the parent is in this pool and namespace, so that its name can be queried. */
static gboolean has_parent_here(const RbdQuery *query)
{
    const RbdScanning *s = query->scanning;

    return query->header.parent_id && query->header.parent_pool == s->conn->pool_id &&
           strcmp(query->header.parent_namespace, s->namespace) == 0;
}

/* Moves to the next step. TRUE if the step needs a call. */
static gboolean query_next_step(RbdQuery *query)
{
    const RbdScanning *s = query->scanning;

    switch (query->step) {
    case ASK_ID: query->step = ASK_HEADER; return TRUE;
    case ASK_HEADER:
        query->step = ASK_MAP;
        if (!s->capacity_only && cst_rbd_header_has_map(&query->header))
            return TRUE;
        G_GNUC_FALLTHROUGH;
    case ASK_MAP: query->step = ASK_PARENT; return s->no_list && has_parent_here(query);
    case ASK_OLD:
    case ASK_PARENT: break;
    }
    return FALSE;
}

/*
 * Decodes the answer. TRUE if another step needs a call. An invalid answer becomes -EBADMSG, so
 * that scan.c opens the image.
 */
static gboolean query_decode_answer(RbdQuery *query)
{
    gboolean done = TRUE;

    switch (query->step) {
    case ASK_ID:
        query->id = cst_rbd_id_decode(&query->answers);
        done = query->id != NULL;
        break;
    case ASK_OLD: done = FALSE; break;
    case ASK_HEADER: done = cst_rbd_header_decode(&query->answers, &query->header); break;
    case ASK_MAP: done = cst_rbd_map_decode(&query->answers, &query->header); break;
    case ASK_PARENT: query_set_parent(query); break;
    }
    if (!done)
        query->result = -EBADMSG;
    return done && query_next_step(query);
}

/* Like query_decode_answer(), for a failed call. An image without an id may have the old format. */
static gboolean query_handle_error(RbdQuery *query)
{
    if (query->result != -ENOENT)
        return FALSE;
    /* A parent without a name is in the trash, which only librbd searches. */
    if (query->step == ASK_PARENT)
        query->result = 0;
    if (query->step != ASK_ID || !query->scanning->no_list)
        return FALSE;
    query->step = ASK_OLD;
    return TRUE;
}

/*
 * librados' callback, in one of its threads. The reference of query_submit() keeps the scanning
 * alive until here.
 */
static void query_completed(rados_completion_t completion, void *data)
{
    RbdQuery *query = data;
    RbdScanning *s = query->scanning;
    gboolean more;

    query->result = s->conn->ceph->rados_aio_get_return_value(completion);
    s->conn->ceph->rados_aio_release(completion);
    cst_work_heartbeat(&s->work);
    if (query->result == -ETIMEDOUT)
        s->late = TRUE;
    more = query->result >= 0 ? query_decode_answer(query) : query_handle_error(query);
    cst_rbd_answers_clear(s->conn->ceph, &query->answers);
    if (more)
        query_submit(query);
    else
        query_done(s);
    cst_work_unref_in_callback(&s->work);
}

static char *add_questions(RbdQuery *query, rados_read_op_t op)
{
    const CstCeph *ceph = query->scanning->conn->ceph;

    switch (query->step) {
    case ASK_ID: return cst_rbd_id_ask(ceph, op, query->name, &query->answers);
    case ASK_HEADER: return cst_rbd_header_ask(ceph, op, query->id, &query->answers);
    case ASK_OLD: return cst_rbd_old_ask(ceph, op, query->name);
    case ASK_PARENT: return cst_rbd_name_ask(ceph, op, query->header.parent_id, &query->answers);
    case ASK_MAP: break;
    }
    return cst_rbd_map_ask(ceph, op, query->id, &query->answers);
}

/* Makes the call of the query's step. If the call cannot be made, the query ends with its error. */
static void query_submit(RbdQuery *query)
{
    RbdScanning *s = query->scanning;
    const CstCeph *ceph = s->conn->ceph;
    rados_read_op_t op = ceph->rados_create_read_op();
    rados_completion_t completion = NULL;
    g_autofree char *object = add_questions(query, op);
    int result;

    cst_work_ref(&s->work);
    ceph->rados_aio_create_completion2(query, query_completed, &completion);
    result = ceph->rados_aio_read_op_operate(op, s->conn->io, completion, object, 0);
    ceph->rados_release_read_op(op);
    if (result < 0) {
        ceph->rados_aio_release(completion);
        query->result = result;
        query_done(s);
        cst_work_unref_in_callback(&s->work);
    }
}

gboolean cst_rbd_scanning_ask(RbdScanning *s)
{
    s->pending = 1; /* this function counts as a call, so that the first answers cannot finish the
                       scanning */
    for (guint i = 0; i < IN_FLIGHT; i++) {
        gboolean left;

        g_mutex_lock(&s->work.lock);
        left = s->next < s->count;
        s->pending += left;
        g_mutex_unlock(&s->work.lock);
        if (!left)
            break;
        query_done(s);
    }
    query_done(s);
    return cst_work_wait(&s->work, s->conn->deadline_ms, NULL);
}

RbdScanning *cst_rbd_scanning_new(CstPoolState *state, RbdConn *conn, guint count, GError **error)
{
    RbdScanning *s = cst_work_new(sizeof(*s), NULL, scanning_clear);

    s->conn = cst_rbd_conn_ref(conn);
    s->capacity_only = state->def->refresh_alloc == CST_REFRESH_ALLOC_CAPACITY;
    s->prefix = g_strdup(((RbdState *)state)->prefix);
    s->namespace = g_strdup(((RbdState *)state)->namespace);
    if (!s->namespace)
        s->namespace = g_strdup("");
    s->what = g_strdup(state->def->name);
    s->work.what = s->what;
    s->started = g_get_monotonic_time();
    s->queries = cst_alloc0(count, sizeof(*s->queries), s->what, error);
    if (!s->queries) {
        cst_work_unref(&s->work);
        return NULL;
    }
    return s;
}

void cst_rbd_scanning_add(RbdScanning *s, const char *name, const char *id)
{
    RbdQuery *query = &s->queries[s->count++];

    query->scanning = s;
    query->id = g_strdup(id);
    query->name = g_strdup(name);
    query->step = id ? ASK_HEADER : ASK_ID;
    query->result = id && !*id ? -EBADMSG : -EINPROGRESS;
}
