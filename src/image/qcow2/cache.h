/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <blob/blob.h>

/**
 * A bounded write-back cache of tables of one cluster each (L2 tables, refcount blocks), by their
 * place in the file. Not locked: the image's lock covers it. A table's pointer is good until the
 * next call that may bring in another table of the same cache.
 */
typedef struct Qcow2Cache Qcow2Cache;

/** @spill is called with @owner when every slot is dirty; it must write them back. */
Qcow2Cache *qcow2_cache_new(size_t table_size, unsigned slots,
                            gboolean (*spill)(void *owner, GError **error), void *owner);
void qcow2_cache_free(Qcow2Cache *cache);

/** The table at @offset, read when it is not there. CORRUPT when it lies outside the file. */
uint8_t *qcow2_cache_get(Qcow2Cache *cache, CstBlob *blob, uint64_t offset, GError **error);
/** A table of zeroes, dirty, that is to live at @offset; nothing is read. */
uint8_t *qcow2_cache_add(Qcow2Cache *cache, uint64_t offset, GError **error);
/** The table at @offset, just got, has been changed. */
void qcow2_cache_dirty(Qcow2Cache *cache, uint64_t offset);
/** Forgets the table at @offset, changes included. */
void qcow2_cache_drop(Qcow2Cache *cache, uint64_t offset);

gboolean qcow2_cache_is_dirty(const Qcow2Cache *cache);
/** Writes every dirty table, in the order of the file. */
gboolean qcow2_cache_write(Qcow2Cache *cache, CstBlob *blob, GError **error);
