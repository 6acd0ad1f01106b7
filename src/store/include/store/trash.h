/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <base/uuid.h>
#include <store/paths.h>

/**
 * The records of deleted volumes that are kept: DATA/trash/POOL/HIDDEN, a key file for each. POOL
 * is the pool's UUID, so that a pool that is defined again has its trash. HIDDEN is the temporary
 * name of the volume on the storage, escaped as in a URI. Each call is one step. So the only lock
 * is the claim of HIDDEN, which the caller that sets its record holds.
 */
typedef struct {
    char *hidden;    /**< name on the storage */
    char *name;      /**< original name */
    int64_t deleted; /**< seconds since 1970 */
    int64_t until;   /**< time at which it may be removed */
    uint32_t uid;    /**< user that deleted it */
} CstTrashed;

/** A deep copy; NULL for NULL. */
CstTrashed *cst_trashed_copy(const CstTrashed *trashed);
/** NULL is accepted. */
void cst_trashed_free(CstTrashed *trashed);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTrashed, cst_trashed_free)

/** Creates or replaces the record of trashed->hidden, durably. */
gboolean cst_trash_set(const CstPaths *paths, const CstUuid *pool, const CstTrashed *trashed,
                       GError **error);
/** Removes a record, durably. Succeeds if it does not exist. */
gboolean cst_trash_remove(const CstPaths *paths, const CstUuid *pool, const char *hidden,
                          GError **error);
/**
 * Like cst_trash_remove() for @count records, with one sync. On failure any of them may remain, and
 * each removed one may come back after a power loss.
 */
gboolean cst_trash_remove_many(const CstPaths *paths, const CstUuid *pool,
                               const char *const *hidden, guint count, GError **error);
/** Removes files that a crash in cst_trash_set() left. Reads the whole directory of the records. */
void cst_trash_drop_temporaries(const CstPaths *paths, const CstUuid *pool, const char *hidden);
/** Reads a record. *ret_trashed is NULL if the record does not exist. The caller frees it. */
gboolean cst_trash_find(const CstPaths *paths, const CstUuid *pool, const char *hidden,
                        CstTrashed **ret_trashed, GError **error);
/** Returns the hidden names of the records of the pool, sorted. The caller drops the reference. */
GPtrArray *cst_trash_names(const CstPaths *paths, const CstUuid *pool, GError **error);
/**
 * Returns a text that differs after a record was added or removed, by any process. The caller frees
 * it. *ret_settled: the last change is older than the resolution of the file system's clock, so
 * each later change gives another text.
 */
char *cst_trash_stamp(const CstPaths *paths, const CstUuid *pool, gboolean *ret_settled);
/**
 * Returns all records of the pool (CstTrashed *), the oldest first. A record that cannot be read is
 * logged and left out. The caller drops the reference.
 */
GPtrArray *cst_trash_list(const CstPaths *paths, const CstUuid *pool, GError **error);
