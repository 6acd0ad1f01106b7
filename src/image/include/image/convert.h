/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

typedef enum {
    /** Compress, on all processors. A VMDK gets its compressed subformat. UNSUPPORTED for formats
     * without compression. */
    CST_CONVERT_COMPRESS = 1 << 0,
    /** The target reads as zeroes, so a raw image needs no written zeroes. */
    CST_CONVERT_TARGET_ZERO = 1 << 1,
    /** The sector sizes of target and source may differ. */
    CST_CONVERT_DROP_SECTOR_SIZE = 1 << 2
} CstConvertFlags;

/**
 * Writes a copy of @from (the guest's view of an image, or any blob) onto @to as a new image of
 * @format, and flushes it. @options are the options of cst_image_create() (NULL: the defaults)
 * without a capacity, because the image gets the size of @from. With a backing image, which
 * backing_guest must provide, the copy holds only the difference from it. @flags are
 * CstConvertFlags. Zeroes are left out, and extents are shared if the file system can. After a
 * failure the content of @to is undefined. Sets @task's total, in bytes, and advances it.
 *
 * A format that records the sector size gets the sector size of @from, unless @options set one.
 * Another format cannot hold a disk of 4096-byte sectors, because its guest would find no
 * partitions: UNSUPPORTED, unless CST_CONVERT_DROP_SECTOR_SIZE allows it.
 */
gboolean cst_image_convert(CstBlob *from, CstBlob *to, const CstImageFormat *format,
                           const CstImageCreate *options, unsigned flags, CstTask *task,
                           GError **error);

/* --- not in the library: other ways to fill an image ------------------------------------------ */

/**
 * Applies the rule of cst_image_convert() for the sector size, for a caller with its own copy loop.
 * Sets options->sector_size to the sector size of @from, or fails with UNSUPPORTED. @flags are
 * CstConvertFlags.
 */
gboolean cst_image_keep_sector_size(CstBlob *from, const CstImageFormat *format,
                                    CstImageCreate *options, unsigned flags, GError **error);

/**
 * Converts like cst_image_convert(), but writes runs of fewer than @zero_run zero bytes (a multiple
 * of 512) as data. With 0 it writes all zeroes, so that the image is fully allocated. Shares no
 * extents. With CST_CONVERT_COMPRESS only 0 has an effect, because compression leaves zeroes out by
 * whole units. Not for an image with a backing image.
 */
gboolean cst_image_convert_sparse(CstBlob *from, CstBlob *to, const CstImageFormat *format,
                                  const CstImageCreate *options, uint64_t zero_run, unsigned flags,
                                  CstTask *task, GError **error);

/**
 * Overwrites @guest, the guest's view of an existing image, with @from. Bytes after the end of
 * @from are unchanged. INVALID when the image is too small. @zero_run is as for
 * cst_image_convert_sparse(); NULL: the fastest method. @flags are CstConvertFlags. With
 * CST_CONVERT_COMPRESS the old content is dropped first, so that a failure loses more of it.
 * Flushes @guest.
 */
gboolean cst_image_overwrite(CstBlob *from, CstBlob *guest, const uint64_t *zero_run,
                             unsigned flags, CstTask *task, GError **error);

/**
 * Copies the ranges @ranges of @from to @guest, the guest's view of an image that is open for
 * writing. @ranges has CstRange elements in ascending order, not adjacent, inside both. Reads both,
 * and writes only the differences, in the format's smallest units or 4 KiB. Flushes @guest.
 * Advances @task by the bytes of the ranges.
 */
gboolean cst_image_patch(CstBlob *from, CstBlob *guest, const GArray *ranges, CstTask *task,
                         GError **error);
