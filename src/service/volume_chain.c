/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume_chain.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/chain.h>
#include <service/images.h>

#define ROWS_MAX 10000 /* of one answer */

static void place_free(VolumePlace *place)
{
    g_clear_pointer(&place->volume, cst_volume_unref);
    g_clear_pointer(&place->state, cst_pool_state_unref);
    g_clear_pointer(&place->pool, cst_pool_unref);
    g_free(place->name);
    g_free(place);
}

/* Takes @pool and @name. */
static VolumePlace *place_new(CstPool *pool, char *name)
{
    VolumePlace *place = g_new0(VolumePlace, 1);

    place->pool = pool;
    place->name = name;
    place->state = pool ? pool_state_get(pool, NULL) : NULL;
    if (place->state && !pool_table_look(pool, place->state, name, &place->volume, NULL))
        place->volume = NULL;
    return place;
}

static const char *backing_of(const VolumePlace *place)
{
    return place->volume && place->volume->extra ? place->volume->extra->backing_path : NULL;
}

static CstChainRow *row_new(const VolumePlace *place, unsigned level, gboolean self)
{
    CstChainRow *row = g_new0(CstChainRow, 1);

    row->level = level;
    row->self = self;
    row->pool = place->pool ? g_strdup(cst_pool_name(place->pool)) : NULL;
    row->name = g_strdup(place->name);
    row->path =
        place->state ? cst_pool_state_vol_path(place->state, place->name) : g_strdup(place->name);
    if (place->volume) {
        row->format = g_strdup(place->volume->format);
        row->capacity = place->volume->capacity;
        row->allocation = place->volume->allocation;
        row->problem = g_strdup(cst_volume_problem(place->volume));
    } else {
        row->problem = g_strdup(place->pool ? _("it is not there")
                                            : _("it is in no active pool, and was not opened"));
    }
    return row;
}

/* --- down: what it is based on ------------------------------------------------------------------
 */

gboolean volume_places_have(const GPtrArray *places, const CstPool *pool, const char *name)
{
    for (guint i = 0; i < places->len; i++) {
        const VolumePlace *place = g_ptr_array_index(places, i);

        if (place->pool == pool && strcmp(place->name, name) == 0)
            return TRUE;
    }
    return FALSE;
}

static VolumePlace *place_of_path(CstService *service, const char *path)
{
    CstPool *pool = NULL;
    char *name = NULL;

    if (cst_service_volume_by_path(service, path, &pool, &name, NULL))
        return place_new(pool, name);
    return place_new(NULL, g_strdup(path));
}

/* From the volume down. */
static gboolean go_down(CstService *service, GPtrArray *places, GError **error)
{
    const char *path;

    while ((path = backing_of(g_ptr_array_index(places, places->len - 1)))) {
        VolumePlace *place = place_of_path(service, path);
        gboolean loop = volume_places_have(places, place->pool, place->name);

        g_ptr_array_add(places, place);
        if (loop || places->len > CST_CHAIN_MAX)
            return cst_fail(error, CST_ERROR_LIMIT,
                            _("what volume '%s' is based on leads back to itself, or is too deep"),
                            ((VolumePlace *)g_ptr_array_index(places, 0))->name);
    }
    return TRUE;
}

GPtrArray *volume_places_down(CstPool *pool, const char *name, GError **error)
{
    g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func((GDestroyNotify)place_free);
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);

    if (!state)
        return NULL;
    g_ptr_array_add(places, place_new(cst_pool_ref(pool), g_strdup(name)));
    if (!((VolumePlace *)g_ptr_array_index(places, 0))->volume) {
        cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching name '%s'"), name);
        return NULL;
    }
    return go_down(pool->service, places, error) ? g_steal_pointer(&places) : NULL;
}

/* --- up: what is based on it --------------------------------------------------------------------
 */

/* Children are told as "POOL/VOLUME". */
static VolumePlace *place_of_child(CstService *service, const char *text)
{
    const char *slash = strchr(text, '/');
    g_autofree char *pool_name = slash ? g_strndup(text, slash - text) : NULL;
    CstPool *pool = pool_name ? cst_service_pool_by_name(service, pool_name, NULL) : NULL;

    return place_new(pool, g_strdup(pool ? slash + 1 : text));
}

static gboolean go_up(const VolumePlace *place, unsigned level, GPtrArray *rows, GError **error)
{
    const VolumeClaim seen = {.pool = place->pool, .state = place->state, .name = place->name};
    g_autoptr(GPtrArray) children = NULL;

    if (!place->volume || level > CST_CHAIN_MAX)
        return TRUE;
    children = volume_children(&seen, error);
    if (!children)
        return FALSE;
    for (guint i = 0; i < children->len && rows->len < ROWS_MAX; i++) {
        VolumePlace *child = place_of_child(place->pool->service, g_ptr_array_index(children, i));
        gboolean ok;

        g_ptr_array_add(rows, row_new(child, level, FALSE));
        ok = go_up(child, level + 1, rows, error);
        place_free(child);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

GPtrArray *cst_vol_chain(CstPool *pool, const char *name, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_chain_row_free);
    g_autoptr(GPtrArray) places = volume_places_down(pool, name, error);
    unsigned level = 0;

    if (!places)
        return NULL;
    for (guint i = places->len; i-- > 0;)
        g_ptr_array_add(rows, row_new(g_ptr_array_index(places, i), level++, i == 0));
    return go_up(g_ptr_array_index(places, 0), level, rows, error) ? g_steal_pointer(&rows) : NULL;
}
