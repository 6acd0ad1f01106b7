/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/error.h>

/**
 * Limits of the space that a pool promises to its volumes, and of their number. The promise of a
 * volume is the size to which it and its snapshots can grow.
 */

/** The factor 1 of CstPoolLimits.overcommit. */
#define CST_OVERCOMMIT_ONE 1000
/** The maximum of CstPoolLimits.overcommit: a thousand times the capacity. */
#define CST_OVERCOMMIT_MAX (1000 * CST_OVERCOMMIT_ONE)

typedef struct {
    uint32_t overcommit; /**< thousandths of the pool's capacity; 0: no limit */
    uint32_t volumes;    /**< number of volumes; 0: no limit */
    uint64_t quota;      /**< bytes; 0: no limit */
} CstPoolLimits;

/** The promise of an active pool, and its limits. */
typedef struct {
    uint64_t promised; /**< bytes */
    uint64_t volumes;  /**< number of volumes, without deleted volumes in the trash */
    uint64_t capacity; /**< of the pool, in bytes; 0: unknown */
    CstPoolLimits limits;
} CstPoolPromise;

/** Returns whether any limit is set. */
gboolean cst_limits_are_set(const CstPoolLimits *limits);
/**
 * Returns the bytes that a pool of @capacity bytes may promise: the smaller one of the two limits.
 * UINT64_MAX: no limit. An unknown @capacity (0) has no limit by a factor.
 */
uint64_t cst_limits_bytes(const CstPoolLimits *limits, uint64_t capacity);
/** Returns the bytes that a pool of @capacity bytes may promise by the factor alone. */
uint64_t cst_limits_overcommit_bytes(const CstPoolLimits *limits, uint64_t capacity);

/**
 * Parses a factor of the capacity, "1.5", in thousandths. INVALID unless it is a decimal number
 * from 0.001 to 1000 with at most three decimals.
 */
gboolean cst_overcommit_parse(const char *text, uint32_t *ret_overcommit, GError **error);
/** Formats a factor with the decimals that it needs. The caller frees it. */
char *cst_overcommit_format(uint32_t overcommit);
