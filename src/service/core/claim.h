/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Begins a change of the pool: waits until no other change is running and the operations on its
 * volumes have ended. @task limits and cancels the wait; NULL: no limit. Errors: BUSY, naming the
 * holder, when the wait takes too long, or at once when the holder is a stream, because its client
 * decides how long it lasts; NO_POOL when the pool was removed during the wait.
 */
gboolean pool_change_begin(CstPool *pool, CstTask *task, GError **error);
/** Ends the change that this caller has begun, and wakes the waiting claims and changes. */
void pool_change_end(CstPool *pool);

typedef enum { CLAIM_READ, CLAIM_WRITE } ClaimKind;

/**
 * A running operation on a volume. It prevents the pool from being stopped, and excludes
 * conflicting operations. state stays valid until the release.
 *
 * An operation on several volumes first claims the existing volumes, from the top of a chain down.
 * It claims a new name last, after a check that it is free. So two operations never wait for each
 * other.
 */
typedef struct VolumeClaim VolumeClaim;

/**
 * The record of a held claim, from which BUSY errors are composed. The pool owns it from the claim
 * to the release, and the pool's lock guards it.
 */
typedef struct {
    char *name;
    ClaimKind kind;
    gboolean stream;
    gboolean orphan; /* in pool->orphans instead of pool->claims */
    gboolean creating;
    CstTask *task; /* a reference; NULL: unknown */
} VolumeHolder;

struct VolumeClaim {
    /* Set by the caller before the claim: */
    CstTask *task; /* borrowed: limits and cancels the wait; NULL: no limit */
    /*
     * The previous claim that this operation holds; it links to the one before. A change of a pool
     * may be waiting for one of these claims. It admits this claim in that case.
     */
    const VolumeClaim *after;
    gboolean at_once; /* fail with BUSY instead of waiting */
    /* The client decides how long this claim lasts. Conflicting claims fail with BUSY at once. */
    gboolean stream;
    /*
     * This operation creates the volume, which is visible and unusable until then. Conflicting
     * claims fail with BUSY at once, except for another creation of that name, which waits.
     */
    gboolean creating;
    gboolean past_readers; /* a writer that is compatible with reading streams */

    /* Set by the claim, valid until the release: */
    CstPool *pool; /* referenced; NULL: not claimed */
    VolumeHolder *holder;
    CstPoolState *state;
    char *name;
    ClaimKind kind;

    /* Set when the volume's image is opened (volume/image/open.c), cleared by the release: */
    CstVolume *image; /* the record of the volume at that time; NULL: not opened */
    GPtrArray *parts; /* of VolumeClaim *: claims on further files of the image; NULL: no files */
};

/**
 * Claims @name for @kind, waiting until it is free. Errors: BUSY, naming the holder, when the
 * holder is a stream or the task's maximal wait is over; CANCELLED when the task is cancelled;
 * STATE when the pool is stopped.
 */
gboolean volume_claim(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind,
                      GError **error);
/**
 * Like volume_claim(), then scans the volume. *ret_volume is a new reference to its current record.
 * NO_VOL if it does not exist.
 */
gboolean volume_claim_now(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind,
                          CstVolume **ret_volume, GError **error);
/**
 * Rescans a claimed volume and the pool's usage after a change of the volume. Logs failures. Does
 * nothing when @claim is not held.
 */
void volume_rescan(const VolumeClaim *claim);
/**
 * Detaches the downloads that still read a deleted file from its name, so that the name is free for
 * a new volume. Call it after the deletion of a volume that was claimed with past_readers.
 */
void volume_orphan_readers(const VolumeClaim *claim);
/**
 * Marks a claim as no longer a stream: its end does not depend on the client any more, so
 * conflicting claims may wait for it. Callable from any thread while the claim is held.
 */
void volume_stream_ends(const VolumeClaim *claim);
/**
 * Releases the claim, and rescans the volume if a change was reported. Does nothing when @claim is
 * not held.
 */
void volume_release(VolumeClaim *claim);
/**
 * Handles a reported change of @name. Returns TRUE if a writer has claimed the volume: its
 * operation or its release rescans it. Returns FALSE if not; the caller should rescan it.
 */
gboolean volume_defer_rescan(CstPool *pool, const char *name);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeClaim, volume_release)
