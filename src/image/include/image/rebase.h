/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/** The new backing image of an image. */
typedef struct {
    const char *backing;        /**< text to store as the reference; NULL: no backing image */
    const char *backing_format; /**< required with backing */
    CstBlob *guest;             /**< guest's view of it; NULL is allowed with unsafe, except for
                                     formats that record its state (image/backing.h) */
    gboolean unsafe; /**< change only the reference: the caller knows that both backing images
                          have the same content */
} CstImageRebase;

/**
 * Replaces the backing image of the top image of @chain (from cst_chain_look()), and preserves the
 * guest's content. The blob of the image must be writable and claimed with cst_image_hold(). Where
 * the old and the new backing image differ, the old content is first written into the image. @chain
 * must hold all present backing images.
 *
 * The image is valid and shows the same content at every point in time, even after a power cut.
 * After a failure or a cancel it has its old backing image and some of that content, and the rebase
 * can be repeated. All changes are on the disk when the call returns. Afterwards @chain can only be
 * freed.
 *
 * Writes only to the image itself. STATE when the image has snapshots, whose content depends on the
 * old backing image (not with unsafe). Advances @task by the image's capacity.
 */
gboolean cst_chain_rebase(CstChain *chain, const CstImageRebase *how, CstTask *task,
                          GError **error);

/** Rebases the top image to no backing image, so that it holds all of its content itself. Succeeds
 * at once when it has no backing image. */
gboolean cst_chain_flatten(CstChain *chain, CstTask *task, GError **error);
