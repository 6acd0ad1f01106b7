/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/volume.h>

/**
 * Volumes by name, with an index from files to the volumes whose images reference them. A table has
 * no lock: its owner guards it (pool->lock, or the single thread that fills it).
 */
typedef struct VolumeTable VolumeTable;

VolumeTable *volume_table_new(void);
void volume_table_free(VolumeTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeTable, volume_table_free)

/**
 * Enters @volume, and consumes its reference. Replaces a record of the same name. @dir: the
 * directory of the images, to which relative references are resolved; NULL: no directory.
 */
void volume_table_set(VolumeTable *table, const char *dir, CstVolume *volume);
/** Removes the record of @name. Does nothing if the name has no record. */
void volume_table_remove(VolumeTable *table, const char *name);

/** Returns the record of @name, borrowed. Returns NULL if the name has no record. */
CstVolume *volume_table_get(const VolumeTable *table, const char *name);
guint volume_table_size(const VolumeTable *table);
/**
 * Returns the sum of the promises of all volumes (cst_volume_promise()), at most UINT64_MAX. The
 * table keeps the sum, so the cost is independent of the number of volumes.
 */
uint64_t volume_table_promise(const VolumeTable *table);
/** Starts an unordered iteration over names and records (CstVolume *). */
void volume_table_iter_init(GHashTableIter *iter, const VolumeTable *table);

/** Returns whether an image references the file at @path, which is canonical. Costs one lookup. */
gboolean volume_table_has_overlay(const VolumeTable *table, const char *path);
/** Returns whether an image references any file. */
gboolean volume_table_has_overlays(const VolumeTable *table);
/** Appends a new reference to the record of each volume whose image references @path. */
void volume_table_overlays(const VolumeTable *table, const char *path, GPtrArray *volumes);

/**
 * Appends to @paths (owned) the canonical path of each file that @volume's image references by
 * declaration. @dir: the directory of the image; NULL: no directory.
 */
void volume_references(const char *dir, const CstVolume *volume, GPtrArray *paths);
/**
 * Returns whether the content of @volume could not be read as an image, so that its references are
 * unknown. In this case earlier references still count.
 */
gboolean volume_references_unknown(const CstVolume *volume);
