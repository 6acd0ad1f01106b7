/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "header.h"

/** Queries many images at once, without opening them (query.c). */

typedef struct RbdScanning RbdScanning;

/** One image on its way through the steps. */
typedef struct {
    RbdScanning *scanning; /* referenced while a call is under way */
    char *id;              /* "": an image of the old format; NULL: to be asked */
    char *name;
    RbdHeader header;
    RbdAnswers answers;
    enum { ASK_ID, ASK_OLD, ASK_HEADER, ASK_MAP, ASK_PARENT } step;
    int result; /* of the last call */
} RbdQuery;

struct RbdScanning {
    CstWork work;
    RbdConn *conn;          /* referenced */
    gboolean capacity_only; /* the definition says not to ask for allocations */
    gboolean no_list; /* without lists of images: also ask for old formats and the parent's name */
    char *namespace;  /* "": none */
    char *prefix;     /* of paths */
    RbdQuery *queries;
    guint count;
    guint next, pending; /* under work.lock */
    gint64 started;
    gboolean late; /* some call has timed out */
    char *what;
};

/**
 * Makes a scanning for at most @count images: add them, then ask. Drop it with
 * cst_work_unref(). NULL with NO_MEMORY.
 */
RbdScanning *cst_rbd_scanning_new(CstPoolState *state, RbdConn *conn, guint count, GError **error);
/**
 * Adds image @name. @id: its id; NULL: it has to be queried; "": of the old format, which is not
 * queried.
 */
void cst_rbd_scanning_add(RbdScanning *s, const char *name, const char *id);
/**
 * Queries all images and waits. TRUE: each has an answer, or an error, in its query. FALSE: time
 * ran out, and the queries must not be read.
 */
gboolean cst_rbd_scanning_ask(RbdScanning *s);
