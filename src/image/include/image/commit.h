/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

typedef enum {
    CST_COMMIT_KEEP = 1 << 0 /**< do not empty the image afterwards */
} CstCommitFlags;

/**
 * Writes the content of the top image of @chain (from cst_chain_look()) and of the images between
 * into image @base of the chain (1: the direct backing image of the top image). A smaller @base
 * grows. Blobs 0 and @base must be writable and claimed with cst_image_hold().
 *
 * When all content is on the disk in @base, the top image is emptied. It is not emptied with KEEP,
 * or if @base is further down: the images between are unchanged, so the top image must go on hiding
 * them. Images between, and other images based on @base, are invalid afterwards.
 *
 * The guest of the top image sees the same content at every point in time. After a failure or a
 * cancel, @base holds some of the content, and the commit can be repeated. Afterwards @chain can
 * only be freed. Advances @task by the capacity of the top image.
 *
 * STATE when an image above @base has snapshots, because their content would change with @base.
 * UNSUPPORTED when the format of an image above cannot be emptied. MISMATCH when the image directly
 * above @base records another state of it. If the format of the image directly above @base records
 * the state of its backing image (image/backing.h), that image must be writable, too, and its
 * record is updated.
 */
gboolean cst_chain_commit(CstChain *chain, guint base, unsigned flags, CstTask *task,
                          GError **error);

/* --- not in the library: a commit by another program ------------------------------------------ */

/**
 * Checks that the images above @base can be committed into it by another program, which has them
 * open. Fails as cst_chain_commit(), except that no blob has to be writable. UNSUPPORTED also for a
 * format that records the state of its backing image, because the other program does not know it.
 */
gboolean cst_chain_check_commit(CstChain *chain, guint base, GError **error);

/**
 * Empties the top image after another program has committed it, so that it has the content of its
 * backing image. The blob of the top image must be writable and claimed with cst_image_hold(). A
 * repetition is harmless. All changes are on the disk when the call returns.
 */
gboolean cst_chain_empty_top(CstChain *chain, CstTask *task, GError **error);
