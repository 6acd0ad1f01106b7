/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** A shared store that thin volumes draw from. */
typedef struct {
    char *name;
    uint64_t size;          /**< bytes for data */
    uint64_t used;          /**< of those */
    uint64_t metadata_size; /**< bytes; 0: it keeps none of its own */
    uint64_t metadata_used; /**< of those */
    guint volumes;          /**< that draw from it, snapshots included */
} CstThinStore;

void cst_thin_store_free(CstThinStore *store);
