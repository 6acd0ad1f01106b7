/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * The reference of an image to its backing image, and the content that the image holds over it.
 * These are the single steps. image/rebase.h and image/commit.h preserve the guest's content.
 */

/** Returns whether cst_image_set_backing() supports @format. */
gboolean cst_image_format_can_rebase(const CstImageFormat *format);
/** Returns whether cst_image_empty() supports @format. */
gboolean cst_image_format_can_empty(const CstImageFormat *format);

/**
 * Writes out earlier changes, then replaces the backing reference with @name of format @format
 * (both NULL: no backing image). The replacement is atomic, even with a power cut. Reopen the image
 * before it is read again. LIMIT when the header has no room for the name. UNSUPPORTED when the
 * format cannot change the reference, or the header's layout does not allow an atomic change.
 *
 * @guest is the guest's view of the new backing image, for formats that record its identity. With
 * NULL, vhdx and vpc record no identity, while vmdk fails with INVALID.
 */
gboolean cst_image_set_backing(CstImage *image, const char *name, const char *format,
                               CstBlob *guest, GError **error);

/**
 * Returns whether images of @format record the state of their backing image, and refuse a backing
 * image in another state.
 */
gboolean cst_image_format_minds_changes(const CstImageFormat *format);

/**
 * Announces a change of @parent that the guest of @image will not see. @parent is open for writing
 * and not changed yet; @image is open with @parent as its backing image. Afterwards @image accepts
 * both the present and the future state of @parent. The announcement is on the disk when the call
 * returns. Does not write to @parent. Has no effect for formats that do not record the state.
 */
gboolean cst_image_expect(CstImage *image, CstImage *parent, GError **error);
/**
 * Records in @image that @parent has changed as announced with cst_image_expect(). The change of
 * @parent must be on the disk. Afterwards @image refuses the old state of @parent.
 */
gboolean cst_image_follow(CstImage *image, CstImage *parent, GError **error);

/**
 * Drops all content that @image holds itself, so that the whole backing image shows. May be
 * interrupted at any point, and repeated. No other thread may use the image during the call. The
 * space of the content may remain in the file as a leak. UNSUPPORTED for formats without this
 * operation.
 */
gboolean cst_image_empty(CstImage *image, CstTask *task, GError **error);

/**
 * Returns unused space of the image's file to the file system. Trusts the image's metadata about
 * free space, so check the image before. Has no effect for formats without such metadata. No other
 * thread may use the image during the call.
 */
gboolean cst_image_trim(CstImage *image, CstTask *task, GError **error);
