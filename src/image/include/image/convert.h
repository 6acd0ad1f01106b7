/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

typedef enum {
    /** Compress, on all processors; of VMDK that makes the variant for it. UNSUPPORTED where the
     * format can't. */
    CST_CONVERT_COMPRESS = 1 << 0,
    /** The target reads as zeroes already, so that a raw image needs no zeroes written. */
    CST_CONVERT_TARGET_ZERO = 1 << 1,
    /** The target's sector may have another size than the source's. */
    CST_CONVERT_DROP_SECTOR_SIZE = 1 << 2
} CstConvertFlags;

/**
 * Writes a copy of @from (the guest's view of an image, or any blob) onto @to as a new image of
 * @format, and flushes it. @options are those of cst_image_create() (NULL: the defaults), with
 * capacity left out: the image gets the size of @from. With a backing image, which then comes as
 * backing_guest, it gets what differs from that. @flags are CstConvertFlags. Zeroes are left
 * out, extents shared where the file system can. After a failure @to holds nothing of use. Sets
 * @task's total, in bytes, and advances it.
 *
 * A format that records the sector size gets that of @from, unless @options set one. Another format
 * cannot hold a disk of 4096-byte sectors, because its guest would find no partitions: UNSUPPORTED,
 * unless CST_CONVERT_DROP_SECTOR_SIZE allows it.
 */
gboolean cst_image_convert(CstBlob *from, CstBlob *to, const CstImageFormat *format,
                           const CstImageCreate *options, unsigned flags, CstTask *task,
                           GError **error);

/* --- not in the library: other ways to fill an image ------------------------------------------ */

/**
 * Does what cst_image_convert() does about the sector size, for a caller that copies by itself:
 * sets options->sector_size to that of @from, or fails with UNSUPPORTED. @flags are
 * CstConvertFlags.
 */
gboolean cst_image_keep_sector_size(CstBlob *from, const CstImageFormat *format,
                                    CstImageCreate *options, unsigned flags, GError **error);

/**
 * Converts as cst_image_convert() does, but writes runs of fewer than @zero_run zero bytes (a
 * multiple of 512) as data; with 0 all zeroes, so that the image is fully allocated. Shares no
 * extents. With CST_CONVERT_COMPRESS only 0 makes a difference, because compression leaves zeroes
 * out by whole units. Not for an image with a backing image.
 */
gboolean cst_image_convert_sparse(CstBlob *from, CstBlob *to, const CstImageFormat *format,
                                  const CstImageCreate *options, uint64_t zero_run, unsigned flags,
                                  CstTask *task, GError **error);

/**
 * Overwrites @guest, the guest's view of an existing image, with @from; bytes behind the end of
 * @from stay as they are. INVALID when the image is too small. @zero_run as above; NULL: whatever
 * is fastest.
 * @flags are CstConvertFlags; with CST_CONVERT_COMPRESS the old content is given up first, so that
 * a failure leaves less of it. Flushes @guest.
 */
gboolean cst_image_overwrite(CstBlob *from, CstBlob *guest, const uint64_t *zero_run,
                             unsigned flags, CstTask *task, GError **error);

/**
 * Makes @guest, the guest's view of an image that is open for writing, show in @ranges (of
 * CstRange, in order, apart, within both) what @from does. Both are read there, and only what
 * differs is written, in the format's smallest units or 4 KiB. Flushes @guest. Advances @task by
 * the bytes of the ranges.
 */
gboolean cst_image_patch(CstBlob *from, CstBlob *guest, const GArray *ranges, CstTask *task,
                         GError **error);
