/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scan.h"

#include <errno.h>
#include <string.h>

/*
 * Listing is one call; what each image is takes two more (its header, its object map), which are
 * asked for asynchronously, many at once. Opening a thousand images with librbd would take ten
 * times as long. Images that this can't describe are opened after all.
 */

/* Asked for at once: enough that those of an OSD that hangs leave room for the others,
 * and less than librados lets through (objecter_inflight_ops). */
#define IN_FLIGHT 512

/* --- asking ----------------------------------------------------------------------------------- */

static void scanning_clear(CstCephWork *work)
{
    RbdScanning *s = (RbdScanning *)work;

    for (guint i = 0; i < s->count; i++) {
        g_free(s->looks[i].id);
        g_free(s->looks[i].name);
        cst_rbd_answers_clear(s->conn->ceph, &s->looks[i].answers);
        cst_rbd_header_clear(&s->looks[i].header);
    }
    g_free(s->looks);
    g_free(s->what);
    g_free(s->namespace);
    g_free(s->prefix);
    cst_rbd_conn_unref(s->conn);
}

static void ask(RbdLook *look);

/* With the lock held. Once calls have timed out, the rest gets what is left of their time. */
static RbdLook *next_look(RbdScanning *s)
{
    if (s->late &&
        g_get_monotonic_time() - s->started > s->conn->deadline_ms * G_TIME_SPAN_MILLISECOND)
        s->next = s->count;
    while (s->next < s->count) {
        RbdLook *look = &s->looks[s->next++];

        if (!look->id || *look->id)
            return look;
    }
    return NULL;
}

/* Begins the next look that needs asking; with none left and none under way, all is done. */
static void look_done(RbdScanning *s)
{
    RbdLook *next;
    gboolean finished;

    g_mutex_lock(&s->work.lock);
    s->pending--;
    next = next_look(s);
    s->pending += next != NULL;
    finished = s->pending == 0;
    g_mutex_unlock(&s->work.lock);
    if (next)
        ask(next);
    else if (finished)
        cst_ceph_work_finish(&s->work, TRUE, NULL);
}

static void name_parent(RbdLook *look)
{
    g_autofree char *name = cst_rbd_id_decode(&look->answers);

    if (name)
        look->header.parent = g_strconcat(look->scanning->prefix, name, NULL);
}

static gboolean has_parent_here(const RbdLook *look)
{
    const RbdScanning *s = look->scanning;

    return look->header.parent_id && look->header.parent_pool == s->conn->pool_id &&
           strcmp(look->header.parent_namespace, s->namespace) == 0;
}

/* TRUE when there is more to ask, which is what look->step says then. */
static gboolean next_step(RbdLook *look)
{
    const RbdScanning *s = look->scanning;

    switch (look->step) {
    case ASK_ID: look->step = ASK_HEADER; return TRUE;
    case ASK_HEADER:
        look->step = ASK_MAP;
        if (!s->capacity_only && cst_rbd_header_has_map(&look->header))
            return TRUE;
        G_GNUC_FALLTHROUGH;
    case ASK_MAP: look->step = ASK_PARENT; return s->thorough && has_parent_here(look);
    case ASK_OLD:
    case ASK_PARENT: break;
    }
    return FALSE;
}

/* What the answer says; TRUE when there is more to ask. */
static gboolean take_answer(RbdLook *look)
{
    gboolean done = TRUE;

    switch (look->step) {
    case ASK_ID:
        look->id = cst_rbd_id_decode(&look->answers);
        done = look->id != NULL;
        break;
    case ASK_OLD: done = FALSE; break;
    case ASK_HEADER: done = cst_rbd_header_decode(&look->answers, &look->header); break;
    case ASK_MAP: done = cst_rbd_map_decode(&look->answers, &look->header); break;
    case ASK_PARENT: name_parent(look); break;
    }
    if (!done)
        look->result = -EBADMSG;
    return done && next_step(look);
}

/* The same for an answer that is an error. */
static gboolean take_refusal(RbdLook *look)
{
    if (look->result != -ENOENT)
        return FALSE;
    /* A parent that has no name is in the trash, which librbd knows to look into. */
    if (look->step == ASK_PARENT)
        look->result = 0;
    if (look->step != ASK_ID || !look->scanning->thorough)
        return FALSE;
    look->step = ASK_OLD;
    return TRUE;
}

static void answered(rados_completion_t completion, void *data)
{
    RbdLook *look = data;
    RbdScanning *s = look->scanning;
    gboolean more;

    look->result = s->conn->ceph->rados_aio_get_return_value(completion);
    s->conn->ceph->rados_aio_release(completion);
    cst_ceph_work_heartbeat(&s->work);
    if (look->result == -ETIMEDOUT)
        s->late = TRUE;
    more = look->result >= 0 ? take_answer(look) : take_refusal(look);
    cst_rbd_answers_clear(s->conn->ceph, &look->answers);
    if (more)
        ask(look);
    else
        look_done(s);
    cst_ceph_work_unref_in_callback(&s->work);
}

static char *add_questions(RbdLook *look, rados_read_op_t op)
{
    const CstCeph *ceph = look->scanning->conn->ceph;

    switch (look->step) {
    case ASK_ID: return cst_rbd_id_ask(ceph, op, look->name, &look->answers);
    case ASK_HEADER: return cst_rbd_header_ask(ceph, op, look->id, &look->answers);
    case ASK_OLD: return cst_rbd_old_ask(ceph, op, look->name);
    case ASK_PARENT: return cst_rbd_name_ask(ceph, op, look->header.parent_id, &look->answers);
    case ASK_MAP: break;
    }
    return cst_rbd_map_ask(ceph, op, look->id, &look->answers);
}

static void ask(RbdLook *look)
{
    RbdScanning *s = look->scanning;
    const CstCeph *ceph = s->conn->ceph;
    rados_read_op_t op = ceph->rados_create_read_op();
    rados_completion_t completion = NULL;
    g_autofree char *object = add_questions(look, op);
    int result;

    cst_ceph_work_ref(&s->work);
    ceph->rados_aio_create_completion2(look, answered, &completion);
    result = ceph->rados_aio_read_op_operate(op, s->conn->io, completion, object, 0);
    ceph->rados_release_read_op(op);
    if (result < 0) {
        ceph->rados_aio_release(completion);
        look->result = result;
        look_done(s);
        cst_ceph_work_unref_in_callback(&s->work);
    }
}

gboolean cst_rbd_scanning_ask(RbdScanning *s)
{
    s->pending = 1; /* this very call, so that the end does not come before the beginning */
    for (guint i = 0; i < IN_FLIGHT; i++) {
        gboolean left;

        g_mutex_lock(&s->work.lock);
        left = s->next < s->count;
        s->pending += left;
        g_mutex_unlock(&s->work.lock);
        if (!left)
            break;
        look_done(s);
    }
    look_done(s);
    return cst_ceph_work_wait(&s->work, s->conn->deadline_ms, NULL);
}

RbdScanning *cst_rbd_scanning_new(CstPoolState *state, RbdConn *conn, guint count)
{
    RbdScanning *s = cst_ceph_work_new(sizeof(*s), NULL, scanning_clear);

    s->conn = cst_rbd_conn_ref(conn);
    s->capacity_only = state->def->refresh_alloc == CST_REFRESH_ALLOC_CAPACITY;
    s->prefix = g_strdup(((RbdState *)state)->prefix);
    s->namespace = g_strdup(((RbdState *)state)->namespace);
    if (!s->namespace)
        s->namespace = g_strdup("");
    s->what = g_strdup(state->def->name);
    s->work.what = s->what;
    s->started = g_get_monotonic_time();
    s->looks = g_new0(RbdLook, count + 1);
    return s;
}

void cst_rbd_scanning_add(RbdScanning *s, const char *name, const char *id)
{
    RbdLook *look = &s->looks[s->count++];

    look->scanning = s;
    look->id = g_strdup(id);
    look->name = g_strdup(name);
    look->step = id ? ASK_HEADER : ASK_ID;
    look->result = id && !*id ? -EBADMSG : -EINPROGRESS;
}
