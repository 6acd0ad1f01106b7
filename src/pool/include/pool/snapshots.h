/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/changed.h>
#include <base/task.h>
#include <blob/blob.h>
#include <model/snapshot.h>

/**
 * The group of a CstBackend's callbacks for snapshots (pool/backend.h has the rules that all
 * callbacks share).
 */

typedef struct CstPoolState CstPoolState;

/** Parameters of a new snapshot. */
typedef struct {
    uint64_t limit; /**< bytes reserved for differing data; 0: default of the technology */
    uint64_t room;  /**< that default, if space must be reserved; 0: the backend's own default */
    /**
     * Time of the content in microseconds since the epoch; 0: now. Only used if the technology can
     * record a time other than the creation time.
     */
    int64_t taken_us;
    /**
     * Consistency of the content, to be recorded with the snapshot if the technology can record it;
     * UNKNOWN: no record. A rename of the snapshot and a revert to it keep the record. The record
     * is removed with the snapshot, and is not copied to volumes made from it. list reports UNKNOWN
     * for a snapshot without a valid record.
     */
    CstConsistency consistency;
    const char *consistency_reason; /**< why it is not better; NULL: no reason */
} CstSnapshotCreate;

/** A snapshot in preparation; see CstSnapshotBackend.draft_begin. The backend defines it. */
typedef struct CstSnapshotDraft CstSnapshotDraft;

/** Prepared snapshots; see CstSnapshotBackend.plan_begin. The backend defines it. */
typedef struct CstSnapshotPlan CstSnapshotPlan;

/**
 * Snapshots made by the pool's technology. For each change the core has claimed the volume for
 * writing and has checked the names. For revert and delete it has also checked that the volume is
 * not open. NOT_FOUND and EXISTS name the snapshot; BUSY names its dependents.
 */
typedef struct {
    /**
     * A draft can have snapshots. They become the volume's with the commit, and are dropped with
     * the draft. vol_reserve and vol_reserve_clone set CstVolDraft.name, which create and
     * vol_resize use for the draft.
     */
    gboolean of_drafts;
    /** With of_drafts: whether this pool's storage supports snapshots of drafts. NULL: it does. */
    gboolean (*can_make)(CstPoolState *state, gboolean *ret_can, GError **error);
    /** Appends CstSnapshot to @snapshots, oldest first. The dispatcher sets kept_by. */
    gboolean (*list)(CstPoolState *state, const char *volume, GPtrArray *snapshots, GError **error);
    /**
     * Adds the names of all volumes that may have snapshots to the set @names, at the cost of
     * listing one volume. NULL: not supported.
     */
    gboolean (*volumes)(CstPoolState *state, GHashTable *names, GError **error);
    /** Creates the snapshot atomically. The snapshot is durable on return. */
    gboolean (*create)(CstPoolState *state, const char *volume, const char *name,
                       const CstSnapshotCreate *how, CstTask *task, GError **error);
    /**
     * A snapshot in two steps, so that a guest stands for a short time only. draft_begin copies the
     * volume while a guest writes to it. The copy becomes useful by draft_update, which is called
     * again until it is quick, and at last while the guest stands. draft_commit makes it the
     * snapshot, atomically and durably, as create. NULL: not supported.
     *
     * EXISTS if snapshot @name exists. The draft of a dead process is removed like a draft of
     * create.
     */
    gboolean (*draft_begin)(CstPoolState *state, const char *volume, const char *name,
                            CstSnapshotDraft **ret_draft, GError **error);
    /**
     * Makes the content of the draft equal to that of the volume's file. Fails with BUSY if the
     * volume's name has another file than at draft_begin. Writes nothing through to the storage.
     */
    gboolean (*draft_update)(CstPoolState *state, CstSnapshotDraft *draft, GError **error);
    /** Uses only the consistency of @how. */
    gboolean (*draft_commit)(CstPoolState *state, CstSnapshotDraft *draft,
                             const CstSnapshotCreate *how, GError **error);
    /** Frees the draft, and removes its copy unless it was committed. */
    void (*draft_end)(CstPoolState *state, CstSnapshotDraft *draft);
    /**
     * Prepares snapshot @name of each of @volumes (NULL-terminated), so that a guest stands only
     * while plan_make runs. Makes the checks of create, and changes nothing. @how: limit, room and
     * the consistency to record at first. If plan_begin and draft_begin are NULL, create is called
     * while the guest stands.
     */
    gboolean (*plan_begin)(CstPoolState *state, const char *const *volumes, const char *name,
                           const CstSnapshotCreate *how, CstSnapshotPlan **ret_plan,
                           GError **error);
    /**
     * Does the work of plan_make without its effect. Fails if plan_make would fail. *ret_us: for
     * how long plan_make will run, in microseconds, as far as that is known.
     */
    gboolean (*plan_rehearse)(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                              uint64_t *ret_us, GError **error);
    /**
     * Creates the snapshots by at most one command of the technology for each volume. Reads no
     * report. On failure each snapshot may exist, except after EXISTS.
     */
    gboolean (*plan_make)(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                          GError **error);
    /**
     * Verifies, after plan_make, that the snapshot of the volume @index of plan_begin exists and is
     * that of this volume. A wrong one that cannot be found by its name is removed. Then makes the
     * snapshot usable, and records the consistency of @how. EXISTS if another program has created a
     * snapshot of that name. After other failures the caller removes the snapshot by its name.
     */
    gboolean (*plan_commit)(CstPoolState *state, CstSnapshotPlan *plan, guint index,
                            const CstSnapshotCreate *how, GError **error);
    /** Frees the plan. The snapshots stay. */
    void (*plan_end)(CstPoolState *state, CstSnapshotPlan *plan);
    /**
     * Creates snapshot @name of each of @volumes (NULL-terminated, at least two) atomically, at one
     * point in time. If a snapshot contains a write, the snapshots contain all earlier writes to
     * the other volumes. Creates all snapshots or no snapshot, even if the process is killed;
     * durable on return. Before any change it fails with EXISTS if a volume has a snapshot of that
     * name, and with NO_VOL if a volume is missing. Uses only the consistency of @how. NULL: not
     * supported.
     */
    gboolean (*create_many)(CstPoolState *state, const char *const *volumes, const char *name,
                            const CstSnapshotCreate *how, CstTask *task, GError **error);
    /**
     * Appends the names of the snapshots that a revert to @name would remove, oldest first. NULL:
     * it never removes one.
     */
    gboolean (*revert_loses)(CstPoolState *state, const char *volume, const char *name,
                             GPtrArray *names, GError **error);
    /**
     * Restores the content of the snapshot to the volume. The snapshot stays; the snapshots listed
     * by revert_loses are removed. The user agreed to lose only @agreed (names; NULL: an empty
     * list). A snapshot created since then makes the call fail with BUSY and no change. If the
     * process is killed, the volume has the old content or the snapshot's. A technology that
     * consumes the snapshot and creates it anew may lose the snapshot in this case. BUSY if the
     * volume was opened since the core's check.
     */
    gboolean (*revert)(CstPoolState *state, const char *volume, const char *name,
                       const GPtrArray *agreed, CstTask *task, GError **error);
    /** Removes the snapshot, or leaves it intact. BUSY, naming them, if clones need it. */
    gboolean (*remove)(CstPoolState *state, const char *volume, const char *name, CstTask *task,
                       GError **error);
    /** Renames the snapshot atomically. EXISTS if the name is in use. Clones are not affected. */
    gboolean (*rename)(CstPoolState *state, const char *volume, const char *name,
                       const char *new_name, GError **error);
    /** Opens the content of the snapshot for reading. Returns a new reference. */
    CstBlob *(*open)(CstPoolState *state, const char *volume, const char *name, GError **error);
    /**
     * Reports the ranges of the stored bytes that may differ between snapshot @since and snapshot
     * @until (NULL: the current volume), without reading all of them; see base/changed.h. Its
     * temporary objects are removed on return or, after a kill, by drop_drafts. UNSUPPORTED if the
     * technology cannot compare this volume, or if @until is older. NULL: not supported.
     */
    gboolean (*changed)(CstPoolState *state, const char *volume, const char *since,
                        const char *until, CstTask *task, CstChanged *changed, GError **error);
} CstSnapshotBackend;
