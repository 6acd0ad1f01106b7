/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries about volumes: lists, XML, sizes, paths and keys. A list is answered from the pool's
 * table. A list with sizes first rescans the pool if the last scan is older than a second, because
 * no watch reports files that grow. Later pages of a list show the sizes from the scan for its
 * first page. XML and sizes of a single volume scan that volume.
 *
 * No volume is claimed: an answer is valid for one point in time.
 */
#include <string.h>

#include <base/flags.h>
#include <base/url.h>
#include <image/image.h>

#include "core/draft.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/table.h"
#include "dependency/problem.h"

/*
 * Returns whether the backend can only estimate the allocation, which it records in the volume's
 * options.
 */
static gboolean allocation_is_estimated(const CstVolume *volume)
{
    const GPtrArray *options = volume->extra ? volume->extra->options : NULL;

    return options && g_strcmp0(cst_options_get(options, "allocation"), "estimate") == 0;
}

static void volume_info(const CstPool *pool, const CstVolume *volume, CstVolInfo *ret_info)
{
    *ret_info = (CstVolInfo){
        .type = cst_pool_shown_type(pool->def->type, volume->type),
        .capacity = volume->capacity,
        .allocation = volume->allocation,
        .physical = volume->physical,
        .estimated = allocation_is_estimated(volume),
    };
}

/* --- listing ---------------------------------------------------------------------------------- */

/* Common data of the rows of one list. */
typedef struct {
    CstPool *pool;
    CstPoolState *state;
    VolumeBases *bases;
    gboolean details;
    gboolean drafts; /* some volumes are being created */
} Listing;

/* The sizes of a draft are read from its file now. */
static CstVolRow *vol_row_new(const Listing *listing, const CstVolume *volume)
{
    CstVolRow *row = g_new0(CstVolRow, 1);

    row->name = g_strdup(volume->name);
    row->path = cst_pool_state_vol_path(listing->state, volume->name);
    row->key = cst_pool_state_vol_key(listing->state, volume);
    if (listing->details) {
        g_autoptr(CstVolume) draft =
            listing->drafts ? volume_draft_now(listing->pool, volume->name) : NULL;

        volume_info(listing->pool, draft ? draft : volume, &row->info);
        row->format = g_strdup(volume->format);
        row->problem = volume_problem(listing->pool, volume, listing->bases);
    }
    return row;
}

gboolean cst_pool_count_volumes(CstPool *pool, guint *ret_count, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);

    if (!state || !pool_scan_if_new(pool, state, error))
        return FALSE;
    *ret_count = pool_table_count(pool);
    return TRUE;
}

/* Returns the index of the first volume with a name after @after, which need not exist. */
static guint first_after(GPtrArray *sorted, const char *after)
{
    guint low = 0, high = sorted->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        const CstVolume *volume = g_ptr_array_index(sorted, middle);

        if (strcmp(volume->name, after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

GPtrArray *cst_pool_list_volumes(CstPool *pool, const char *after, guint limit, unsigned flags,
                                 GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(GPtrArray) sorted = NULL;
    g_autoptr(VolumeBases) bases = volume_bases_new();
    Listing listing = {.pool = pool,
                       .state = state,
                       .bases = bases,
                       .details = (flags & CST_VOL_ROWS_DETAILS) != 0};
    GPtrArray *rows;
    guint start, end;

    if (!state)
        return NULL;
    if (!(listing.details && !after ? pool_rescan_aged(pool, state, error)
                                    : pool_scan_if_new(pool, state, error)))
        return NULL;
    sorted = pool_table_sorted(pool);
    listing.drafts = volume_drafts_any(pool);
    start = after ? first_after(sorted, after) : 0;
    end = limit && sorted->len - start > limit ? start + limit : sorted->len;
    rows = g_ptr_array_new_full(end - start, (GDestroyNotify)cst_vol_row_free);
    for (guint i = start; i < end; i++)
        g_ptr_array_add(rows, vol_row_new(&listing, g_ptr_array_index(sorted, i)));
    return rows;
}

/* --- describing ------------------------------------------------------------------------------- */

gboolean cst_pool_has_volume(CstPool *pool, const char *name, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = NULL;

    if (!state)
        return FALSE;
    volume = pool_volume(pool, state, name, error);
    return volume != NULL;
}

char *cst_vol_get_path(CstPool *pool, const char *name, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, name, error) : NULL;

    return volume ? cst_pool_state_vol_path(state, name) : NULL;
}

char *cst_vol_get_key(CstPool *pool, const char *name, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, name, error) : NULL;

    return volume ? cst_pool_state_vol_key(state, volume) : NULL;
}

char *cst_vol_known_path(CstPool *pool, const char *name)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = state ? pool_table_known(pool, name) : NULL;

    return volume ? cst_pool_state_vol_path(state, name) : NULL;
}

char *cst_vol_known_key(CstPool *pool, const char *name)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = state ? pool_table_known(pool, name) : NULL;

    return volume ? cst_pool_state_vol_key(state, volume) : NULL;
}

/*
 * Sets the format of a backing file from the volume at its path, if the image does not record it.
 * qcow version 1 never does. Removes secrets from a URL, because any user of the host can read the
 * document.
 */
static void describe_backing(CstService *service, CstBackingDef *backing)
{
    g_autofree char *path = backing->path;
    const char *known = backing->format ? NULL : volume_format_at(service, path);
    const CstImageFormat *format = known ? cst_image_format_find(known, NULL) : NULL;

    if (format)
        backing->format = g_strdup(cst_image_format_xml_name(format));
    backing->path = cst_reference_shown(path);
}

char *cst_vol_get_xml(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(CstVolDef) def = NULL;

    if (!cst_flags_check(flags, 0, "storageVolGetXMLDesc", error))
        return NULL;
    state = pool_state_get(pool, error);
    volume = state ? pool_volume_now(pool, state, name, error) : NULL;
    if (!volume)
        return NULL;
    def = cst_volume_describe(state, volume);
    if (def->backing)
        describe_backing(pool->service, def->backing);
    return cst_vol_def_format(def, state->def->type, error);
}

gboolean cst_vol_get_info(CstPool *pool, const char *name, CstVolInfo *ret_info, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume_now(pool, state, name, error) : NULL;

    if (!volume)
        return FALSE;
    volume_info(pool, volume, ret_info);
    return TRUE;
}
