/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image_chain.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "volume_chain.h"

static void link_free(ImageLink *link)
{
    g_clear_pointer(&link->blob, cst_blob_unref);
    if (link->claim.pool && link->claim.kind == CLAIM_WRITE)
        volume_look_again(&link->claim);
    g_clear_pointer(&link->volume, cst_volume_unref);
    volume_release(&link->claim);
    g_free(link);
}

const ImageLink *image_chain_link(const ImageChain *chain, guint index)
{
    return g_ptr_array_index(chain->links, index);
}

static gboolean is_link(const ImageChain *chain, guint index, CstPool *pool, const char *name)
{
    const VolumeClaim *claim = &image_chain_link(chain, index)->claim;

    return claim->pool == pool && strcmp(claim->name, name) == 0;
}

/* A claim that waits for ourselves would wait for ever. */
static gboolean check_no_loop(const ImageChain *chain, CstPool *pool, const char *name,
                              GError **error)
{
    if (chain->beside && chain->beside->write && is_link(chain->beside, 0, pool, name))
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' can't be based on itself"), name);
    for (guint i = 0; i < chain->links->len; i++) {
        if (is_link(chain, i, pool, name))
            return cst_fail(error, CST_ERROR_LIMIT,
                            _("what volume '%s' is based on leads back to itself"), name);
    }
    return TRUE;
}

static gboolean open_link(ImageLink *link, gboolean writable, GError **error)
{
    const VolumeClaim *claim = &link->claim;

    link->volume = pool_table_get_now(claim->pool, claim->state, claim->name, error);
    if (!link->volume)
        return FALSE;
    if (link->volume->type == CST_VOL_DIR)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, _("volume '%s' is a directory, no image"),
                        claim->name);
    if (writable && !volume_not_held(claim, error))
        return FALSE;
    link->blob = cst_pool_state_vol_open(claim->state, claim->name, writable, error);
    return link->blob != NULL;
}

static const ImageLink *add_link(ImageChain *chain, CstPool *pool, const char *name, GError **error)
{
    guint depth = chain->links->len;
    gboolean writable = depth == 0 ? chain->write : depth == chain->base;
    ImageLink *link;

    if (!check_no_loop(chain, pool, name, error))
        return NULL;
    link = g_new0(ImageLink, 1);
    g_ptr_array_add(chain->links, link);
    link->claim.task = chain->task;
    link->claim.at_once = chain->at_once;
    link->claim.after = depth > 0 ? &image_chain_link(chain, depth - 1)->claim : chain->after;
    if (!volume_claim(&link->claim, pool, name, writable ? CLAIM_WRITE : CLAIM_READ, error) ||
        !open_link(link, writable, error))
        return NULL;
    return link;
}

/* The engine asks from the volume down, each time for what the last one is based on. */
static CstBlob *open_backing(CstBlob *owner, const char *reference, gpointer data, GError **error)
{
    ImageChain *chain = data;
    const ImageLink *last = image_chain_link(chain, chain->links->len - 1);
    const char *path = last->volume->extra ? last->volume->extra->backing_path : NULL;
    g_autoptr(CstPool) pool = NULL;
    g_autofree char *name = NULL;
    const ImageLink *link;

    if (last->blob != owner || !path ||
        !cst_service_volume_by_path(last->claim.pool->service, path, &pool, &name, NULL)) {
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("volume '%s' is based on '%s', which is no volume of an active pool; define and "
                   "start a pool that holds it"),
                 last->claim.name, path ? path : reference);
        return NULL;
    }
    link = add_link(chain, pool, name, error);
    return link ? cst_blob_ref(link->blob) : NULL;
}

static CstBlob *open_part(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error)
{
    const ImageChain *chain = data;

    for (guint i = 0; i < chain->links->len; i++)
        if (image_chain_link(chain, i)->blob == owner)
            return volume_open_part(&image_chain_link(chain, i)->claim, name, writable, error);
    g_assert_not_reached();
}

static const ImageLink *begin(ImageChain *chain, CstPool *pool, const char *name, GError **error)
{
    chain->links = g_ptr_array_new_with_free_func((GDestroyNotify)link_free);
    return add_link(chain, pool, name, error);
}

/* Opens what the first link, which is there, is based on. */
static gboolean go_on(ImageChain *chain, GError **error)
{
    const CstChainFiles files = {
        .open_backing = chain->alone ? NULL : open_backing, .open_part = open_part, .data = chain};
    const ImageLink *link = image_chain_link(chain, 0);
    const CstImageFormat *format =
        cst_image_format_find(chain->format ? chain->format : link->volume->format, error);

    chain->chain = format ? cst_chain_look(link->blob, format, &files, error) : NULL;
    return chain->chain != NULL;
}

gboolean image_chain_open(ImageChain *chain, CstPool *pool, const char *name, GError **error)
{
    return begin(chain, pool, name, error) && go_on(chain, error);
}

/* --- two at once ------------------------------------------------------------------------------ */

static void claim_free(VolumeClaim *claim)
{
    volume_release(claim);
    g_free(claim);
}

static gboolean claim_ahead(ImageChain *chain, const VolumePlace *place, GError **error)
{
    VolumeClaim *claim = g_new0(VolumeClaim, 1);

    g_ptr_array_add(chain->ahead, claim);
    claim->task = chain->task;
    claim->after = &image_chain_link(chain, 0)->claim;
    /* What is in no pool is refused when it is to be opened. */
    return !place->pool || volume_claim(claim, place->pool, place->name, CLAIM_READ, error);
}

/* Those of @places that are, or are not, in @others; not the one that is claimed already. */
static gboolean claim_some(ImageChain *chain, const GPtrArray *places, const GPtrArray *others,
                           gboolean in_both, GError **error)
{
    for (guint i = 0; i < places->len; i++) {
        const VolumePlace *place = g_ptr_array_index(places, i);

        if (is_link(chain, 0, place->pool, place->name))
            continue;
        if (volume_places_have(others, place->pool, place->name) == in_both &&
            !claim_ahead(chain, place, error))
            return FALSE;
    }
    return TRUE;
}

gboolean image_chain_open_pair(ImageChain *chain, CstPool *pool, const char *name,
                               ImageChain *other, CstPool *other_pool, const char *other_name,
                               GError **error)
{
    g_autoptr(GPtrArray) down = volume_places_down(pool, name, error);
    g_autoptr(GPtrArray) other_down =
        down ? volume_places_down(other_pool, other_name, error) : NULL;

    if (!other_down)
        return FALSE;
    if (volume_places_have(other_down, pool, name) &&
        !volume_places_have(down, other_pool, other_name))
        return image_chain_open_pair(other, other_pool, other_name, chain, pool, name, error);
    if (!begin(chain, pool, name, error))
        return FALSE;
    chain->ahead = g_ptr_array_new_with_free_func((GDestroyNotify)claim_free);
    if (!claim_some(chain, down, other_down, FALSE, error) ||
        !claim_some(chain, other_down, down, FALSE, error) ||
        !claim_some(chain, down, other_down, TRUE, error))
        return FALSE;
    other->after = &image_chain_link(chain, 0)->claim;
    other->beside = chain;
    return go_on(chain, error) && image_chain_open(other, other_pool, other_name, error);
}

CstBlob *image_chain_guest(ImageChain *chain, const char *snapshot, GError **error)
{
    return cst_chain_open_images(chain->chain, 0, snapshot, error) ? cst_chain_guest(chain->chain)
                                                                   : NULL;
}

void image_chain_close(ImageChain *chain)
{
    g_clear_pointer(&chain->chain, cst_chain_free);
    g_clear_pointer(&chain->links, g_ptr_array_unref);
    g_clear_pointer(&chain->ahead, g_ptr_array_unref);
}
