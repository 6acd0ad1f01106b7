/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checked dispatch of the internal snapshot calls. A new name is checked here (1 to 255 bytes). The
 * name of an existing snapshot is not checked, because other tools may have given it any bytes.
 */
#include <image/snapshot.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "dispatch.h"

#define NAME_MAX_BYTES 255

gboolean cst_image_format_has_snapshots(const CstImageFormat *format)
{
    return format->snapshots != NULL;
}

static gboolean has_snapshots(CstImage *image, GError **error)
{
    return image->format->snapshots ||
           cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' have no snapshots"),
                    image->format->name);
}

static gboolean may_change(CstImage *image, GError **error)
{
    return has_snapshots(image, error) && image_may_change(image, error);
}

void cst_image_snapshot_free(CstImageSnapshot *snapshot)
{
    g_free(snapshot->id);
    g_free(snapshot->name);
    g_free(snapshot);
}

GPtrArray *cst_image_snapshot_list(CstImage *image, GError **error)
{
    GPtrArray *list;
    CstCall call;

    if (!has_snapshots(image, error))
        return NULL;
    call = image_call_begin(image->format, "snapshots->list", image->blob->name);
    list = image->format->snapshots->list(image, &call.why);
    if (!cst_call_end(&call, list != NULL, error))
        g_clear_pointer(&list, g_ptr_array_unref);
    return list;
}

static gboolean is_good_name(const char *name, GError **error)
{
    return (*name != '\0' && strlen(name) <= NAME_MAX_BYTES) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("a snapshot's name must have between 1 and %d bytes"), NAME_MAX_BYTES);
}

gboolean cst_image_snapshot_create(CstImage *image, const char *name, CstTask *task, GError **error)
{
    return may_change(image, error) && is_good_name(name, error) &&
           IMAGE_CALL(image, snapshots->create, error, name, task);
}

gboolean cst_image_snapshot_revert(CstImage *image, const char *name, CstTask *task, GError **error)
{
    return may_change(image, error) && IMAGE_CALL(image, snapshots->revert, error, name, task);
}

gboolean cst_image_snapshot_delete(CstImage *image, const char *name, CstTask *task, GError **error)
{
    return may_change(image, error) && IMAGE_CALL(image, snapshots->remove, error, name, task);
}

gboolean cst_image_snapshot_rename(CstImage *image, const char *name, const char *new_name,
                                   GError **error)
{
    return may_change(image, error) && is_good_name(new_name, error) &&
           IMAGE_CALL(image, snapshots->rename, error, name, new_name);
}

gboolean cst_image_changed(CstImage *image, const char *since, const char *until, CstTask *task,
                           CstChanged *changed, GError **error)
{
    return has_snapshots(image, error) &&
           IMAGE_CALL(image, snapshots->changed, error, since, until, task, changed);
}
