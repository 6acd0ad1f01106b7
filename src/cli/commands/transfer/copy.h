/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "chunks.h"
#include "commands/changed.h"
#include "transfer.h"

/** A vol-copy: what is to be copied where, and what has been found out. */
typedef struct {
    CliCtl *ctl;
    CstConn *conn, *far;
    CstVolRef *vol;
    const char *name, *to; /* as the user wrote them */
    const char *new_pool, *format, *since;
    gboolean update, moves;
    CstVolSend what;
    uint64_t capacity, allocation; /* of the volume */

    CstPoolRef *pool; /* on the far side, as all below */
    char *new_name, *partial;
    CstVolRef *there; /* what is written to; NULL: not made yet */
    gboolean fresh;   /* it holds nothing of the content */

    /* While content passes: */
    Chunks passed;
    CstVolDigests near, distant;
    CstConnReceive *receive;

    CliChanged changed; /* since the snapshot; told or not */
    uint64_t read;      /* bytes that were read for it here */
} Copy;

/**
 * Brings what the source holds to copy->there, and proves that it is there. MISMATCH when it is
 * not, or when a copy that is to be brought up to date is not what it should be.
 */
gboolean copy_content(Copy *copy, GError **error);
