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

gboolean cst_image_set_backing(CstImage *image, const char *name, const char *format,
                               GError **error)
{
    if (!image->format->set_backing)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("what an image of format '%s' is based on can't be changed"),
                        image->format->name);
    if ((name != NULL) != (format != NULL) || (name && *name == '\0'))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a backing image must come with its format, and a format with an image"));
    return may_change(image, error) && image->format->set_backing(image, name, format, error);
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
