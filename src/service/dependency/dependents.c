/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dependents.h"

#include <string.h>

#include <base/i18n.h>
#include <image/chain.h>
#include <service/images.h>

#include "chain.h"
#include "core/claim.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/table.h"
#include "problem.h"

/*
 * All that is based on a volume, and on what it is based on. A family may be large (a golden image
 * under thousands of overlays) and images may claim anything (that they are based on themselves),
 * so the walk is bounded both ways and enters no volume twice.
 */

#define ROWS_MAX   10000               /* of one answer, which also travels */
#define LEVELS_MAX (2 * CST_CHAIN_MAX) /* as much above the one that was asked for as below it */

typedef struct {
    CstService *service;
    GHashTable *overlays;  /* path to GPtrArray of "pool/volume" */
    GHashTable *seen;      /* "pool/volume" */
    const GPtrArray *line; /* VolumePlace *: shown though there are too many; NULL: none */
    guint most;            /* rows */
    gboolean cut;
    GPtrArray *rows;
} Family;

static void family_clear(Family *family)
{
    g_clear_pointer(&family->overlays, g_hash_table_unref);
    g_clear_pointer(&family->seen, g_hash_table_unref);
    g_clear_pointer(&family->rows, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Family, family_clear)

/* --- rows ------------------------------------------------------------------------------------- */

static CstChainRow *add_row(Family *family, unsigned level, const char *name)
{
    CstChainRow *row = g_new0(CstChainRow, 1);

    row->level = level;
    row->name = g_strdup(name);
    g_ptr_array_add(family->rows, row);
    return row;
}

static CstChainRow *add_place(Family *family, const VolumePlace *place, unsigned level)
{
    CstChainRow *row = add_row(family, level, place->name);

    row->self = family->line && g_ptr_array_index(family->line, 0) == place;
    row->pool = place->pool ? g_strdup(cst_pool_name(place->pool)) : NULL;
    row->path =
        place->state ? cst_pool_state_vol_path(place->state, place->name) : g_strdup(place->name);
    if (place->volume) {
        row->format = g_strdup(place->volume->format);
        row->capacity = place->volume->capacity;
        row->allocation = place->volume->allocation;
        row->problem = volume_problem(place->pool, place->volume, NULL);
    } else if (place->unknown) {
        row->problem = g_strdup(place->unknown->message);
    } else {
        row->problem = g_strdup(place->pool || !g_file_test(place->name, G_FILE_TEST_EXISTS)
                                    ? _("it is not there")
                                    : _("it is in no active pool, and was not opened"));
    }
    return row;
}

static void set_problem(CstChainRow *row, const char *problem)
{
    g_free(row->problem);
    row->problem = g_strdup(problem);
}

/* --- children --------------------------------------------------------------------------------- */

/* "pool/volume", as the tables of the pools have it. */
static VolumePlace *place_of_overlay(const Family *family, const char *text)
{
    const char *slash = strchr(text, '/');
    g_autofree char *pool_name = g_strndup(text, slash - text);
    CstPool *pool = cst_service_pool_by_name(family->service, pool_name, NULL);

    return volume_place_new(pool, g_strdup(pool ? slash + 1 : text));
}

/* Several pools may list the same place: the parent's own comes first. */
static VolumePlace *place_of_child(const Family *family, CstPoolState *parent, const char *path)
{
    g_autofree char *name = cst_pool_state_vol_resolve(parent, path);
    CstPool *pool =
        name ? cst_service_pool_by_name(family->service, parent->def->name, NULL) : NULL;

    return pool ? volume_place_new(pool, g_steal_pointer(&name))
                : volume_place_of_path(family->service, path);
}

static char *key_of(const VolumePlace *place)
{
    return place->pool ? g_strconcat(cst_pool_name(place->pool), "/", place->name, NULL)
                       : g_strdup(place->name);
}

static int by_key(gconstpointer a, gconstpointer b)
{
    g_autofree char *left = key_of(*(const VolumePlace *const *)a);
    g_autofree char *right = key_of(*(const VolumePlace *const *)b);

    return strcmp(left, right);
}

/* The technology and the images may both tell of the same one. */
static void add_child(GHashTable *found, GPtrArray *places, VolumePlace *place)
{
    if (g_hash_table_add(found, key_of(place)))
        g_ptr_array_add(places, place);
    else
        volume_place_free(place);
}

/* @state, @name: whose technology is asked; NULL: nobody's. @path: what images call it. */
static GPtrArray *children_of(const Family *family, CstPoolState *state, const char *name,
                              const char *path, GError **error)
{
    g_autoptr(GHashTable) found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) paths = state ? cst_pool_state_vol_children(state, name, error) : NULL;
    const GPtrArray *overlays = g_hash_table_lookup(family->overlays, path);
    GPtrArray *places;

    if (state && !paths)
        return NULL;
    places = g_ptr_array_new_with_free_func((GDestroyNotify)volume_place_free);
    for (guint i = 0; paths && i < paths->len; i++)
        add_child(found, places, place_of_child(family, state, g_ptr_array_index(paths, i)));
    for (guint i = 0; overlays && i < overlays->len; i++)
        add_child(found, places, place_of_overlay(family, g_ptr_array_index(overlays, i)));
    g_ptr_array_sort(places, by_key);
    return places;
}

/* --- the walk --------------------------------------------------------------------------------- */

static gboolean add_branch(Family *family, const VolumePlace *place, unsigned level,
                           GError **error);

static gboolean may_add(const Family *family, const VolumePlace *place)
{
    return family->rows->len < family->most ||
           (family->line && volume_places_have(family->line, place->pool, place->name));
}

/* Of the line itself, the places are those that it has, so that its first one knows itself. */
static const VolumePlace *in_line(const Family *family, const VolumePlace *place)
{
    for (guint i = 0; family->line && i < family->line->len; i++) {
        const VolumePlace *own = g_ptr_array_index(family->line, i);

        if (volume_place_is(own, place->pool, place->name))
            return own;
    }
    return place;
}

static gboolean add_branches(Family *family, CstPoolState *state, const char *name,
                             const char *path, unsigned level, GError **error)
{
    g_autoptr(GPtrArray) children = children_of(family, state, name, path, error);
    guint left = 0;

    if (!children)
        return FALSE;
    for (guint i = 0; i < children->len; i++) {
        const VolumePlace *child = g_ptr_array_index(children, i);

        if (!may_add(family, child))
            left++;
        else if (!add_branch(family, in_line(family, child), level, error))
            return FALSE;
    }
    if (left > 0 && !family->cut) {
        CstChainRow *row = add_row(family, level, VOLUME_MORE);

        family->cut = TRUE;
        row->problem = g_strdup_printf(_("%u more, and what is based on them"), left);
    }
    return TRUE;
}

static gboolean add_branch(Family *family, const VolumePlace *place, unsigned level, GError **error)
{
    CstChainRow *row = add_place(family, place, level);

    if (!g_hash_table_add(family->seen, key_of(place))) {
        set_problem(row, _("what it is based on leads back to itself"));
        return TRUE;
    }
    if (level >= LEVELS_MAX) {
        set_problem(row, _("what is based on it is not shown: that is too deep"));
        return TRUE;
    }
    return add_branches(family, place->volume ? place->state : NULL, place->name, row->path,
                        level + 1, error);
}

/* --- what the pools know ---------------------------------------------------------------------- */

/*
 * Images live in pools of files: those are looked through where nobody has yet. @all: what shares
 * content with its origin without depending on it (thin snapshots) counts too.
 */
static gboolean may_hold_overlays(CstPool *pool, gboolean all)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);

    if (!state || !cst_pool_state_holds_images(state))
        return state && all;
    return pool_scan_if_new(pool, state, NULL);
}

static gboolean family_begin(Family *family, CstPool *pool, gboolean all, guint most,
                             GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(pool->service, CST_LIST_POOLS_ACTIVE, error);

    if (!pools)
        return FALSE;
    family->service = pool->service;
    family->most = most;
    family->rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_chain_row_free);
    family->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    family->overlays =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    for (guint i = 0; i < pools->len; i++)
        if (may_hold_overlays(g_ptr_array_index(pools, i), all))
            pool_table_overlays(g_ptr_array_index(pools, i), family->overlays);
    return TRUE;
}

/* What most volumes are, said without a list of all that is based on others. */
static gboolean is_surely_alone(const VolumeClaim *claim, const char *path)
{
    g_autoptr(GPtrArray) pools = NULL;

    if (!cst_pool_state_holds_images(claim->state))
        return FALSE;
    pools = cst_service_pools(claim->pool->service, CST_LIST_POOLS_ACTIVE, NULL);
    for (guint i = 0; pools && i < pools->len; i++)
        if (may_hold_overlays(g_ptr_array_index(pools, i), FALSE) &&
            pool_table_has_overlay(g_ptr_array_index(pools, i), path))
            return FALSE;
    return pools != NULL;
}

GPtrArray *cst_vol_chain(CstPool *pool, const char *name, GError **error)
{
    gboolean endless = FALSE;
    g_autoptr(GPtrArray) line = volume_places_line(pool, name, &endless, error);
    g_auto(Family) family = {.line = line};

    if (!line || !family_begin(&family, pool, TRUE, ROWS_MAX, error) ||
        !add_branch(&family, g_ptr_array_index(line, line->len - 1), 0, error))
        return NULL;
    if (endless)
        set_problem(g_ptr_array_index(family.rows, 0),
                    _("what it is based on leads back to itself, or is too deep"));
    return g_steal_pointer(&family.rows);
}

GPtrArray *volume_descendants(const VolumeClaim *claim, gboolean images, guint most, GError **error)
{
    g_autofree char *path = cst_pool_state_vol_path(claim->state, claim->name);
    g_auto(Family) family = {0};

    if (is_surely_alone(claim, path))
        return g_ptr_array_new();
    if (!family_begin(&family, claim->pool, FALSE, most, error))
        return NULL;
    g_hash_table_add(family.seen, g_strconcat(cst_pool_name(claim->pool), "/", claim->name, NULL));
    if (!add_branches(&family, images ? NULL : claim->state, claim->name, path, 0, error))
        return NULL;
    return g_steal_pointer(&family.rows);
}

gboolean volume_count_children(const VolumeClaim *claim, guint *ret_count, GError **error)
{
    g_autofree char *path = cst_pool_state_vol_path(claim->state, claim->name);
    g_autoptr(GPtrArray) children = NULL;
    g_auto(Family) family = {0};

    if (!family_begin(&family, claim->pool, FALSE, 0, error))
        return FALSE;
    children = children_of(&family, claim->state, claim->name, path, error);
    if (!children)
        return FALSE;
    *ret_count = children->len;
    return TRUE;
}
