/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/backing.h>

#include <base/error.h>
#include <base/i18n.h>

#include "format.h"

/* The checked dispatch for what is below an image, and for space. */

gboolean cst_image_format_can_rebase(const CstImageFormat *format)
{
    return format->set_backing != NULL;
}

gboolean cst_image_format_can_empty(const CstImageFormat *format)
{
    return format->empty != NULL;
}

static gboolean may_change(const CstImage *image, GError **error)
{
    return image->writable || cst_fail(error, CST_ERROR_READ_ONLY,
                                       _("'%s' is open for reading only"), image->blob->name);
}

gboolean cst_image_format_minds_changes(const CstImageFormat *format)
{
    return format->expect != NULL;
}

/** NULL: it is of another format, or not known. */
static CstImage *same_format(const CstImage *image, CstBlob *guest)
{
    CstImage *parent = guest ? cst_guest_image(guest) : NULL;

    return parent && parent->format == image->format ? parent : NULL;
}

gboolean cst_image_set_backing(CstImage *image, const char *name, const char *format,
                               CstBlob *guest, GError **error)
{
    if (!image->format->set_backing)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("what an image of format '%s' is based on can't be changed"),
                        image->format->name);
    if ((name != NULL) != (format != NULL) || (name && *name == '\0'))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a backing image must come with its format, and a format with an image"));
    return may_change(image, error) &&
           image->format->set_backing(image, name, format, same_format(image, guest), error);
}

gboolean cst_image_expect(CstImage *image, CstImage *parent, GError **error)
{
    if (!image->format->expect || parent->format != image->format)
        return TRUE;
    return may_change(image, error) && image->format->expect(image, parent, error);
}

gboolean cst_image_follow(CstImage *image, CstImage *parent, GError **error)
{
    if (!image->format->follow || parent->format != image->format)
        return TRUE;
    return may_change(image, error) && image->format->follow(image, parent, error);
}

gboolean cst_image_empty(CstImage *image, CstTask *task, GError **error)
{
    if (!image->format->empty)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' can't be emptied"),
                        image->format->name);
    return may_change(image, error) && image->format->empty(image, task, error);
}

gboolean cst_image_trim(CstImage *image, CstTask *task, GError **error)
{
    if (!image->format->trim)
        return TRUE;
    return may_change(image, error) && image->format->trim(image, task, error);
}
