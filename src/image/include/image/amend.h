/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>
#include <image/options.h>

/** Changing in place what an image was created with. */

typedef enum { CST_AMEND_KEEP, CST_AMEND_ON, CST_AMEND_OFF } CstAmendSwitch;

/** The options to change; members that are zero or NULL keep what the image has. */
typedef struct {
    const char *compat;     /**< "0.10" or "1.1" */
    unsigned refcount_bits; /**< 1, 2, 4 … 64 */
    CstAmendSwitch lazy_refcounts;
    const char *data_file; /**< the name of the data file, which must be there; it is not moved */
    CstAmendSwitch data_file_raw; /**< can only be switched off */
    const char *backing; /**< must equal the present one; cst_image_set_backing() changes it */
    const char *backing_format; /**< likewise */
    gboolean has_size;
    uint64_t size; /**< as for cst_image_resize() */
} CstImageAmend;

/** Returns whether cst_image_amend() knows @format. */
gboolean cst_image_format_can_amend(const CstImageFormat *format);
/**
 * Returns the options that can be changed, as an array of const CstImageOption pointers; free the
 * array with g_ptr_array_unref().
 */
GPtrArray *cst_image_amend_options_of(const CstImageFormat *format);
/**
 * Parses as cst_image_options_parse() does; an option that can't be changed is ARGUMENT_UNSUPPORTED
 * as well.
 */
gboolean cst_image_amend_parse(CstImageOptions *options, const CstImageFormat *format,
                               const char *text, GError **error);
/** Sets *ret_amend to what was parsed. Its strings belong to @options. */
void cst_image_amend_read(const CstImageOptions *options, CstImageAmend *ret_amend);

/**
 * Changes @image, which is open for writing; everything is on the disk when it returns. A power cut
 * leaves the old image, the new one, or, when its size changes, one with either the size or all
 * else changed; the call can be made again then. Nobody may read or write the guest's bytes
 * meanwhile, which stay as they are.
 *
 * INVALID for what does not go together, UNSUPPORTED where the image has what the older version
 * lacks, LIMIT where its refcounts don't fit.
 */
gboolean cst_image_amend(CstImage *image, const CstImageAmend *amend, CstTask *task,
                         GError **error);
