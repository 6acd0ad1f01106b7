/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/flags.h>
#include <model/vol_def.h>

/** What is told of pools and volumes. Sizes are bytes, as of the last refresh or change. */

typedef struct {
    CstPoolRunState state;
    gboolean persistent; /**< this, autostart and volumes: known at the server only */
    gboolean autostart;
    uint64_t capacity;
    uint64_t allocation;
    uint64_t available;
    guint volumes;
} CstPoolInfo;

typedef struct {
    CstVolType type;
    uint64_t capacity;
    uint64_t allocation;
    uint64_t physical; /**< 0 where it isn't told */
    /** allocation is not what was found, but what there may be; FALSE also where it isn't told. */
    gboolean estimated;
} CstVolInfo;

/** A listed volume. Name, key and path always; info and format only where details were asked for.
 */
typedef struct {
    char *name;
    char *key;
    char *path;
    CstVolInfo info;
    char *format;  /**< NULL: the pool type shows none, or it isn't told */
    char *problem; /**< why the volume can't be used; NULL: fine, or it isn't told */
} CstVolRow;

void cst_vol_row_free(CstVolRow *row);
