/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>
#include <service/live.h>

/** The live snapshots of all volumes of one call. It ends with the last reference. */
typedef struct LiveSet LiveSet;

/**
 * Finds a live snapshot. *ret_index: of the volume in the set. Returns a reference, or NULL if
 * there is none.
 */
LiveSet *live_set_find(CstService *service, const char *pool, const char *volume, const char *name,
                       guint *ret_index);
/** Likewise among the live snapshots of one connection, with any name. NULL: NOT_FOUND. */
LiveSet *live_snapshots_find(CstLiveSnapshots *live, const CstPool *pool, const char *volume,
                             guint *ret_index, GError **error);
LiveSet *live_set_ref(LiveSet *set);
/** Waits for up to five seconds if it is the last reference. NULL is accepted. */
void live_set_unref(LiveSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LiveSet, live_set_unref)

/** Opens the guest-visible content of a volume for reading. The caller unrefs it. */
CstBlob *live_set_open(const LiveSet *set, guint index, GError **error);
/**
 * Reports the changes of a volume since @since: the base of its checkpoint, with
 * CST_CHECKPOINT_PREFIX. If @since is the name of the set, reports no changes, but the identity of
 * the new checkpoint; it is "" if QEMU does not record the changes of the volume. Fails with
 * NOT_FOUND if the changes are not known, and as cst_blob_nbd_changes().
 */
gboolean live_set_changed(const LiveSet *set, guint index, const char *since, CstChanged *changed,
                          GError **error);
/**
 * Checks that the point in time is still held. Content that was read before is valid only if this
 * succeeds afterwards.
 */
gboolean live_set_check(const LiveSet *set, GError **error);
/**
 * After a failed read: replaces *@error, which is set, by the reason why the job has ended, if it
 * has. Waits for that reason for up to two seconds.
 */
void live_set_explain(const LiveSet *set, GError **error);
