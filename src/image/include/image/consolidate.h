/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/* --- not in the library ----------------------------------------------------------------------- */

/** The base that remains as the backing image. */
typedef struct {
    guint base;                 /**< its index in the chain: 2 or more */
    const char *backing;        /**< text to store as the reference */
    const char *backing_format; /**< its format */
} CstConsolidate;

/**
 * Merges the images between the top image and the base into the top image of @chain (from
 * cst_chain_look()), and makes the base its backing image. The content of the guest's disk stays
 * the same. Writes only to the top image. Its blob must be writable and claimed with
 * cst_image_hold(). Where the content of the images between equals that of the base, it is not
 * written.
 *
 * The image is valid and shows the same content at every point in time, even after a power cut.
 * After a failure or a cancel it has its old backing image and some of the content, and the call
 * can be repeated. All changes are on the disk when the call returns. Afterwards @chain can only be
 * freed. Advances @task by the size of the ranges that are compared. The memory for ranges has a
 * limit.
 *
 * Errors: INVALID without an image between; UNSUPPORTED if the format cannot change its backing
 * image; STATE if the top image has snapshots, whose content depends on the old backing image.
 */
gboolean cst_chain_consolidate(CstChain *chain, const CstConsolidate *how, CstTask *task,
                               GError **error);
/** Makes the checks of cst_chain_consolidate() that need no open image. */
gboolean cst_chain_check_consolidate(const CstChain *chain, guint base, GError **error);
/**
 * Computes the bytes that cst_chain_consolidate() would copy at most: data that an image between
 * has and the top image has not. Reads no content.
 */
gboolean cst_chain_measure_consolidate(CstChain *chain, guint base, CstTask *task,
                                       uint64_t *ret_bytes, GError **error);
