/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

typedef enum {
    /** @from is the image itself, opened with a marker (marker.h): examine only unallocated
     * ranges. */
    CST_DIFFERENCE_UNALLOCATED = 1 << 0
} CstDifferenceFlags;

/**
 * Writes into @guest (the guest's view of an image with any backing image) the differences between
 * @from and @below. @below is the present or future backing image (NULL: zeroes). Afterwards the
 * image shows the content of @from over @below. @from is at least as long as the image. @flags are
 * CstDifferenceFlags. Advances @task by the image's capacity. Does not flush.
 */
gboolean cst_write_difference(CstBlob *from, CstBlob *guest, CstBlob *below, unsigned flags,
                              CstTask *task, GError **error);
/**
 * Like cst_write_difference(), in @ranges only (of CstRange, ascending, without overlaps). Advances
 * @task by their length.
 */
gboolean cst_write_difference_in(CstBlob *from, CstBlob *guest, CstBlob *below,
                                 const GArray *ranges, unsigned flags, CstTask *task,
                                 GError **error);
