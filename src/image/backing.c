/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checked dispatch of the calls for the backing image (set_backing, expect, follow, empty) and of
 * trim. A missing callback is UNSUPPORTED, or success if the format needs no action. A change needs
 * an image that is open for writing. A format never gets a parent of another format, because only
 * the own format can compare identities.
 */
#include <image/backing.h>

#include <base/error.h>
#include <base/i18n.h>

#include "dispatch.h"

gboolean cst_image_format_can_rebase(const CstImageFormat *format)
{
    return format->set_backing != NULL;
}

gboolean cst_image_format_can_empty(const CstImageFormat *format)
{
    return format->empty != NULL;
}

gboolean cst_image_format_minds_changes(const CstImageFormat *format)
{
    return format->expect != NULL;
}

gboolean cst_image_set_backing(CstImage *image, const char *name, const char *format,
                               CstBlob *guest, GError **error)
{
    if (!image->format->set_backing)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("the backing file of an image of format '%s' cannot be changed"),
                        image->format->name);
    if ((name != NULL) != (format != NULL) || (name && *name == '\0'))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a backing image must come with its format, and a format with an image"));
    return image_may_change(image, error) && IMAGE_CALL(image, set_backing, error, name, format,
                                                        cst_guest_image_of(guest, image->format));
}

gboolean cst_image_expect(CstImage *image, CstImage *parent, GError **error)
{
    if (!image->format->expect || parent->format != image->format)
        return TRUE;
    return image_may_change(image, error) && IMAGE_CALL(image, expect, error, parent);
}

gboolean cst_image_follow(CstImage *image, CstImage *parent, GError **error)
{
    if (!image->format->follow || parent->format != image->format)
        return TRUE;
    return image_may_change(image, error) && IMAGE_CALL(image, follow, error, parent);
}

gboolean cst_image_empty(CstImage *image, CstTask *task, GError **error)
{
    if (!image->format->empty)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' can't be emptied"),
                        image->format->name);
    return image_may_change(image, error) && IMAGE_CALL(image, empty, error, task);
}

gboolean cst_image_trim(CstImage *image, CstTask *task, GError **error)
{
    if (!image->format->trim)
        return TRUE;
    return image_may_change(image, error) && IMAGE_CALL(image, trim, error, task);
}
