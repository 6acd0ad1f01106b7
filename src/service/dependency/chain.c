/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chain.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/chain.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/trust.h"

/* What a volume is based on, as the pools' tables know it. */

void volume_place_free(VolumePlace *place)
{
    g_clear_pointer(&place->volume, cst_volume_unref);
    g_clear_pointer(&place->state, cst_pool_state_unref);
    g_clear_pointer(&place->pool, cst_pool_unref);
    g_clear_error(&place->unknown);
    g_free(place->name);
    g_free(place);
}

VolumePlace *volume_place_new(CstPool *pool, char *name)
{
    VolumePlace *place = g_new0(VolumePlace, 1);

    place->pool = pool;
    place->name = name;
    place->state = pool ? pool_state_get(pool, NULL) : NULL;
    if (place->state)
        pool_scan_volume(pool, place->state, name, &place->volume, &place->unknown);
    return place;
}

gboolean volume_place_is(const VolumePlace *place, const CstPool *pool, const char *name)
{
    return place->pool == pool && strcmp(place->name, name) == 0;
}

gboolean volume_places_have(const GPtrArray *places, const CstPool *pool, const char *name)
{
    for (guint i = 0; i < places->len; i++) {
        if (volume_place_is(g_ptr_array_index(places, i), pool, name))
            return TRUE;
    }
    return FALSE;
}

VolumePlace *volume_place_of_path(CstService *service, const char *path)
{
    CstPool *pool = NULL;
    char *name = NULL;

    if (cst_service_volume_by_path(service, path, &pool, &name, NULL))
        return volume_place_new(pool, name);
    return volume_place_new(NULL, g_strdup(path));
}

/* What nobody has declared is told as a problem of the volume, and not followed. */
static const char *backing_of(const VolumePlace *place)
{
    return place->volume && trust_has_backing(place->volume) ? place->volume->extra->backing_path
                                                             : NULL;
}

/* From the volume down; TRUE: it leads back to itself, or too far. */
static gboolean go_down(CstService *service, GPtrArray *places)
{
    const char *path;

    while ((path = backing_of(g_ptr_array_index(places, places->len - 1)))) {
        VolumePlace *place;

        if (places->len > CST_CHAIN_MAX)
            return TRUE;
        place = volume_place_of_path(service, path);
        if (volume_places_have(places, place->pool, place->name)) {
            volume_place_free(place);
            return TRUE;
        }
        g_ptr_array_add(places, place);
    }
    return FALSE;
}

GPtrArray *volume_places_line(CstPool *pool, const char *name, gboolean *ret_endless,
                              GError **error)
{
    g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func((GDestroyNotify)volume_place_free);
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    VolumePlace *first;

    if (!state)
        return NULL;
    first = volume_place_new(cst_pool_ref(pool), g_strdup(name));
    g_ptr_array_add(places, first);
    if (first->unknown) {
        g_propagate_error(error, g_steal_pointer(&first->unknown));
        return NULL;
    }
    if (!first->volume) {
        cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching name '%s'"), name);
        return NULL;
    }
    *ret_endless = go_down(pool->service, places);
    return g_steal_pointer(&places);
}

GPtrArray *volume_places_down(CstPool *pool, const char *name, GError **error)
{
    gboolean endless = FALSE;
    g_autoptr(GPtrArray) places = volume_places_line(pool, name, &endless, error);
    VolumePlace *last = places ? g_ptr_array_index(places, places->len - 1) : NULL;

    if (last && last->unknown) {
        g_propagate_error(error, g_steal_pointer(&last->unknown));
        return NULL;
    }
    if (places && endless) {
        cst_fail(error, CST_ERROR_LIMIT,
                 _("what volume '%s' is based on leads back to itself, or is too deep"), name);
        return NULL;
    }
    return g_steal_pointer(&places);
}
