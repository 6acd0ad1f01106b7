/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bitmap actions: parses their names in qemu-img, and performs them. */
#include <image/bitmap.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

gboolean cst_bitmap_action_parse(const char *word, CstBitmapAction *ret_action, GError **error)
{
    static const char *const words[] = {
        [CST_BITMAP_ADD] = "add",         [CST_BITMAP_REMOVE] = "remove",
        [CST_BITMAP_CLEAR] = "clear",     [CST_BITMAP_ENABLE] = "enable",
        [CST_BITMAP_DISABLE] = "disable", [CST_BITMAP_MERGE] = "merge",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (strcmp(words[i], word) == 0) {
            *ret_action = (CstBitmapAction)i;
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_INVALID, _("'%s' can't be done with a bitmap"), word);
}

gboolean cst_image_bitmap_apply(CstImage *image, CstBitmapAction action, const char *name,
                                uint64_t granularity, CstImage *source, const char *from,
                                GError **error)
{
    switch (action) {
    case CST_BITMAP_ADD: return cst_image_bitmap_add(image, name, granularity, TRUE, error);
    case CST_BITMAP_REMOVE: return cst_image_bitmap_remove(image, name, error);
    case CST_BITMAP_CLEAR: return cst_image_bitmap_clear(image, name, error);
    case CST_BITMAP_ENABLE: return cst_image_bitmap_enable(image, name, TRUE, error);
    case CST_BITMAP_DISABLE: return cst_image_bitmap_enable(image, name, FALSE, error);
    case CST_BITMAP_MERGE: break;
    }
    return from ? cst_image_bitmap_merge(image, name, source, from, error)
                : cst_fail(error, CST_ERROR_INVALID, _("say which bitmap is to be added to '%s'"),
                           name);
}
