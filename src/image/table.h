/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A table of 32-bit entries in an image (VDI's block map, VHD's block allocation table), seen
 * through a page cache (page_cache.h) of 4 MiB, so that the table of an image of many terabytes
 * costs no more memory than that. Not locked: the image's lock covers it.
 *
 * An entry never lies across two sectors when the table starts on one, so a torn write leaves each
 * entry old or new.
 */
typedef struct CstTable CstTable;

/**
 * @entries at @offset of @blob (borrowed); the caller has checked that they lie in the file.
 * @spill is called with @owner when the whole cache is dirty; it must get to cst_table_write().
 * NULL: nothing refers to the table yet, so its pages may be written at any time.
 */
CstTable *cst_table_new(CstBlob *blob, uint64_t offset, uint64_t entries, gboolean big_endian,
                        gboolean (*spill)(void *owner, GError **error), void *owner);
/** Frees the table; entries that were not written are lost. @table may be NULL. */
void cst_table_free(CstTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTable, cst_table_free)

/** Reads entry @index, which must be in the table. May load a page, and so spill. */
gboolean cst_table_get(CstTable *table, uint64_t index, uint32_t *ret_value, GError **error);
/** Sets entry @index in the cache; cst_table_write() writes it. May load a page, and so spill. */
gboolean cst_table_set(CstTable *table, uint64_t index, uint32_t value, GError **error);

/** Returns whether an entry was set and has not been written. */
gboolean cst_table_is_dirty(const CstTable *table);
/**
 * Writes all dirty entries, ordered by offset. No barrier: the caller flushes the blob where order
 * matters.
 */
gboolean cst_table_write(CstTable *table, GError **error);

/**
 * Writes @value, as it lies in memory, to @count entries from entry @first of the table at @offset.
 * Bypasses any cache, so no CstTable may hold these entries. Can be cancelled through
 * @task, which does not advance.
 */
gboolean cst_table_fill(CstBlob *blob, uint64_t offset, uint64_t first, uint64_t count,
                        uint32_t value, CstTask *task, GError **error);
