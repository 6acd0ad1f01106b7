/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

typedef enum {
    CST_COMMIT_KEEP = 1 << 0 /**< don't empty the image afterwards */
} CstCommitFlags;

/**
 * Writes what the top image of @chain (from cst_chain_look()) and the images between hold into
 * image @base of the chain (1: the direct backing image of the top one). A @base that is smaller
 * grows. Blobs 0 and @base are writable, and held.
 *
 * When everything is on the disk in @base, the image on top is emptied, unless KEEP is given or
 * @base is further down: those between are not changed, so that the one on top must go on hiding
 * them. Images between, and other images based on @base, are invalid afterwards.
 *
 * What the guest of the image on top sees is the same at every moment. After a failure or a cancel
 * @base holds some of the content, and the work can be begun again. @chain can only be freed
 * afterwards. Advances @task by the capacity of the image on top.
 *
 * STATE when an image above @base has snapshots, which see @base and would see it change;
 * UNSUPPORTED where the format of an image above can't be emptied; MISMATCH where it records that
 * @base is not what it was made upon. Where its format minds changes of its backing image
 * (image/backing.h), the image right above @base is writable as well, and made to fit.
 */
gboolean cst_chain_commit(CstChain *chain, guint base, unsigned flags, CstTask *task,
                          GError **error);
