/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/volume.h>

/**
 * Volumes by name, and for each file the volumes whose images refer to it. A table has no lock: its
 * owner guards it (pool->lock, or the one thread that fills it).
 */
typedef struct VolumeTable VolumeTable;

VolumeTable *volume_table_new(void);
void volume_table_free(VolumeTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeTable, volume_table_free)

/**
 * Enters @volume, whose reference it takes over, in place of a record of the same name. @dir: the
 * directory of the images, which relative references start at; NULL: there is none.
 */
void volume_table_set(VolumeTable *table, const char *dir, CstVolume *volume);
/** Removes the record of @name; does nothing when there is none. */
void volume_table_remove(VolumeTable *table, const char *name);

/** Returns the record of @name, borrowed; NULL: there is none. */
CstVolume *volume_table_get(const VolumeTable *table, const char *name);
guint volume_table_size(const VolumeTable *table);
/** Starts an iteration over names and records (CstVolume *), in no order. */
void volume_table_iter_init(GHashTableIter *iter, const VolumeTable *table);

/** Whether some image refers to the file at @path, which is clean. Costs one look-up. */
gboolean volume_table_has_overlay(const VolumeTable *table, const char *path);
/** Whether some image refers to any file. */
gboolean volume_table_has_overlays(const VolumeTable *table);
/** Appends a reference to the record of each volume whose image refers to @path. */
void volume_table_overlays(const VolumeTable *table, const char *path, GPtrArray *volumes);

/**
 * Appends to @paths (owned) the clean path of each file that @volume's image refers to, and may.
 * @dir: the directory of the image; NULL: none.
 */
void volume_references(const char *dir, const CstVolume *volume, GPtrArray *paths);
/**
 * Whether the content of @volume could not be read as an image, so that the files to which it
 * refers are unknown. References that were seen before still count then.
 */
gboolean volume_references_unknown(const CstVolume *volume);
