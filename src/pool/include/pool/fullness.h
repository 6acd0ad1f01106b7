/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * Which spaces of a pool (CstSpaceUsage) to warn of: each at 80, 90 and 95 percent and when what
 * was in it is lost, once, until it is below that level again.
 */
typedef struct CstFullness CstFullness;

/** Makes one that has warned of nothing yet. Not thread-safe: the caller locks. */
CstFullness *cst_fullness_new(void);
/** Frees it; NULL: nothing. */
void cst_fullness_free(CstFullness *fullness);

/**
 * Returns a line of text (char *) for each space of @usage that has reached a higher level than
 * last time; @usage has all spaces of the pool, and one that is missing is forgotten.
 */
GPtrArray *cst_fullness_warnings(CstFullness *fullness, const GPtrArray *usage);
