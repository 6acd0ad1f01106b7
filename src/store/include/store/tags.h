/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/tags.h>
#include <store/paths.h>

/**
 * The database DATA/tags.db: tags and notes of volumes and snapshots, by the UUID of the pool and
 * by names. Each change is durable on return, and applies completely or not at all. The database is
 * created by the first tag. Several processes may use it at a time. All functions may be called
 * from any thread. Errors: IO, NO_SPACE.
 */
typedef struct CstTagStore CstTagStore;

/** Maximum number of rows of a page. */
#define CST_TAG_PAGE_MAX 1024

/** A volume or snapshot. The texts are borrowed. */
typedef struct {
    CstUuid pool;
    const char *volume;
    const char *snapshot; /**< NULL: the volume; see the functions */
} CstTagKey;

/** Returns a store that is not open yet. The caller frees it. */
CstTagStore *cst_tag_store_new(const CstPaths *paths);
/** Closes the database. NULL is accepted. */
void cst_tag_store_free(CstTagStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTagStore, cst_tag_store_free)

/**
 * Changes the tags or the note of one object. The caller has checked the names of the tags. Fails
 * with LIMIT if the object would have more than CST_TAGS_MAX tags.
 */
gboolean cst_tag_store_change(CstTagStore *store, const CstTagKey *key, const CstTagChange *change,
                              GError **error);
/** Removes the record of a snapshot; without a snapshot the records of the volume and its
 * snapshots. */
gboolean cst_tag_store_forget(CstTagStore *store, const CstTagKey *key, GError **error);
/**
 * Replaces the record of the snapshot @to by that of @from. Without snapshots, likewise for the
 * volumes with all their snapshots. @to has no record afterwards if @from has no record.
 */
gboolean cst_tag_store_copy(CstTagStore *store, const CstTagKey *from, const CstTagKey *to,
                            GError **error);
/**
 * Moves the records of a volume and its snapshots to another name or pool. Changes no record of @to
 * if @from has no record, so that a second call is harmless.
 */
gboolean cst_tag_store_move(CstTagStore *store, const CstTagKey *from, const CstTagKey *to,
                            GError **error);

/**
 * Returns records (CstTagged *) of a pool: with key->volume those of the volume and its snapshots,
 * by the name of the snapshot; else those of volumes, by name. @after: the last name of the page
 * before; NULL: the first page. At most CST_TAG_PAGE_MAX. The objects need not exist. The caller
 * drops the array.
 */
GPtrArray *cst_tag_store_list(CstTagStore *store, const CstTagKey *key, const char *after,
                              GError **error);
/**
 * Returns records of the volumes of all pools that have @tag, with an id above @after, by id. At
 * most CST_TAG_PAGE_MAX. The caller drops the array.
 */
GPtrArray *cst_tag_store_with_tag(CstTagStore *store, const char *tag, int64_t after,
                                  GError **error);
