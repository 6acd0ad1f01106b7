/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Waits until no other change of the pool is under way, and until the work on its volumes has
 * ended. @task may end the wait and limits it; NULL: nothing does. BUSY names the holder when the
 * wait is over in vain, or at once when it is a stream, which lasts as long as its client likes.
 * NO_POOL when the pool was removed meanwhile.
 */
gboolean pool_change_begin(CstPool *pool, CstTask *task, GError **error);
/**
 * Ends the change that this caller has begun, and wakes the claims and changes that wait for it.
 */
void pool_change_end(CstPool *pool);

typedef enum { CLAIM_READ, CLAIM_WRITE } ClaimKind;

/**
 * A running piece of work on a volume: keeps the pool from stopping, and the volume from others.
 * state stays valid until the end.
 *
 * Work that needs several volumes claims what exists from the top of a chain down, and a new name
 * last, after checking that it is free: so two of them never wait for each other.
 */
typedef struct VolumeClaim VolumeClaim;

/**
 * A claim as others see it: what they name when they are refused. Owned by the pool from the claim
 * to the release, and guarded by the pool's lock.
 */
typedef struct {
    char *name;
    ClaimKind kind;
    gboolean stream;
    gboolean orphan; /* in the pool's orphans instead of its claims */
    gboolean creating;
    CstTask *task; /* a reference; NULL: unknown */
} VolumeHolder;

struct VolumeClaim {
    /* Set by the caller before the claim. */
    CstTask *task; /* borrowed: limits the wait and may end it; NULL: nothing does */
    /*
     * The last claim that this work holds already, whose own after is the one before it, and so on.
     * A change of a pool that waits for the claims there are may be waiting for one of those, and
     * then lets this one in.
     */
    const VolumeClaim *after;
    gboolean at_once; /* BUSY instead of waiting */
    /* The client decides how long this lasts, so nobody waits for it: others are BUSY at once. */
    gboolean stream;
    /*
     * The volume is made by this work. Others can see it and not use it: they are BUSY at once, but
     * for those that would make a volume of that name, which wait.
     */
    gboolean creating;
    gboolean past_readers; /* a writer while streams go on reading */

    /* Set by the claim, valid until the release. */
    CstPool *pool; /* referenced; NULL: nothing is claimed */
    VolumeHolder *holder;
    CstPoolState *state;
    char *name;
    ClaimKind kind;

    /* Set by who opens the volume's image (volume/open.c), cleared by the release. */
    CstVolume *image; /* what the volume was then; NULL: it was not opened */
    GPtrArray *parts; /* of VolumeClaim *: other files of that image, claimed with it; NULL: none */
};

/**
 * Waits until @name is free for @kind. Fails with BUSY, naming the holder, when that is a stream or
 * the task's longest wait is over; with CANCELLED when the task is; with STATE when the pool stops.
 */
gboolean volume_claim(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind,
                      GError **error);
/** The same; *ret_volume is a new reference to what the volume is now. NO_VOL: there is none. */
gboolean volume_claim_now(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind,
                          CstVolume **ret_volume, GError **error);
/**
 * Rescans a claimed volume and the pool's usage after the volume was changed. Does nothing when
 * nothing is claimed; failures are logged.
 */
void volume_rescan(const VolumeClaim *claim);
/**
 * Call it after the file of a volume claimed with past_readers was deleted: detaches the downloads
 * that still read it from the name, which may be used for a new volume from then on.
 */
void volume_orphan_readers(const VolumeClaim *claim);
/**
 * Marks a claim as no longer a stream: its end does not depend on the client any more, so others
 * may wait for it. From any thread, while the claim is held.
 */
void volume_stream_ends(const VolumeClaim *claim);
/**
 * Ends the claim, and rescans what was reported meanwhile. Without effect when nothing is claimed.
 */
void volume_release(VolumeClaim *claim);
/**
 * Handles a reported change of @name. TRUE: a writer has claimed the volume, and its work or the
 * release of its claim rescans it. FALSE: nobody does, so the caller should.
 */
gboolean volume_defer_rescan(CstPool *pool, const char *name);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeClaim, volume_release)
