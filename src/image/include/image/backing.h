/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * The reference of an image to the one it is based on, and what the image holds upon it. These are
 * the single steps; image/rebase.h and image/commit.h keep the guest's content whole.
 */

gboolean cst_image_format_can_rebase(const CstImageFormat *format);
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

/** The format remembers in which state the backing image was, and notices when it has changed. */
gboolean cst_image_format_minds_changes(const CstImageFormat *format);

/**
 * @parent (open for writing, not changed since) is going to change in a way that the guest of
 * @image, which is open upon it, will not see. From now on @image is valid upon @parent as it is
 * and as it will be. Is on the disk when it returns; nothing is written to @parent. Formats that do
 * not mind do nothing.
 */
gboolean cst_image_expect(CstImage *image, CstImage *parent, GError **error);
/** @parent has changed and is on the disk: @image remembers that, and nothing else. */
gboolean cst_image_follow(CstImage *image, CstImage *parent, GError **error);

/**
 * The image holds nothing any more: all of the backing image shows. Can be stopped anywhere, and
 * begun again. Not beside other calls. What the file held may be left over, as a leak.
 */
gboolean cst_image_empty(CstImage *image, CstTask *task, GError **error);

/**
 * What the image's file holds and the image does not use goes back to the file system. Trusts the
 * image's own account of it: check before. Formats that keep no account do nothing. Not beside
 * other calls.
 */
gboolean cst_image_trim(CstImage *image, CstTask *task, GError **error);
