/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/** What is known of the volumes that others are based on, while a list of problems is made. */
typedef GHashTable VolumeBases;

VolumeBases *volume_bases_new(void);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeBases, g_hash_table_unref)

/**
 * The format of the volume of an active pool that lies at @path, as it is declared or known; NULL:
 * there is no such volume. Static. Opens nothing: content is not asked what it is.
 */
const char *volume_format_at(CstService *service, const char *path);

/**
 * The first thing that is wrong with the volume or with what it is based on; NULL: nothing. Opens
 * nothing. @bases remembers answers from one call to the next; NULL: need not.
 */
char *volume_problem(CstPool *pool, const CstVolume *volume, VolumeBases *bases);
