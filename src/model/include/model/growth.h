/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * Spaces of a pool that are extended while guests fill them: the metadata and the data of thin
 * pools, and the space of classic snapshots. Sizes are in bytes.
 */

/** The setting of a pool: <cistern:autoextend>. */
typedef struct {
    uint8_t threshold; /**< percentage of use from which on a space is extended; 0: not extended */
    uint8_t step;      /**< percentage of the present size that an extension adds; 0: the default */
    uint64_t maximum;  /**< size up to which a space is extended; 0: no maximum */
    uint64_t reserve;  /**< space of the group that extensions leave free */
} CstAutoextend;

/** The step of a setting without a step, in percent. */
#define CST_AUTOEXTEND_STEP          20
#define CST_AUTOEXTEND_STEP_MAX      100
#define CST_AUTOEXTEND_THRESHOLD_MAX 99

/** In the order in which spaces are extended. */
typedef enum {
    CST_GROWTH_GROUP, /**< the group, from which all other spaces are extended; never extended */
    CST_GROWTH_METADATA,
    CST_GROWTH_DATA,
    CST_GROWTH_SNAPSHOT,
    CST_GROWTH_LAST
} CstGrowthKind;

typedef struct {
    CstGrowthKind kind;
    char *name;         /**< of the object in the technology, unique with the kind */
    char *label;        /**< name for users: "tp", "v@s" for snapshot s of volume v */
    uint64_t size;      /**< present size */
    uint64_t used;      /**< bytes in use of it */
    uint64_t limit;     /**< size that the technology allows; 0: unknown */
    uint64_t unit;      /**< the size is a multiple of this */
    uint8_t copies;     /**< number of times that the group provides each byte of an extension */
    gboolean by_system; /**< a service of the system extends it, so Cistern must not */
} CstGrowth;

/** Makes a space, which the caller frees. Copies the names. The copies are 1. */
CstGrowth *cst_growth_new(CstGrowthKind kind, const char *name, const char *label);
/** NULL is accepted. */
void cst_growth_free(CstGrowth *growth);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstGrowth, cst_growth_free)
/** Returns "group", "metadata", "data" or "snapshot", marked with N_(); NULL: not a kind. */
const char *cst_growth_kind_word(int kind);

/** The decision about a space. */
typedef enum {
    CST_GROWTH_NOT_DUE, /**< below the threshold, or it cannot run full */
    CST_GROWTH_DUE,
    CST_GROWTH_AT_MAXIMUM, /**< due, but the maximum or the limit is reached */
    CST_GROWTH_NO_ROOM     /**< due, but the group has no space above the reserve */
} CstGrowthVerdict;

/** Returns whether the use of @growth has reached the threshold. FALSE without a threshold. */
gboolean cst_growth_is_full(const CstAutoextend *setting, const CstGrowth *growth);
/**
 * Decides about @growth, whose group has @free unused bytes. DUE sets *ret_size to the new size: a
 * step more, or as much of it as the group, the maximum and the limit allow.
 */
CstGrowthVerdict cst_growth_plan(const CstAutoextend *setting, const CstGrowth *growth,
                                 uint64_t free, uint64_t *ret_size);
/**
 * Returns the microseconds after which the use of @growth is to be read again. @rate: the bytes
 * that were written to it in the last second. The time is short enough for an extension before the
 * space is full, even if a writer begins at the speed of a fast device.
 */
int64_t cst_growth_interval(const CstAutoextend *setting, const CstGrowth *growth, uint64_t rate);
