/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A table of 32-bit entries in an image (VDI's block map, VHD's block allocation table). It is
 * accessed through a page cache (page_cache.h) of 4 MiB, so that the table of an image of many
 * terabytes needs no more memory. The table has no lock; the image's lock guards it.
 *
 * An entry never crosses a sector boundary if the table starts on one, so a torn write leaves each
 * entry old or new.
 */
typedef struct CstTable CstTable;

/**
 * Creates a table of @entries entries at @offset of @blob, which it borrows. The caller has checked
 * that they are inside the file. @spill is called with @owner when the whole cache is dirty. It
 * must call cst_table_write(). NULL: the table is not referenced yet, so its pages may be written
 * at any time.
 */
CstTable *cst_table_new(CstBlob *blob, uint64_t offset, uint64_t entries, gboolean big_endian,
                        gboolean (*spill)(void *owner, GError **error), void *owner);
/** Frees the table. Unwritten entries are lost. @table may be NULL. */
void cst_table_free(CstTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTable, cst_table_free)

/** Reads entry @index, which must be inside the table. May load a page, and therefore spill. */
gboolean cst_table_get(CstTable *table, uint64_t index, uint32_t *ret_value, GError **error);
/** Sets entry @index in the cache. cst_table_write() writes it. May load a page, and therefore
 * spill. */
gboolean cst_table_set(CstTable *table, uint64_t index, uint32_t value, GError **error);

/** Returns whether the table has unwritten entries. */
gboolean cst_table_is_dirty(const CstTable *table);
/**
 * Writes all dirty entries, ordered by offset. Issues no barrier: the caller flushes the blob if
 * the order matters.
 */
gboolean cst_table_write(CstTable *table, GError **error);

/**
 * Writes @value in the byte order of memory to @count entries from entry @first of the table at
 * @offset. Bypasses any cache, so no CstTable may hold these entries. Can be cancelled through
 * @task, which does not advance.
 */
gboolean cst_table_fill(CstBlob *blob, uint64_t offset, uint64_t first, uint64_t count,
                        uint32_t value, CstTask *task, GError **error);
