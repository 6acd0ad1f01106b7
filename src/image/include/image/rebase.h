/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/** What an image is to be based on from now on. */
typedef struct {
    const char *backing;        /**< text to store as the reference; NULL: on nothing */
    const char *backing_format; /**< comes with backing */
    CstBlob *guest;             /**< guest's view of it; may be NULL when unsafe, but for formats
                                     that record its state (image/backing.h) */
    gboolean unsafe; /**< change the reference only: the caller knows that both show the same */
} CstImageRebase;

/**
 * Bases the image on top of @chain (from cst_chain_look(); its blob is writable, and held) on
 * something else, while what its guest sees stays what it is: where the old and the new backing
 * differ, the image gets the old content first. @chain holds all that the image is based on now.
 *
 * At every moment, a power cut included, the image is valid and shows the same; after a failure or
 * a cancel it is based on what it was, with some of that content in it, and the work can be begun
 * again. Everything is on the disk when it returns. @chain can only be freed afterwards.
 *
 * Only the image itself is written to. STATE when it has snapshots, which would lose what they see
 * of the old backing (not with unsafe). Advances @task by the image's capacity in all.
 */
gboolean cst_chain_rebase(CstChain *chain, const CstImageRebase *how, CstTask *task,
                          GError **error);

/** Rebases the top image on nothing, so that it holds all of its content itself. Succeeds at once
 * when it has no backing image. */
gboolean cst_chain_flatten(CstChain *chain, CstTask *task, GError **error);
