/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/** Cache of the formats of backing files for a list of problems. Not thread safe. */
typedef GHashTable VolumeBases;

/** Returns an empty cache, which the caller frees with g_hash_table_unref(). */
VolumeBases *volume_bases_new(void);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeBases, g_hash_table_unref)

/**
 * Returns the declared or known format (static) of the volume of an active pool at @path. Returns
 * NULL if the volume does not exist. Does not open the volume or probe its content.
 */
const char *volume_format_at(CstService *service, const char *path);

/**
 * Returns the first problem of the volume or of its backing file. Returns NULL if it has no
 * problem. Opens no files. @bases: cache of formats between calls; NULL: no cache. The caller frees
 * the text.
 */
char *volume_problem(CstPool *pool, const CstVolume *volume, VolumeBases *bases);
