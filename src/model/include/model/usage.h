/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** Seconds that a point of the history stands for. */
#define CST_USAGE_FINE   300
#define CST_USAGE_HOURLY 3600
#define CST_USAGE_DAILY  86400

/** The use of a pool at a time, or over the step that begins at that time. Sizes are in bytes. */
typedef struct {
    int64_t time;         /**< seconds since 1970 */
    uint64_t capacity;    /**< the last value */
    uint64_t allocation;  /**< the average */
    uint64_t peak;        /**< the maximum of the allocation */
    uint64_t available;   /**< the average */
    uint64_t provisioned; /**< the average of the space that the volumes need when they are full */
    /** The thin store with the fullest data, and the fullest metadata. Size 0: no store. */
    uint64_t data_size, data_used, metadata_size, metadata_used;
} CstUsagePoint;

/** Percentages of use from which on a space is reported; 0: not set. At most 100. */
typedef struct {
    uint8_t warn, critical;
} CstThresholds;

typedef enum {
    CST_USAGE_OK,
    CST_USAGE_WARN,
    CST_USAGE_CRITICAL,
    CST_USAGE_LEVEL_LAST
} CstUsageLevel;

/** The spaces of a pool that can be full. */
typedef enum {
    CST_USAGE_SPACE,    /**< the pool itself */
    CST_USAGE_DATA,     /**< the data of a thin store */
    CST_USAGE_METADATA, /**< the metadata of a thin store */
    CST_USAGE_SPACE_LAST
} CstUsageSpace;

/** Returns the size of a space, 0 if it is unknown, and its use. */
uint64_t cst_usage_size(const CstUsagePoint *point, CstUsageSpace space, uint64_t *ret_used);
/** Compares the use of a space with the thresholds. A space without a size is OK. */
CstUsageLevel cst_usage_level(const CstThresholds *thresholds, const CstUsagePoint *point,
                              CstUsageSpace space);
/** Returns "ok", "warn" or "critical", marked with N_(); NULL: not a level. */
const char *cst_usage_level_word(int level);
/** Returns "space", "data" or "metadata", marked with N_(); NULL: not a space. */
const char *cst_usage_space_word(int space);
