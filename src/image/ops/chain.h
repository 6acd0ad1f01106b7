/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/** For the other files here: opens one image of the chain for reading, upon @below (NULL: none). */
CstImage *cst_chain_open_one(CstChain *chain, guint index, unsigned flags, CstBlob *below,
                             GError **error);

/**
 * The guest's view of images @index to before @end, each upon the next, the last one upon @bottom
 * (NULL: none); for reading.
 */
CstBlob *cst_chain_open_view(CstChain *chain, guint index, guint end, CstBlob *bottom,
                             GError **error);
/** What image @index is based on, for reading; NULL: nothing that is in the chain. */
gboolean cst_chain_open_below(CstChain *chain, guint index, CstBlob **ret_below, GError **error);

/** What the image's file holds and the image does not use goes back to the file system. */
gboolean cst_chain_repair_leaks(CstChain *chain, guint index, CstTask *task, GError **error);

/** STATE when one of the images before @end has snapshots, which its backing must not change
 *  for. */
gboolean cst_chain_check_snapshots(const CstChain *chain, guint end, GError **error);
gboolean cst_chain_check_writable(const CstChain *chain, guint index, GError **error);
