/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/** Remembers the formats of backing files while a list of problems is made. Not thread safe. */
typedef GHashTable VolumeBases;

/** An empty memory; free it with g_hash_table_unref(). */
VolumeBases *volume_bases_new(void);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeBases, g_hash_table_unref)

/**
 * Returns the format of the volume of an active pool at @path, as declared or known; NULL: there is
 * no such volume. Static. Opens nothing: the content is not probed.
 */
const char *volume_format_at(CstService *service, const char *path);

/**
 * Returns the first problem of the volume or of its backing file; NULL: none. Opens nothing. @bases
 * remembers formats from one call to the next; NULL: it need not. The caller frees the text.
 */
char *volume_problem(CstPool *pool, const CstVolume *volume, VolumeBases *bases);
