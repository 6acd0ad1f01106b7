/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/** A run of the guest's bytes with the same source and properties. */
typedef struct {
    uint64_t start, length;
    guint depth;         /**< index of the image that provides the content; 0: the top image */
    gboolean present;    /**< the range is allocated in that image ("present" in qemu-img map) */
    gboolean zero;       /**< reads as zeroes */
    gboolean data;       /**< the bytes have allocated space in that image's file */
    gboolean has_offset; /**< the bytes, or their space if they read as zeroes, are at offset in
                              that image's file; FALSE for compressed data */
    uint64_t offset;
} CstMapRun;

/** Receives one run, valid during the call. FALSE with @error set ends the walk. */
typedef gboolean (*CstMapFunc)(const CstMapRun *run, gpointer data, GError **error);

/**
 * Calls @func for the runs of the guest's view of @chain (from cst_chain_look()), in ascending
 * order and without gaps. Adjacent runs differ. If the image that provides the content is not in
 * the chain, neither present nor zero nor data is set. Advances @task by the capacity.
 */
gboolean cst_chain_map(CstChain *chain, CstMapFunc func, gpointer data, CstTask *task,
                       GError **error);

/* --- not in the library: maps in pages -------------------------------------------------------- */

/**
 * Like cst_chain_map(), for at most @length bytes from @start on. The range may cut off the first
 * and the last run. Does not call @func past the end of the image.
 */
gboolean cst_chain_map_range(CstChain *chain, uint64_t start, uint64_t length, CstMapFunc func,
                             gpointer data, CstTask *task, GError **error);
