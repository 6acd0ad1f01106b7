/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/**
 * Opens image @index of the chain with @flags (CstImageOpenFlags) and the backing image @below
 * (NULL: no backing image). The caller frees the image before the chain. For the other files of
 * this folder.
 */
CstImage *cst_chain_open_one(CstChain *chain, guint index, unsigned flags, CstBlob *below,
                             GError **error);

/**
 * Opens the images from @index to before @end for reading, each with the next one as its backing
 * image, and the last one with @bottom (NULL: no backing image). Returns the guest's view of them,
 * a new reference. NULL with @error set, or if the range is empty and @bottom NULL.
 */
CstBlob *cst_chain_open_view(CstChain *chain, guint index, guint end, CstBlob *bottom,
                             GError **error);
/**
 * Sets *ret_below to the view of all images below image @index, for reading (a new reference); NULL
 * if the chain ends at @index.
 */
gboolean cst_chain_open_below(CstChain *chain, guint index, CstBlob **ret_below, GError **error);

/** Checks image @index, which must not be open, and returns its leaked space to the file system. */
gboolean cst_chain_repair_leaks(CstChain *chain, guint index, CstTask *task, GError **error);
/**
 * Frees clusters that the top image has leaked after the failure @why of a full or failing disk:
 * their refcounts were written, but the tables were not. The image must be closed. Ignores errors,
 * because the caller reports @why.
 */
void cst_chain_free_leaks(CstChain *chain, const GError *why);

/**
 * Fails with STATE when an image before @end has snapshots, because their content depends on the
 * backing image, which must not change.
 */
gboolean cst_chain_check_snapshots(const CstChain *chain, guint end, GError **error);
/** Calls the check of cst_chain_set_check(). Succeeds without a check. */
gboolean cst_chain_run_check(const CstChain *chain, GError **error);
/** Fails with READ_ONLY when the file of image @index is open for reading only. */
gboolean cst_chain_check_writable(const CstChain *chain, guint index, GError **error);
