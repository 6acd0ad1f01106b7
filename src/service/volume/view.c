/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes and snapshots, opened as their guests see them. */
#include "view.h"

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>

#include "clone.h"
#include "core/scan.h"
#include "declare.h"
#include "dependency/guard.h"

static gboolean prepare_writes(const ImageChain *chain, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);

    if (!volume_shows_in_none(&link->claim, error) || !cst_may_change(error))
        return FALSE;
    return !cst_image_name_is_plain(link->volume->format) ||
           trust_restrict(&link->claim, link->volume, link->blob, error);
}

static gboolean open_image(VolumeView *view, CstPool *pool, const char *name, GError **error)
{
    view->chain = (ImageChain){.task = view->task,
                               .write = view->writable,
                               .stream = TRUE,
                               .at_rest = !view->writable && !view->force_share};
    if (!image_chain_open(&view->chain, pool, name, error) ||
        (view->writable && !prepare_writes(&view->chain, error)) ||
        !cst_chain_open_images(view->chain.chain, view->writable ? CST_IMAGE_WRITE : 0,
                               view->snapshot, error))
        return FALSE;
    view->blob = cst_chain_guest(view->chain.chain);
    return TRUE;
}

/* Of a snapshot that the pool's technology keeps: the bytes of then, in the volume's format. */
static gboolean open_snapshot(VolumeView *view, CstPool *pool, const char *name, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;
    const CstImageFormat *format;

    view->claim = (VolumeClaim){.task = view->task, .stream = TRUE};
    if (!volume_claim_now(&view->claim, pool, name, CLAIM_READ, &volume, error))
        return FALSE;
    if (volume->extra && volume->extra->backing_path)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("snapshot '%s' is of an image that is based on '%s'; make a volume of it "
                          "(snap-clone) and use that"),
                        view->snapshot, volume->extra->backing_path);
    format = cst_image_format_find(volume->format, error);
    view->stored =
        format ? cst_pool_state_snapshot_open(view->claim.state, name, view->snapshot, error)
               : NULL;
    view->of_snapshot = view->stored ? cst_chain_open(view->stored, format, 0, NULL, error) : NULL;
    if (view->of_snapshot)
        view->blob = cst_chain_guest(view->of_snapshot);
    return view->of_snapshot != NULL;
}

/* Whether the image itself keeps the volume's snapshots. */
static gboolean keeps_snapshots(CstPool *pool, const char *name, gboolean *ret_keeps,
                                GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, name, error) : NULL;

    if (volume)
        *ret_keeps = volume_keeps_snapshots(volume);
    return volume != NULL;
}

gboolean volume_view_open(VolumeView *view, CstPool *pool, const char *name, GError **error)
{
    gboolean inside = TRUE;

    if (view->snapshot && !keeps_snapshots(pool, name, &inside, error))
        return FALSE;
    return inside ? open_image(view, pool, name, error) : open_snapshot(view, pool, name, error);
}

void volume_view_ends(const VolumeView *view)
{
    for (guint i = 0; view->chain.links && i < view->chain.links->len; i++) {
        const VolumeClaim *claim = &image_chain_link(&view->chain, i)->claim;

        if (claim->holder)
            volume_stream_ends(claim);
    }
    if (view->claim.holder)
        volume_stream_ends(&view->claim);
}

void volume_view_close(VolumeView *view)
{
    view->blob = NULL;
    g_clear_pointer(&view->of_snapshot, cst_chain_free);
    g_clear_pointer(&view->stored, cst_blob_unref);
    image_chain_close(&view->chain);
    volume_release(&view->claim);
}
