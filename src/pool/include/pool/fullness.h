/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * State of the warnings for the spaces of a pool (CstSpaceUsage). Each space is reported once at
 * 80, 90 and 95 percent and when its content is lost. It is reported again after the usage was
 * below that level.
 */
typedef struct CstFullness CstFullness;

/** Makes a state without warnings. Not thread-safe: the caller holds a lock. */
CstFullness *cst_fullness_new(void);
/** Frees @fullness. Accepts NULL. */
void cst_fullness_free(CstFullness *fullness);

/**
 * Returns a line of text (char *) for each space of @usage with a higher level than in the last
 * call. @usage must list all spaces of the pool; the state of a missing space is dropped.
 */
GPtrArray *cst_fullness_warnings(CstFullness *fullness, const GPtrArray *usage);
