/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A volume's image with its backing chain, opened from the volume down. Each volume is claimed
 * before it is opened: for writing if it will be changed, else for reading. A reference is followed
 * only if it is declared (core/trust.h). A chain with a loop is rejected before it would wait for
 * its own claim. A device that is declared to contain an image is opened as this image, although
 * its pool lists it as raw (core/trust_device.h).
 *
 * Two chains of the same operation may share volumes. These are claimed last, so that an operation
 * on one of the chains and this operation never wait for each other.
 */
#include "image_chain.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/url.h>

#include "core/claim.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/trust.h"
#include "dependency/chain.h"
#include "dependency/guard.h"
#include "image_outside.h"
#include "image_record.h"
#include "open.h"
#include "volume/running/job.h"

/*
 * Closes the file before the rescan, and rescans before the release, so that the next claim finds a
 * correct table.
 */
static void image_link_free(ImageLink *link)
{
    g_clear_pointer(&link->blob, cst_blob_unref);
    if (link->claim.pool && link->claim.kind == CLAIM_WRITE)
        volume_rescan(&link->claim);
    g_clear_pointer(&link->volume, cst_volume_unref);
    volume_release(&link->claim);
    g_free(link->path);
    g_free(link);
}

ImageLink *image_chain_link(const ImageChain *chain, guint index)
{
    return g_ptr_array_index(chain->links, index);
}

/*
 * Returns whether link @index is the volume @name of @pool. A file outside of all pools is not a
 * volume.
 */
static gboolean is_link(const ImageChain *chain, guint index, CstPool *pool, const char *name)
{
    const VolumeClaim *claim = &image_chain_link(chain, index)->claim;

    return pool && claim->pool == pool && strcmp(claim->name, name) == 0;
}

/*
 * Rejects a volume that this operation has already claimed, because the claim would deadlock. Also
 * rejects a volume that the partner chain has claimed for writing.
 */
static gboolean image_chain_check_loop(const ImageChain *chain, CstPool *pool, const char *name,
                                       GError **error)
{
    if (chain->partner && chain->partner->write && is_link(chain->partner, 0, pool, name))
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' can't be based on itself"), name);
    for (guint i = 0; i < chain->links->len; i++) {
        if (is_link(chain, i, pool, name))
            return cst_fail(error, CST_ERROR_LIMIT, _("the backing chain of volume '%s' is a loop"),
                            name);
    }
    return TRUE;
}

/*
 * Checks that no process has the image of a link that will be changed. With the domain of the chain
 * it is opened for reading only (*writable).
 */
static gboolean image_link_check_users(ImageChain *chain, const ImageLink *link, gboolean *writable,
                                       GError **error)
{
    const VolumeClaim *claim = &link->claim;
    const VolumeClaim *top = &image_chain_link(chain, 0)->claim;

    if (!*writable)
        return TRUE;
    if (!chain->with_domain)
        return volume_not_held(claim, error);
    if (claim == top && !running_job_find(claim, link->volume, &chain->disk, error))
        return FALSE;
    *writable = chain->disk == NULL;
    if (!chain->disk)
        return claim == top ? volume_not_open(claim, error) : volume_not_held(claim, error);
    return claim == top || running_job_check_base(top, claim, chain->disk, error);
}

/* Opens a claimed volume, after a check that no other use conflicts. */
static gboolean image_link_open(ImageChain *chain, ImageLink *link, gboolean writable,
                                GError **error)
{
    const VolumeClaim *claim = &link->claim;
    g_autoptr(CstVolume) listed = pool_volume_now(claim->pool, claim->state, claim->name, error);
    gboolean at_rest = chain->at_rest && !writable;

    if (listed)
        link->volume = image_record_declared(claim->pool, claim->state, listed, error);
    if (!link->volume || !trust_check_header(link->volume, error))
        return FALSE;
    if (link->volume->type == CST_VOL_DIR)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, _("volume '%s' is a directory, no image"),
                        claim->name);
    if (!image_link_check_users(chain, link, &writable, error))
        return FALSE;
    link->path = cst_pool_state_vol_path(claim->state, claim->name);
    link->blob = cst_pool_state_vol_open(claim->state, claim->name, writable, error);
    if (!link->blob || !at_rest)
        return link->blob != NULL;
    /* As in libvirt, a change of the volume during a copy is not an error. */
    if (!claim->pool->service->like_libvirt)
        link->stamp = cst_image_stamp(link->blob);
    return volume_not_written(claim, link->volume, link->blob, error);
}

/* Order of claims: the first link, the preclaimed volumes, the other links. */
const VolumeClaim *image_chain_last_claim(const ImageChain *chain)
{
    guint links = chain->links->len;

    if (links > 1 || (links == 1 && !(chain->preclaimed && chain->preclaimed->len > 0)))
        return &image_chain_link(chain, links - 1)->claim;
    return links == 1 ? g_ptr_array_index(chain->preclaimed, chain->preclaimed->len - 1)
                      : chain->after;
}

/* The link is in the list before its claim is tried, so that closing the chain frees it. */
static ImageLink *link_new(ImageChain *chain)
{
    ImageLink *link = g_new0(ImageLink, 1);

    link->claim.after = image_chain_last_claim(chain);
    g_ptr_array_add(chain->links, link);
    return link;
}

/* Claims and opens a volume as the next link. */
static const ImageLink *image_chain_add_link(ImageChain *chain, CstPool *pool, const char *name,
                                             GError **error)
{
    guint depth = chain->links->len;
    gboolean writable = depth == 0 ? chain->write : depth == chain->base;
    ImageLink *link;

    if (!image_chain_check_loop(chain, pool, name, error))
        return NULL;
    link = link_new(chain);
    link->claim.task = chain->task;
    link->claim.at_once = chain->at_once;
    link->claim.stream = chain->stream;
    if (!volume_claim(&link->claim, pool, name, writable ? CLAIM_WRITE : CLAIM_READ, error) ||
        !image_link_open(chain, link, writable, error))
        return NULL;
    return link;
}

/*
 * Fails with INVALID if the overlay records another format of its base than the base has. The guest
 * would read wrong bytes.
 */
static gboolean image_link_check_format(const ImageLink *overlay, const ImageLink *base,
                                        GError **error)
{
    const char *said = overlay->volume->extra->backing_format;

    if (!said || cst_volume_same_format(said, base->volume->format))
        return TRUE;
    return cst_fail(error, CST_ERROR_INVALID,
                    _("volume '%s' records that its backing store '%s' is %s, but that is %s; "
                      "correct the reference (vol-rebase --unsafe --backing-vol-format %s), or "
                      "declare the format of the backing store (vol-trust --format)"),
                    overlay->volume->name, base->path, said, base->volume->format,
                    base->volume->format);
}

/* A file outside of all pools is opened only for reading, so it cannot be the image to change. */
static const ImageLink *open_outside(ImageChain *chain, const ImageLink *owner, GError **error)
{
    guint depth = chain->links->len;
    ImageLink *link;

    if (depth == chain->base && depth > 0) {
        g_autofree char *shown = cst_reference_shown(owner->volume->extra->backing_path);

        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("'%s' is no volume of an active pool, and is not changed; define and start a "
                   "pool that holds it"),
                 shown);
        return NULL;
    }
    link = link_new(chain);
    return image_outside_open(link, owner, error) ? link : NULL;
}

/*
 * Returns the pool with the rules for references. For a file outside of all pools that is the pool
 * of its owner.
 */
static CstPool *pool_of(const ImageChain *chain)
{
    for (guint i = chain->links->len; i-- > 0;)
        if (image_chain_link(chain, i)->claim.pool)
            return image_chain_link(chain, i)->claim.pool;
    g_assert_not_reached();
}

/*
 * Implements CstChainFiles.open_backing. The engine calls it from the volume down, each time for
 * the backing file of the last link. The engine has just read the reference from the image. This
 * function uses the reference in the record of the volume, so that the checked file is the opened
 * one.
 */
static CstBlob *image_chain_open_backing(CstBlob *owner, const char *reference, gpointer data,
                                         GError **error)
{
    ImageChain *chain = data;
    const ImageLink *last = image_chain_link(chain, chain->links->len - 1);
    const char *path = last->volume->extra ? last->volume->extra->backing_path : NULL;
    CstPool *rules = pool_of(chain);
    g_autoptr(CstPool) pool = NULL;
    g_autofree char *name = NULL;
    g_autoptr(GError) why = NULL;
    const ImageLink *link;
    gboolean inside;

    if (last->blob != owner || !path) {
        cst_fail(error, CST_ERROR_BUSY,
                 _("volume '%s' was changed by another program during the operation"),
                 last->volume->name);
        return NULL;
    }
    inside = cst_service_volume_by_path(rules->service, path, &pool, &name, &why);
    /* If the lookup failed, the file may be a volume, and must not be opened without a claim. */
    if (!inside && !g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (!trust_check_backing(rules, last->volume, !inside, error))
        return NULL;
    link =
        inside ? image_chain_add_link(chain, pool, name, error) : open_outside(chain, last, error);
    if (!link || !image_link_check_format(last, link, error))
        return NULL;
    return cst_blob_ref(link->blob);
}

/* Implements CstChainFiles.format_of: the format in the record of the last link. */
static const CstImageFormat *format_of(CstBlob *backing, gpointer data)
{
    const ImageChain *chain = data;
    const ImageLink *last = image_chain_link(chain, chain->links->len - 1);

    return cst_image_format_find(last->volume->format, NULL);
}

static void image_part_free(gpointer data)
{
    ImagePart *part = data;

    cst_blob_unref(part->blob);
    g_free(part);
}

/* Fails if a process writes to the data file, which was opened for reading. */
static gboolean image_part_check_at_rest(ImageChain *chain, const ImageLink *link, CstBlob *blob,
                                         GError **error)
{
    ImagePart *part;

    if (!chain->at_rest)
        return TRUE;
    part = g_new0(ImagePart, 1);
    part->blob = cst_blob_ref(blob);
    /* As in libvirt, a change of the volume during a copy is not an error. */
    if (!link->claim.pool->service->like_libvirt)
        part->stamp = cst_image_stamp(blob);
    if (!chain->parts)
        chain->parts = g_ptr_array_new_with_free_func(image_part_free);
    g_ptr_array_add(chain->parts, part);
    return volume_not_written(&link->claim, link->volume, blob, error);
}

/* Implements CstChainFiles.open_part: opens a further data file of an image in the chain. */
static CstBlob *image_chain_open_part(CstBlob *owner, const char *name, gboolean writable,
                                      gpointer data, GError **error)
{
    ImageChain *chain = data;

    for (guint i = 0; i < chain->links->len; i++) {
        ImageLink *link = image_chain_link(chain, i);
        g_autoptr(CstBlob) blob = NULL;
        CstImageFiles files;

        if (link->blob != owner)
            continue;
        if (!link->claim.pool) {
            g_autofree char *shown = cst_reference_shown(name);

            cst_fail(error, CST_ERROR_DENIED,
                     _("'%s', which is in no active pool, keeps its data in '%s'; that is not "
                       "followed"),
                     link->path, shown);
            return NULL;
        }
        files = volume_part_files(&link->claim, link->volume);
        blob = files.open(name, writable, files.data, error);
        if (!blob || (!writable && !image_part_check_at_rest(chain, link, blob, error)))
            return NULL;
        return g_steal_pointer(&blob);
    }
    g_assert_not_reached();
}

/* Opens the volume itself as the first link. */
static const ImageLink *open_first(ImageChain *chain, CstPool *pool, const char *name,
                                   GError **error)
{
    chain->links = g_ptr_array_new_with_free_func((GDestroyNotify)image_link_free);
    return image_chain_add_link(chain, pool, name, error);
}

/* Opens the backing chain of the first link. */
static gboolean open_backing_chain(ImageChain *chain, GError **error)
{
    const CstChainFiles files = {
        .open_backing = chain->alone ? NULL : image_chain_open_backing,
        .format_of = format_of,
        .open_part = image_chain_open_part,
        .data = chain,
    };
    const ImageLink *link = image_chain_link(chain, 0);
    const CstImageFormat *format =
        cst_image_format_find(chain->format ? chain->format : link->volume->format, error);

    chain->chain = format ? cst_chain_look(link->blob, format, &files, error) : NULL;
    return chain->chain != NULL;
}

gboolean image_chain_open(ImageChain *chain, CstPool *pool, const char *name, GError **error)
{
    return open_first(chain, pool, name, error) && open_backing_chain(chain, error);
}

gboolean image_chain_backing_not_kept(const ImageChain *chain, guint count, GError **error)
{
    for (guint i = 0; i < MIN(count, chain->links->len); i++) {
        const ImageLink *link = image_chain_link(chain, i);

        if (link->claim.pool &&
            !volume_backing_not_kept(link->claim.state, link->volume, NULL, error))
            return FALSE;
    }
    return TRUE;
}

/* --- pairs of chains -------------------------------------------------------------------------- */

static void claim_free(VolumeClaim *claim)
{
    volume_release(claim);
    g_free(claim);
}

/*
 * Claims a volume that the chain will open later. Claims for reading are shared, so the link can
 * claim it again.
 */
static gboolean image_chain_preclaim(ImageChain *chain, const VolumeNode *node, GError **error)
{
    VolumeClaim *claim = g_new0(VolumeClaim, 1);

    claim->task = chain->task;
    claim->after = image_chain_last_claim(chain);
    g_ptr_array_add(chain->preclaimed, claim);
    /* A file that is in no pool is checked when it is opened. */
    return !node->pool || volume_claim(claim, node->pool, node->name, CLAIM_READ, error);
}

/*
 * Claims in advance the volumes of @nodes that are (@in_both) or are not in @others, from the top
 * down, except the first link's volume.
 */
static gboolean claim_some(ImageChain *chain, const GPtrArray *nodes, const GPtrArray *others,
                           gboolean in_both, GError **error)
{
    for (guint i = 0; i < nodes->len; i++) {
        const VolumeNode *node = g_ptr_array_index(nodes, i);

        if (is_link(chain, 0, node->pool, node->name))
            continue;
        if (volume_nodes_have(others, node->pool, node->name) == in_both &&
            !image_chain_preclaim(chain, node, error))
            return FALSE;
    }
    return TRUE;
}

/*
 * If one volume is below the other, the upper one's chain is opened first, to keep the order from
 * the top down.
 */
gboolean image_chain_open_pair(ImageChain *chain, CstPool *pool, const char *name,
                               ImageChain *other, CstPool *other_pool, const char *other_name,
                               GError **error)
{
    g_autoptr(GPtrArray) down = volume_backing_chain(pool, name, error);
    g_autoptr(GPtrArray) other_down =
        down ? volume_backing_chain(other_pool, other_name, error) : NULL;

    if (!other_down)
        return FALSE;
    if (volume_nodes_have(other_down, pool, name) &&
        !volume_nodes_have(down, other_pool, other_name))
        return image_chain_open_pair(other, other_pool, other_name, chain, pool, name, error);
    if (!open_first(chain, pool, name, error))
        return FALSE;
    chain->preclaimed = g_ptr_array_new_with_free_func((GDestroyNotify)claim_free);
    /* First claim the volumes in one of the chains, then the shared ones. */
    if (!claim_some(chain, down, other_down, FALSE, error) ||
        !claim_some(chain, other_down, down, FALSE, error) ||
        !claim_some(chain, down, other_down, TRUE, error))
        return FALSE;
    if (!open_backing_chain(chain, error))
        return FALSE;
    other->after = image_chain_last_claim(chain);
    other->partner = chain;
    return image_chain_open(other, other_pool, other_name, error);
}

CstBlob *image_chain_guest(ImageChain *chain, const char *snapshot, GError **error)
{
    return cst_chain_open_images(chain->chain, 0, snapshot, error) ? cst_chain_guest(chain->chain)
                                                                   : NULL;
}

gboolean image_chain_is_as_before(const ImageChain *chain, GError **error)
{
    for (guint i = 0; chain->links && i < chain->links->len; i++) {
        const ImageLink *link = image_chain_link(chain, i);

        if (!cst_image_is_as_before(link->blob, &link->stamp, link->path, error))
            return FALSE;
    }
    for (guint i = 0; chain->parts && i < chain->parts->len; i++) {
        const ImagePart *part = g_ptr_array_index(chain->parts, i);

        if (!cst_image_is_as_before(part->blob, &part->stamp, part->blob->name, error))
            return FALSE;
    }
    return TRUE;
}

gboolean image_chain_check(gpointer data, GError **error)
{
    return image_chain_is_as_before(data, error);
}

void image_chain_close(ImageChain *chain)
{
    g_clear_pointer(&chain->chain, cst_chain_free);
    g_clear_pointer(&chain->parts, g_ptr_array_unref);
    g_clear_pointer(&chain->links, g_ptr_array_unref);
    g_clear_pointer(&chain->preclaimed, g_ptr_array_unref);
    g_clear_pointer(&chain->disk, cst_domain_disk_free);
}
