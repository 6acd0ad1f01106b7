/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens the guest-visible content of volumes and snapshots.
 */
#include "view.h"

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <image/bitmap.h>

#include "core/scan.h"
#include "dependency/guard.h"
#include "volume/create/clone.h"
#include "volume/declare.h"

static gboolean prepare_writes(const ImageChain *chain, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);

    if (!volume_shows_in_none(&link->claim, error) || !cst_may_change(error))
        return FALSE;
    return !cst_image_name_is_plain(link->volume->format) ||
           trust_restrict(&link->claim, link->volume, link->blob, error);
}

/* --- dirty bitmaps --------------------------------------------------------------------------- */

#define RANGES_MAX (1U << 20) /* of all bitmaps together: 16 MiB */

/*
 * Returns the reason why @bitmap cannot be exported while the view is open. Returns NULL if it can.
 */
static const char *bitmap_trouble(const VolumeView *view, const CstImageBitmap *bitmap)
{
    if (bitmap->inconsistent)
        return "it is inconsistent";
    if (bitmap->enabled && view->writable)
        return "it is enabled, and writes are not tracked in it";
    if (!g_utf8_validate(bitmap->name, -1, NULL))
        return "its name is no UTF-8";
    return view->bitmaps->len >= CST_NBD_BITMAPS_MAX ? "there are too many" : NULL;
}

static void add_bitmap(VolumeView *view, CstImage *image, const CstImageBitmap *bitmap,
                       guint *ranges_left)
{
    const char *trouble = bitmap_trouble(view, bitmap);
    g_autoptr(GError) why = NULL;
    GArray *ranges =
        trouble ? NULL
                : cst_image_bitmap_ranges(image, bitmap->name, *ranges_left, view->task, &why);
    CstNbdBitmap *added;

    if (!ranges) {
        cst_log(CST_LOG_WARNING, "bitmap '%s' is left out: %s", bitmap->name,
                trouble ? trouble : why->message);
        return;
    }
    *ranges_left -= ranges->len;
    added = g_new(CstNbdBitmap, 1);
    *added = (CstNbdBitmap){g_strdup(bitmap->name), ranges};
    g_ptr_array_add(view->bitmaps, added);
}

/* An image without bitmaps, or of a format without bitmaps, is not an error. */
static void read_bitmaps(VolumeView *view, CstImage *image)
{
    g_autoptr(GPtrArray) list = cst_image_bitmap_list(image, NULL);
    guint ranges_left = RANGES_MAX;

    view->bitmaps = list ? g_ptr_array_new_with_free_func(cst_nbd_bitmap_free) : NULL;
    for (guint i = 0; list && i < list->len; i++)
        add_bitmap(view, image, g_ptr_array_index(list, i), &ranges_left);
}

static gboolean view_open_image(VolumeView *view, CstPool *pool, const char *name, GError **error)
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
    if (view->ask_bitmaps && !view->snapshot)
        read_bitmaps(view, cst_chain_image(view->chain.chain));
    view->blob = cst_chain_guest(view->chain.chain);
    view->has_tables = !cst_image_name_is_plain(image_chain_link(&view->chain, 0)->volume->format);
    return TRUE;
}

/* Opens a snapshot that the pool's technology keeps: its bytes, in the volume's format. */
static gboolean view_open_snapshot(VolumeView *view, CstPool *pool, const char *name,
                                   GError **error)
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

/*
 * Finds out whether the image itself keeps @snapshot. The pool may keep snapshots of an image, too,
 * and has precedence by name.
 */
static gboolean image_keeps_snapshot(CstPool *pool, const char *name, const char *snapshot,
                                     gboolean *ret_keeps, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, name, error) : NULL;
    g_autoptr(GPtrArray) kept = NULL;

    if (!volume)
        return FALSE;
    *ret_keeps = volume_keeps_snapshots(volume);
    if (!*ret_keeps || !cst_pool_state_has_snapshots(state))
        return TRUE;
    kept = cst_pool_state_snapshots(state, name, error);
    *ret_keeps = kept && !cst_snapshot_find(kept, snapshot);
    return kept != NULL;
}

/* Opens a snapshot that QEMU keeps. It needs no claim, because it is no content of the volume. */
static gboolean view_open_live(VolumeView *view, guint index, GError **error)
{
    view->stored = live_set_open(view->live, index, error);
    view->blob = view->stored;
    if (!view->stored)
        live_set_explain(view->live, error);
    return view->stored != NULL;
}

gboolean volume_view_open(VolumeView *view, CstPool *pool, const char *name, GError **error)
{
    gboolean inside = TRUE;
    guint index = 0;

    if (view->snapshot)
        view->live = live_set_find(pool->service, pool->name, name, view->snapshot, &index);
    if (view->live)
        return view_open_live(view, index, error);
    if (view->snapshot && !image_keeps_snapshot(pool, name, view->snapshot, &inside, error))
        return FALSE;
    return inside ? view_open_image(view, pool, name, error)
                  : view_open_snapshot(view, pool, name, error);
}

gboolean volume_view_check(const VolumeView *view, GError **error)
{
    return image_chain_is_as_before(&view->chain, error) &&
           (!view->live || live_set_check(view->live, error));
}

void volume_view_explain(const VolumeView *view, GError **error)
{
    if (view->live)
        live_set_explain(view->live, error);
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
    g_clear_pointer(&view->bitmaps, g_ptr_array_unref);
    g_clear_pointer(&view->of_snapshot, cst_chain_free);
    g_clear_pointer(&view->stored, cst_blob_unref);
    g_clear_pointer(&view->live, live_set_unref);
    image_chain_close(&view->chain);
    volume_release(&view->claim);
}
