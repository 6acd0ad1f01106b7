/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes the relation of an image to its backing image. qcow2_set_backing() replaces the reference
 * with one change of the header (head.h). qcow2_empty() gives up all L2 tables and the clusters
 * that they refer to, so that the backing image shows everywhere. Both flush all earlier writes
 * first, and flush the change itself.
 */
#include "qcow2.h"
#include "qcow2/header/head.h"

/* Rewrites the reference: the name, its position, the extension with the format. Lock held. */
static gboolean backing_change(Qcow2 *q, const char *name, const char *format, GError **error)
{
    g_auto(Qcow2Head) head = {0};

    if (!qcow2_begin_changing(q, error) || !qcow2_head_read(&head, q, error))
        return FALSE;
    qcow2_head_set_text(&head, QCOW2_EXT_BACKING_FORMAT, format);
    qcow2_head_set_backing(&head, name);
    if (!qcow2_head_write(&head, error))
        return FALSE;
    q->blocks.backing = NULL;
    q->blocks.lacks_backing = name != NULL;
    return TRUE;
}

gboolean qcow2_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                           GError **error)
{
    Qcow2 *q = qcow2_of(image);
    gboolean ok;

    if (!qcow2_flush(image, error))
        return FALSE;
    g_mutex_lock(&q->blocks.lock);
    ok = backing_change(q, name, format, error);
    g_mutex_unlock(&q->blocks.lock);
    return ok && cst_blob_flush(q->blocks.blob, error);
}

gboolean qcow2_empty(CstImage *image, CstTask *task, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    gboolean ok;

    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_begin_changing(q, error);
    for (uint32_t i = 0; ok && i < q->header.l1_size; i++)
        ok = cst_task_check(task, error) && qcow2_give_up_l2(q, i, error);
    g_mutex_unlock(&q->blocks.lock);
    return ok && qcow2_flush(image, error);
}
