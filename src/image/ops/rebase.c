/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rebases an image without changing the guest's view. The image is opened with a marker (marker.h)
 * over its old backing image. Extents with its flag are unallocated in the image. If the new
 * backing image differs there, the old content is written into the image, which is invisible under
 * the old reference. After a flush the format replaces the reference in one atomic step. A power
 * cut before that leaves an image with its old backing image, and with some of the content.
 */
#include <image/backing.h>
#include <image/rebase.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>

#include "chain.h"
#include "difference.h"
#include "format.h"
#include "marker.h"

static gboolean keep_content(CstBlob *guest, CstBlob *below, CstTask *task, GError **error)
{
    cst_task_add_total(task, cst_image_capacity(cst_guest_image(guest)));
    return cst_write_difference(guest, guest, below, CST_DIFFERENCE_UNALLOCATED, task, error) &&
           cst_blob_flush(guest, error);
}

static gboolean rebase_check(const CstChain *chain, const CstImageRebase *how, GError **error)
{
    const CstImageInfo *info = cst_chain_info(chain, 0);
    const char *name = cst_chain_blob(chain, 0)->name;

    if (!cst_image_format_can_rebase(info->format))
        return cst_fail(
            error, CST_ERROR_UNSUPPORTED,
            _("'%s' is of format '%s', which cannot change its backing file; convert it"), name,
            cst_image_format_name(info->format));
    if (!cst_chain_check_writable(chain, 0, error))
        return FALSE;
    if (how->backing && !how->guest && cst_image_format_minds_changes(info->format))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' records the state of its backing image, so the new backing image "
                          "'%s' must be opened"),
                        name, how->backing);
    if (how->unsafe)
        return TRUE;
    if (how->backing && !how->guest)
        return cst_fail(
            error, CST_ERROR_INVALID,
            _("the new backing image '%s' of '%s' has to be open, so that the two can be compared"),
            how->backing, name);
    if (info->backing && cst_chain_length(chain) == 1)
        return cst_fail(
            error, CST_ERROR_INVALID,
            _("'%s' is based on '%s', which has to be open so that its content can be kept"), name,
            info->backing);
    return cst_chain_check_snapshots(chain, 1, error);
}

/** Opens the image with @old once. MISMATCH when the image records another backing image. */
static gboolean check_old(CstChain *chain, CstBlob *old, GError **error)
{
    CstImage *image = old ? cst_chain_open_one(chain, 0, 0, old, error) : NULL;

    cst_image_free(image);
    return image || !old;
}

gboolean cst_chain_rebase(CstChain *chain, const CstImageRebase *how, CstTask *task, GError **error)
{
    g_autoptr(CstBlob) old = NULL, marker = NULL, guest = NULL;
    g_autoptr(GError) why = NULL;
    CstImage *image;

    if (!rebase_check(chain, how, error) ||
        (!how->unsafe &&
         (!cst_chain_open_below(chain, 0, &old, error) || !check_old(chain, old, error))))
        return FALSE;
    marker = cst_marker_new(old);
    image = cst_chain_open_one(chain, 0, CST_IMAGE_WRITE | CST_IMAGE_SAME_CONTENT, marker, error);
    if (!image)
        return FALSE;
    guest = cst_image_guest_blob(image);
    if (!how->unsafe && !cst_may_change(error))
        return FALSE;
    if ((!how->unsafe &&
         (!keep_content(guest, how->guest, task, &why) || !cst_chain_run_check(chain, &why))) ||
        !cst_image_set_backing(cst_guest_image(guest), how->backing, how->backing_format,
                               how->guest, &why)) {
        g_clear_pointer(&guest, cst_blob_unref);
        cst_chain_free_leaks(chain, why);
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    /* frees tables that are needed only with a backing image */
    if (how->backing || !cst_image_format_minds_changes(cst_chain_info(chain, 0)->format))
        return TRUE;
    g_clear_pointer(&guest, cst_blob_unref);
    return cst_chain_repair_leaks(chain, 0, task, error);
}

gboolean cst_chain_flatten(CstChain *chain, CstTask *task, GError **error)
{
    const CstImageRebase nothing = {0};

    return !cst_chain_info(chain, 0)->backing || cst_chain_rebase(chain, &nothing, task, error);
}
