/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_type.h>

#include "chunks.h"
#include "commands/changed.h"
#include "commands/volume/live_copy.h"
#include "transfer.h"
#include "volume_content.h"

#define COPY_CHUNK      (UINT64_C(1) << 20)  /* bytes covered by one digest */
#define COPY_EXTENT_MAX (UINT64_C(64) << 30) /* limit for rounding up a volume */

/** The parameters and the state of a vol-copy. */
typedef struct {
    CliCtl *ctl;
    CstConn *conn, *far;
    CstConnAbilities near_can, far_can;
    CstVolRef *vol;
    CliVolContent *content; /* of the volume */
    const char *name, *to;  /* as in the command line */
    const char *format, *since;
    char *new_pool; /* NULL: the pool has the same name */
    gboolean update, moves;
    CstVolSend what;
    CliLiveCopy live;              /* the point in time of the content */
    uint64_t capacity, allocation; /* of the volume */

    CstPoolRef *pool; /* at the destination, as all fields below */
    CstPoolType pool_type;
    char *new_name, *partial;
    char *new_format;     /* format of a new copy; NULL: the pool's default */
    CstVolRef *there;     /* volume that is written; NULL: not created yet */
    uint64_t there_bytes; /* its size; larger than @capacity if the storage rounds up (LVM, ZFS) */
    gboolean fresh;       /* it has no content yet */

    /* State of the transfer: */
    Chunks passed;
    CstVolDigests near, distant;
    CstConnReceive *receive;

    CliChanged changed; /* changes since the snapshot; may be unknown */
    uint64_t read;      /* bytes that were read at the source for them */
} Copy;

/* --- content.c: servers that accept patches --------------------------------------------------- */

/**
 * Transfers the content of the source to copy->there and verifies it. Fails with MISMATCH if the
 * verification fails, or if a copy to be updated does not have the expected content.
 */
gboolean copy_content(Copy *copy, GError **error);
/**
 * Passes a piece to copy->receive, and to the digests if they were begun. A CstPieceFunc with a
 * Copy as its data.
 */
gboolean copy_pass_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                         GError **error);
/** Ends the digests of the transferred content, and moves them to copy->near. */
void copy_keep_passed(Copy *copy);
/** Fails with MISMATCH unless copy->near and copy->distant are equal. */
gboolean copy_check_is_there(const Copy *copy, GError **error);

/* --- peer.c: any other server ----------------------------------------------------------------- */

/** Checks whether the destination can store a copy of this format, as far as it can be queried. */
gboolean copy_check_peer(const Copy *copy, GError **error);
/** Returns a lower limit of the space for the copy, in bytes. */
uint64_t copy_peer_space(const Copy *copy);
/**
 * Returns the document of the copy as a volume @name. The caller frees it. Fails like
 * cli_vol_spec_xml().
 */
char *copy_document(const Copy *copy, const char *name, GError **error);
/** Returns the command that deletes the volume with the copy's name. The caller frees it. */
char *copy_delete_command(const Copy *copy);
/**
 * Creates the copy under its final name and verifies it. On failure or interruption the copy is
 * deleted, and a hint reports a copy that remains.
 */
gboolean copy_to_peer(Copy *copy, GError **error);
