/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

typedef enum {
    /** @from is the image itself, opened upon a marker (marker.h): examine only what it has not
     * allocated. */
    CST_DIFFERENCE_UNALLOCATED = 1 << 0
} CstDifferenceFlags;

/**
 * Writes into @guest (the guest's view of an image, upon anything) where @below, which it is or
 * will be based on (NULL: zeroes), differs from @from, so that the image upon @below shows what
 * @from does. @from is at least as long as the image. @flags are CstDifferenceFlags. Advances @task
 * by the image's capacity. Flushes nothing.
 */
gboolean cst_write_difference(CstBlob *from, CstBlob *guest, CstBlob *below, unsigned flags,
                              CstTask *task, GError **error);
