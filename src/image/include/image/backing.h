/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * The reference of an image to the one it is based on, and what the image holds upon it. These are
 * the single steps; image/rebase.h and image/commit.h keep the guest's content whole.
 */

/** Returns whether cst_image_set_backing() knows @format. */
gboolean cst_image_format_can_rebase(const CstImageFormat *format);
/** Returns whether cst_image_empty() knows @format. */
gboolean cst_image_format_can_empty(const CstImageFormat *format);

/**
 * Writes out what was written, then makes the image refer to @name of format @format (both NULL: to
 * nothing) and to nothing else, in one step that a power cut lets happen or not. The image must be
 * opened anew before it is read again. LIMIT when the header has no room for the name, UNSUPPORTED
 * where the format can't, or the header's layout does not allow it in one step.
 *
 * @guest is the guest's view of the new backing image, for formats that remember which one it was;
 * NULL: not at hand, and then vhdx and vpc remember none, while vmdk is INVALID.
 */
gboolean cst_image_set_backing(CstImage *image, const char *name, const char *format,
                               CstBlob *guest, GError **error);

/**
 * Returns whether images of @format record the state of their backing image, and refuse it when it
 * has changed.
 */
gboolean cst_image_format_minds_changes(const CstImageFormat *format);

/**
 * @parent (open for writing, not changed since) is going to change in a way that the guest of
 * @image, which is open upon it, will not see. From now on @image is valid upon @parent as it is
 * and as it will be. Is on the disk when it returns; nothing is written to @parent. Formats that do
 * not mind do nothing.
 */
gboolean cst_image_expect(CstImage *image, CstImage *parent, GError **error);
/**
 * Records in @image that @parent has changed as announced with cst_image_expect(), and is on the
 * disk. The old state of @parent is not accepted any more.
 */
gboolean cst_image_follow(CstImage *image, CstImage *parent, GError **error);

/**
 * Drops all that @image holds itself, so that the whole backing image shows. May be interrupted
 * anywhere, and begun again. No other thread may use the image meanwhile. The space that the
 * content had may remain in the file as a leak. UNSUPPORTED where the format can't.
 */
gboolean cst_image_empty(CstImage *image, CstTask *task, GError **error);

/**
 * Returns space of the file that @image does not use to the file system. Trusts the image's own
 * account of free space, so check the image before. Does nothing for formats without such an
 * account. No other thread may use the image meanwhile.
 */
gboolean cst_image_trim(CstImage *image, CstTask *task, GError **error);
