/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <base/uuid.h>
#include <store/paths.h>

/**
 * What is known of deleted volumes that are kept: DATA/trash/POOL/HIDDEN, a key file for each. The
 * pool is its UUID, so that a pool that is defined again has its trash; HIDDEN is the name that the
 * volume has on the storage meanwhile, escaped as in a URI. Each call is one step, so processes
 * need no lock but the claim of HIDDEN, which who sets its record has.
 */
typedef struct {
    char *hidden;    /**< its name on the storage */
    char *name;      /**< what it was called */
    int64_t deleted; /**< seconds since 1970 */
    int64_t until;   /**< when it may be removed */
    uint32_t uid;    /**< who deleted it */
} CstTrashed;

/** A deep copy; NULL for NULL. */
CstTrashed *cst_trashed_copy(const CstTrashed *trashed);
/** NULL is accepted. */
void cst_trashed_free(CstTrashed *trashed);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTrashed, cst_trashed_free)

/** Makes or replaces the record of trashed->hidden, durably. */
gboolean cst_trash_set(const CstPaths *paths, const CstUuid *pool, const CstTrashed *trashed,
                       GError **error);
/** Removes a record, durably; success when there is none. */
gboolean cst_trash_remove(const CstPaths *paths, const CstUuid *pool, const char *hidden,
                          GError **error);
/** *ret_trashed NULL: there is no record. The caller frees it. */
gboolean cst_trash_find(const CstPaths *paths, const CstUuid *pool, const char *hidden,
                        CstTrashed **ret_trashed, GError **error);
/**
 * All records of the pool (CstTrashed *), the oldest first. One that can't be read is logged and
 * left out. Unref it.
 */
GPtrArray *cst_trash_list(const CstPaths *paths, const CstUuid *pool, GError **error);
