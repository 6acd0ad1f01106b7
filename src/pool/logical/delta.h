/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>

/**
 * Parses the output of thin_delta for two thin devices, an XML document of ranges, and reports
 * where they differ. Pure. Accepts the document in parts of any length, and stores no part of it.
 */
typedef struct LvmDelta LvmDelta;

/**
 * Makes a parser that adds the differing ranges to @changed, which has begun and outlives the
 * parser. The caller frees it.
 */
LvmDelta *lvm_delta_new(const char *left, const char *right, CstChanged *changed);
/** Frees @delta. Accepts NULL. */
void lvm_delta_free(LvmDelta *delta);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmDelta, lvm_delta_free)

/**
 * Parses the next part. CORRUPT if the document is not valid, or is about devices other than @left
 * and @right. Sets *ret_full to whether @changed is full, so that the rest is not needed.
 */
gboolean lvm_delta_take(LvmDelta *delta, const char *text, size_t length, gboolean *ret_full,
                        GError **error);
/**
 * Ends the parser at the end of the document. CORRUPT if the document is not complete. @older:
 * bytes of the older device.
 */
gboolean lvm_delta_end(LvmDelta *delta, uint64_t older, GError **error);
