/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checked dispatch of amend. The image must be open for writing, and its format must have the
 * callback. The new size is rounded up to whole sectors of 512 bytes. The format checks the
 * combination of options. It makes the changes in an order that a power cut can interrupt at any
 * point.
 */
#include <image/amend.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "dispatch.h"

gboolean cst_image_format_can_amend(const CstImageFormat *format)
{
    return format->amend != NULL;
}

gboolean cst_image_amend(CstImage *image, const CstImageAmend *amend, CstTask *task, GError **error)
{
    CstImageAmend rounded = *amend;

    if (!image_may_change(image, error))
        return FALSE;
    if (!image->format->amend)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("options of an image of format '%s' can't be changed"),
                        image->format->name);
    if (amend->size > G_MAXINT64 - 511)
        return cst_fail(error, CST_ERROR_INVALID, _("the capacity is out of range"));
    rounded.size = cst_round_up(amend->size, 512);
    return IMAGE_CALL(image, amend, error, &rounded, task);
}
