/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/** A run of the guest's bytes that have the same story. */
typedef struct {
    uint64_t start, length;
    guint depth;         /**< image of the chain that decides what is read; 0: the one on top */
    gboolean present;    /**< it decides by what it holds, not by holding nothing */
    gboolean zero;       /**< reads as zeroes */
    gboolean data;       /**< space is taken in that image's file */
    gboolean has_offset; /**< the bytes are at offset in that image's file, or have space there if
                              they read as zeroes; never where they are compressed */
    uint64_t offset;
} CstMapRun;

typedef gboolean (*CstMapFunc)(const CstMapRun *run, gpointer data, GError **error);

/**
 * Calls @func for the runs of what the guest sees of @chain (cst_chain_look() is enough), in order
 * and without gaps; neighbours differ. Where the images that would decide are not in the chain,
 * neither present nor zero nor data is set. Advances @task by the capacity in all.
 */
gboolean cst_chain_map(CstChain *chain, CstMapFunc func, gpointer data, CstTask *task,
                       GError **error);

/* --- not in the library: maps in pages -------------------------------------------------------- */

/** The same for at most @length bytes from @start on, which may cut the first and the last run off.
 * Nothing at the end of the image and beyond. */
gboolean cst_chain_map_range(CstChain *chain, uint64_t start, uint64_t length, CstMapFunc func,
                             gpointer data, CstTask *task, GError **error);
