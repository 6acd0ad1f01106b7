/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/** For the other files here: opens one image of the chain for reading, upon @below (NULL: none). */
CstImage *cst_chain_open_one(CstChain *chain, guint index, unsigned flags, CstBlob *below,
                             GError **error);
