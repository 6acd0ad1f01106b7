/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/tags.h>
#include <service/pools.h>

/**
 * Tags and notes of volumes and snapshots (store/tags.h). They follow an object through renames,
 * moves and the trash, and end with it. Any thread.
 */

/**
 * Changes the tags and the note of a volume, or of its snapshot @snapshot (NULL: the volume). Waits
 * for the volume's claim. INVALID, LIMIT, NO_VOL, NOT_FOUND.
 */
gboolean cst_vol_tag(CstPool *pool, const char *volume, const char *snapshot,
                     const CstTagChange *change, CstTask *task, GError **error);
/**
 * Returns a page of records (CstTagged *): of the pool's volumes by name (@volume NULL), or of a
 * volume and its snapshots, by the name of the snapshot. @after: the last name of the page before;
 * NULL: the first page. The objects need not exist. The caller drops the array.
 */
GPtrArray *cst_pool_tagged(CstPool *pool, const char *volume, const char *after, GError **error);

/** A volume with a tag. */
typedef struct {
    CstPool *pool; /**< owned */
    char *name, *key;
} CstTagMatch;

/** NULL is accepted. */
void cst_tag_match_free(CstTagMatch *match);

/**
 * Returns existing volumes of active pools that have @tag, as CstTagMatch *, a page at a time.
 * *after: 0 for the first page; it becomes 0 after the last page. A page may be empty. May access
 * the storage of the pools. The caller drops the array.
 */
GPtrArray *cst_service_tag_matches(CstService *service, const char *tag, int64_t *after,
                                   CstTask *task, GError **error);
