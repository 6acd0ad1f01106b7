/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_type.h>

#include "chunks.h"
#include "commands/changed.h"
#include "transfer.h"
#include "volume_content.h"

#define COPY_CHUNK      (UINT64_C(1) << 20)  /* bytes that one digest is of */
#define COPY_EXTENT_MAX (UINT64_C(64) << 30) /* by which a server may round a volume's size up */

/** A vol-copy: what is to be copied where, and what has been found out. */
typedef struct {
    CliCtl *ctl;
    CstConn *conn, *far;
    CstConnAbilities near_can, far_can;
    CstVolRef *vol;
    CliVolContent *content; /* of it */
    const char *name, *to;  /* as the user wrote them */
    const char *format, *since;
    char *new_pool; /* NULL: one of the same name */
    gboolean update, moves;
    CstVolSend what;
    uint64_t capacity, allocation; /* of the volume */

    CstPoolRef *pool; /* on the far side, as all below */
    CstPoolType pool_type;
    char *new_name, *partial;
    char *new_format;     /* of a new copy; NULL: the pool's own */
    CstVolRef *there;     /* what is written to; NULL: not made yet */
    uint64_t there_bytes; /* of it: more than @capacity where the storage rounds up (LVM, ZFS) */
    gboolean fresh;       /* it holds nothing of the content */

    /* While content passes: */
    Chunks passed;
    CstVolDigests near, distant;
    CstConnReceive *receive;

    CliChanged changed; /* since the snapshot; told or not */
    uint64_t read;      /* bytes that were read for it here */
} Copy;

/* --- content.c: a server that takes patches --------------------------------------------------- */

/**
 * Brings what the source holds to copy->there, and proves that it is there. MISMATCH when it is
 * not, or when a copy that is to be brought up to date is not what it should be.
 */
gboolean copy_content(Copy *copy, GError **error);
/** Gives a piece to what copy->receive fills, and to the digests of what passes if they are begun;
 * a CstPieceFunc with a Copy. */
gboolean copy_pass_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                         GError **error);
/** Ends the digests of what has passed, and makes them copy->near. */
void copy_keep_passed(Copy *copy);
/** MISMATCH unless the far side has what was read here, by copy->near and copy->distant. */
gboolean copy_check_is_there(const Copy *copy, GError **error);

/* --- peer.c: any other server ----------------------------------------------------------------- */

/** Whether the far side can be given a copy of this format, as far as it can be asked. */
gboolean copy_check_peer(const Copy *copy, GError **error);
/** The least space that the copy is assumed to take there, in bytes. */
uint64_t copy_peer_space(const Copy *copy);
/** Returns the document of the copy, as a volume called @name. Free it. As cli_vol_spec_xml(). */
char *copy_document(const Copy *copy, const char *name, GError **error);
/** The command that deletes what is there under the copy's name. Free it. */
char *copy_delete_command(const Copy *copy);
/**
 * Makes the copy, under its name, and proves it. Whatever fails or is interrupted before that
 * deletes it again, and a hint says what is left.
 */
gboolean copy_to_peer(Copy *copy, GError **error);
