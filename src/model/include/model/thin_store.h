/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** A store from which thin volumes are allocated: an LVM thin pool, for example. */
typedef struct {
    char *name;
    uint64_t size;          /**< bytes for data */
    uint64_t used;          /**< bytes of data in use */
    uint64_t metadata_size; /**< bytes for metadata; 0: no separate metadata space */
    uint64_t metadata_used; /**< bytes of metadata in use */
    guint volumes;          /**< number of volumes and snapshots in it */
} CstThinStore;

/** NULL is accepted. */
void cst_thin_store_free(CstThinStore *store);
