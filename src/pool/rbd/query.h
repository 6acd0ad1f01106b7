/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "header.h"

/** Queries many images in parallel, without opening them (query.c). */

typedef struct RbdScanning RbdScanning;

/** The query of one image. */
typedef struct {
    RbdScanning *scanning; /* referenced while a call is pending */
    char *id;              /* "": an image of the old format; NULL: to be queried */
    char *name;
    RbdHeader header;
    RbdAnswers answers;
    enum { ASK_ID, ASK_OLD, ASK_HEADER, ASK_MAP, ASK_PARENT } step;
    int result; /* of the last call */
} RbdQuery;

struct RbdScanning {
    CstWork work;
    RbdConn *conn;          /* referenced */
    gboolean capacity_only; /* the definition disables reading allocations */
    gboolean no_list; /* without a list of images: also query old formats and the parent's name */
    char *namespace;  /* "": no namespace */
    char *prefix;     /* of paths */
    RbdQuery *queries;
    guint count;
    guint next, pending; /* guarded by work.lock */
    gint64 started;
    gboolean late; /* a call has timed out */
    char *what;
};

/**
 * Makes a scanning for at most @count images. Add the images, then call cst_rbd_scanning_ask().
 * Drop it with cst_work_unref(). NULL with NO_MEMORY.
 */
RbdScanning *cst_rbd_scanning_new(CstPoolState *state, RbdConn *conn, guint count, GError **error);
/**
 * Adds image @name. @id: its id; NULL: the id is queried; "": an image of the old format, which is
 * not queried.
 */
void cst_rbd_scanning_add(RbdScanning *s, const char *name, const char *id);
/**
 * Queries all images and waits. TRUE: each query has an answer or an error. FALSE: the deadline has
 * passed, and the queries must not be read.
 */
gboolean cst_rbd_scanning_ask(RbdScanning *s);
