/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>

/**
 * Reads what thin_delta prints of two thin devices, an XML document of ranges, for where they
 * differ. Pure; takes the document in parts of any length, and keeps none of it.
 */
typedef struct LvmDelta LvmDelta;

/** @changed, which is begun and outlives the delta, gets what differs. Free it. */
LvmDelta *lvm_delta_new(const char *left, const char *right, CstChanged *changed);
/** Frees it. NULL is accepted. */
void lvm_delta_free(LvmDelta *delta);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmDelta, lvm_delta_free)

/**
 * Takes the next part. CORRUPT: it is no such document, or of other devices than @left and @right.
 * *@ret_full: there is no more room, and the rest is of no interest.
 */
gboolean lvm_delta_take(LvmDelta *delta, const char *text, size_t length, gboolean *ret_full,
                        GError **error);
/**
 * Ends, when the document has: CORRUPT unless it was whole. @older: bytes of the older device.
 */
gboolean lvm_delta_end(LvmDelta *delta, uint64_t older, GError **error);
