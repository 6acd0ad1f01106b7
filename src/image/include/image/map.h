/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/** A run of the guest's bytes that the same image provides in the same way. */
typedef struct {
    uint64_t start, length;
    guint depth;         /**< index of the image that decides what is read; 0: the top one */
    gboolean present;    /**< it decides by what it holds, not by holding nothing */
    gboolean zero;       /**< reads as zeroes */
    gboolean data;       /**< the bytes occupy space in that image's file */
    gboolean has_offset; /**< the bytes are at offset in that image's file, or have space there if
                              they read as zeroes; never where they are compressed */
    uint64_t offset;
} CstMapRun;

/** Gets one run, valid during the call. FALSE with @error set ends the walk. */
typedef gboolean (*CstMapFunc)(const CstMapRun *run, gpointer data, GError **error);

/**
 * Calls @func for the runs of what the guest sees of @chain (cst_chain_look() is enough), in order
 * and without gaps; neighbours differ. Where the images that would decide are not in the chain,
 * neither present nor zero nor data is set. Advances @task by the capacity in all.
 */
gboolean cst_chain_map(CstChain *chain, CstMapFunc func, gpointer data, CstTask *task,
                       GError **error);

/* --- not in the library: maps in pages -------------------------------------------------------- */

/**
 * The same for at most @length bytes from @start on; the range may cut off the first and the last
 * run. Calls @func for nothing behind the end of the image.
 */
gboolean cst_chain_map_range(CstChain *chain, uint64_t start, uint64_t length, CstMapFunc func,
                             gpointer data, CstTask *task, GError **error);
