/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/pause.h>
#include <model/domain.h>
#include <model/snapshot.h>

#include "core/intent.h"
#include "provider.h"

/** A volume of a set that is being created. */
typedef struct {
    SnapshotTarget target;
    const SnapshotProvider *provider;
    GPtrArray *disks; /**< of CstDomainDisk *: it is written as these disks of running domains */
    CstConsistency consistency; /**< of a snapshot that is made now, without a pause */
    char *reason;               /**< why it is not better; NULL: no reason */
    CstSnapshotDraft *draft;    /**< made while the guest still runs; NULL: no draft */
    CstSnapshotPlan *plan;      /**< of all such members of the pool; NULL: no plan */
    guint planned;              /**< index of the volume in the plan; 0: it owns the plan */
    gboolean tried;             /**< the snapshot exists, or may exist */
} SnapshotMember;

/** Reason in the record of a snapshot that is made during a pause. Not translated. */
#define SNAPSHOT_PAUSE_RECORD "made before the pause of the domain was verified"

/** Snapshots that one call creates. */
typedef struct {
    const CstSnapshotRequest *request;
    CstTask *task;
    GArray *volumes;           /**< of CstSnapshotVolume, sorted by pool and name */
    GArray *members;           /**< of SnapshotMember: the claimed volumes, in the same order */
    GPtrArray *intents;        /**< of CstIntent *, one for each pool */
    const CstDomainDisk *disk; /**< of the domain to suspend; borrowed. NULL: no domain */
    CstSnapshotSet *result;
} SnapshotSet;

static inline SnapshotMember *snapshot_set_member(const SnapshotSet *set, guint i)
{
    return &g_array_index(set->members, SnapshotMember, i);
}

/**
 * Finds the processes and the domains that write to each volume. Sets disks, consistency and reason
 * of each member, and set->disk. Selects the provider of images that a domain has open. Fails with
 * BUSY if an image is being written and cannot be copied: by several domains, by another process,
 * or where the storage does not share extents. STATE if the consistency is known to be worse than
 * that of the request (set_writers.c).
 */
gboolean snapshot_set_find_writers(SnapshotSet *set, GError **error);

/**
 * Reserves the promise of the new snapshots, until the volumes are released. NO_SPACE if a limit of
 * a pool does not permit them (promise.c).
 */
gboolean snapshot_set_promise(SnapshotSet *set, GError **error);

/**
 * Describes the processes that may write to the volume, without the QEMU of its domains. "": no
 * process. The caller frees it. NULL with an error.
 */
char *snapshot_member_writers(const SnapshotMember *member, GError **error);
/**
 * Decides to make the snapshots while the domain runs, each with its own point in time. @reason:
 * why the domain is not suspended. Clears set->disk. Returns FALSE, with no change, if the content
 * of a member would be torn, or if the request demands a better consistency than "crash".
 */
gboolean snapshot_set_leave_running(SnapshotSet *set, const char *reason);
/**
 * Checks that set->disk's domain can be suspended, and can reach the consistency of the request.
 * Changes nothing (set_pause.c).
 */
CstHypervisorPause *snapshot_set_begin_pause(SnapshotSet *set, GError **error);
/**
 * Makes the drafts and the plans while the domain runs. Fails with BUSY if the domain would stand
 * for longer than the request permits.
 */
gboolean snapshot_set_prepare(SnapshotSet *set, GError **error);
/** Ends all drafts and plans, and removes the copies that are no snapshots. */
void snapshot_set_end_preparation(SnapshotSet *set);
/**
 * Suspends the domain, calls @create for the snapshots without preparation, and resumes the domain.
 * Afterwards makes the drafts snapshots, and verifies the planned ones. Sets consistency, reason,
 * domain and times of set->result. On failure the caller removes the snapshots of the members with
 * tried set.
 */
gboolean snapshot_set_create_paused(SnapshotSet *set, CstHypervisorPause *pause,
                                    gboolean (*create)(SnapshotSet *set, GError **error),
                                    GError **error);
