/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>
#include <image/options.h>

/** In-place changes of the creation options of an image. */

typedef enum { CST_AMEND_KEEP, CST_AMEND_ON, CST_AMEND_OFF } CstAmendSwitch;

/** The options to change. Members that are zero or NULL keep the image's values. */
typedef struct {
    const char *compat;     /**< "0.10" or "1.1" */
    unsigned refcount_bits; /**< 1, 2, 4 … 64 */
    CstAmendSwitch lazy_refcounts;
    const char *data_file;        /**< name of the existing data file; the file is not moved */
    CstAmendSwitch data_file_raw; /**< can only be switched off */
    const char *backing;        /**< must equal the present reference, which cst_image_set_backing()
                                     changes */
    const char *backing_format; /**< must equal the present format */
    gboolean has_size;
    uint64_t size; /**< as for cst_image_resize() */
} CstImageAmend;

/** Returns whether cst_image_amend() supports @format. */
gboolean cst_image_format_can_amend(const CstImageFormat *format);
/**
 * Returns the options that can be changed, as an array of const CstImageOption pointers. Free the
 * array with g_ptr_array_unref().
 */
GPtrArray *cst_image_amend_options_of(const CstImageFormat *format);
/**
 * Parses like cst_image_options_parse(). An option that cannot be changed is ARGUMENT_UNSUPPORTED,
 * too.
 */
gboolean cst_image_amend_parse(CstImageOptions *options, const CstImageFormat *format,
                               const char *text, GError **error);
/** Sets *ret_amend to the parsed options. Its strings belong to @options. */
void cst_image_amend_read(const CstImageOptions *options, CstImageAmend *ret_amend);

/**
 * Changes @image, which is open for writing. All changes are on the disk when the call returns. A
 * power cut leaves the old image or the new one. If the size changes, it may leave an image with
 * only the size or only the other options changed; the call can then be repeated. No thread may
 * read or write the guest's bytes during the call. The call does not change them.
 *
 * INVALID for options that contradict each other, UNSUPPORTED when the image has features that the
 * older version lacks, LIMIT when its refcounts exceed the new width.
 */
gboolean cst_image_amend(CstImage *image, const CstImageAmend *amend, CstTask *task,
                         GError **error);
