/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overlays known from earlier scans (core/overlays.h). Their pool is not active, or its definition
 * was removed, or they reference their base by another path than its pool does.
 *
 * The storage of an inactive pool may be unavailable, for example unmounted. Therefore its overlays
 * count until a scan. A directory that is in no pool any more will not be scanned. In such a
 * directory a missing overlay does not count. The file is checked only on local file systems,
 * because an unresponsive server must not block the deletion of a volume on other storage.
 */
#include "remembered.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>
#include <pool/mounts.h>
#include <store/overlays.h>

#include "core/pool.h"
#include "core/service.h"
#include "core/table.h"

#define NAMED_AT_MOST 20 /* overlays named in a message */

/* The state of an overlay in the table of its pool. */
typedef enum {
    OVERLAY_UNSEEN,     /* the table is not valid, for example because the pool is not active */
    OVERLAY_UNREADABLE, /* the file exists; its references are unknown */
    OVERLAY_SEEN,       /* it references the base */
    OVERLAY_OUTDATED    /* it was deleted, or has another base; the record will be removed */
} OverlayState;

/* The pool of an overlay. */
typedef struct {
    CstPool *pool; /* borrowed; NULL: the directory is in no pool */
    OverlayState state;
    char *problem; /* of an active pool that could not be scanned, or of an unreadable overlay */
} OverlayPlace;

static void overlay_place_clear(OverlayPlace *place)
{
    g_clear_pointer(&place->problem, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OverlayPlace, overlay_place_clear)

/*
 * Returns the state of an overlay in a valid table. *ret_problem: why its header is unreadable;
 * NULL: unknown. Requires the pool's lock.
 */
static OverlayState state_in_table(CstPool *pool, const CstOverlay *overlay, char **ret_problem)
{
    g_autoptr(CstVolume) volume = pool_table_find(pool, overlay->volume);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    if (volume && volume_references_unknown(volume)) {
        *ret_problem = g_strdup(volume->extra->problem);
        return OVERLAY_UNREADABLE;
    }
    if (g_hash_table_contains(pool->stale, overlay->volume) ||
        volume_table_get(pool->moving, overlay->volume))
        return OVERLAY_UNREADABLE;
    if (!volume)
        return OVERLAY_OUTDATED;
    volume_references(overlay->dir, volume, paths);
    return g_ptr_array_find_with_equal_func(paths, overlay->path, g_str_equal, NULL)
               ? OVERLAY_SEEN
               : OVERLAY_OUTDATED;
}

/*
 * Finds the pool of an overlay. An active pool of the directory has precedence over an inactive
 * one. The active flag and the table are read under the same lock, because stopping the pool
 * empties the table.
 */
static OverlayPlace place_of_overlay(const GPtrArray *pools, const CstOverlay *overlay)
{
    OverlayPlace place = {0};

    for (guint i = 0; i < pools->len && place.state == OVERLAY_UNSEEN; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);

        g_mutex_lock(&pool->lock);
        if (g_strcmp0(pool->def->target_path, overlay->dir) == 0) {
            if (pool->active && pool->scanned && !pool->inaccessible) {
                overlay_place_clear(&place);
                place.pool = pool;
                place.state = state_in_table(pool, overlay, &place.problem);
            } else if (!place.pool) {
                place.pool = pool;
                place.problem = pool->active ? g_strdup(pool->problem) : NULL;
            }
        }
        g_mutex_unlock(&pool->lock);
    }
    return place;
}

/* Returns whether the overlay certainly does not exist any more. */
static gboolean overlay_file_is_gone(const OverlayPlace *place, const GPtrArray *mounts,
                                     const CstOverlay *overlay)
{
    g_autofree char *path = g_build_filename(overlay->dir, overlay->volume, NULL);
    struct stat st;

    if (place->pool || !cst_mounts_is_local(mounts, overlay->dir))
        return FALSE;
    return lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

static void append_line(GString *lines, const OverlayPlace *place, const CstOverlay *overlay)
{
    if (!place->pool)
        g_string_append_printf(lines, _("\n  '%s' in '%s', of which no pool is defined"),
                               overlay->volume, overlay->dir);
    else if (place->problem && place->state == OVERLAY_UNREADABLE)
        g_string_append_printf(
            lines, _("\n  '%s' in '%s', pool '%s', whose header is unreadable: %s"),
            overlay->volume, overlay->dir, cst_pool_name(place->pool), place->problem);
    else if (place->problem)
        g_string_append_printf(lines, _("\n  '%s' in '%s', pool '%s', which cannot be read: %s"),
                               overlay->volume, overlay->dir, cst_pool_name(place->pool),
                               place->problem);
    else if (place->state == OVERLAY_UNSEEN)
        g_string_append_printf(lines, _("\n  '%s' in '%s', pool '%s', which is not active"),
                               overlay->volume, overlay->dir, cst_pool_name(place->pool));
    else if (place->state == OVERLAY_UNREADABLE)
        g_string_append_printf(lines, _("\n  '%s' in '%s', pool '%s', whose header is unreadable"),
                               overlay->volume, overlay->dir, cst_pool_name(place->pool));
    else
        g_string_append_printf(lines, _("\n  '%s' in '%s', pool '%s', which names it '%s'"),
                               overlay->volume, overlay->dir, cst_pool_name(place->pool),
                               overlay->path);
}

/* Returns whether the record describes a volume that is based on itself, which is possible. */
static gboolean is_itself(const VolumeClaim *claim, const CstOverlay *overlay)
{
    return strcmp(claim->name, overlay->volume) == 0 &&
           g_strcmp0(claim->state->def->target_path, overlay->dir) == 0;
}

static gboolean overlay_is_counted(const OverlayPlace *place, const CstOverlay *overlay,
                                   const char *own_path, RememberedImages which)
{
    if (place->state != OVERLAY_SEEN)
        return place->state != OVERLAY_OUTDATED;
    return which == REMEMBERED_ALL ||
           (which == REMEMBERED_OTHER_PATHS && strcmp(own_path, overlay->path) != 0);
}

/* Counts the valid overlays, and describes the first of them. */
static guint describe_overlays(const VolumeClaim *claim, const char *own_path,
                               RememberedImages which, const GPtrArray *overlays,
                               const GPtrArray *pools, GString *lines)
{
    g_autoptr(GPtrArray) mounts = cst_mounts_read();
    guint count = 0;

    for (guint i = 0; i < overlays->len; i++) {
        const CstOverlay *overlay = g_ptr_array_index(overlays, i);
        g_auto(OverlayPlace) place = place_of_overlay(pools, overlay);

        if (is_itself(claim, overlay) || !overlay_is_counted(&place, overlay, own_path, which) ||
            overlay_file_is_gone(&place, mounts, overlay))
            continue;
        if (count++ < NAMED_AT_MOST)
            append_line(lines, &place, overlay);
    }
    return count;
}

gboolean volume_not_remembered(const VolumeClaim *claim, RememberedImages which, GError **error)
{
    CstService *service = claim->pool->service;
    g_autofree char *path = cst_pool_state_vol_path(claim->state, claim->name);
    g_autoptr(CstVolume) volume = pool_table_known(claim->pool, claim->name);
    const CstFileId base = volume ? cst_volume_file_id(volume) : (CstFileId){0};
    g_autoptr(GPtrArray) overlays = NULL;
    g_autoptr(GPtrArray) pools = NULL;
    g_autoptr(GString) lines = g_string_new(NULL);
    guint count;

    if (!path)
        return TRUE;
    overlays = cst_overlays_on(service->declarations, path, &base, error);
    if (!overlays || overlays->len == 0)
        return overlays != NULL;
    pools = cst_service_pools(service, 0, error);
    if (!pools)
        return FALSE;
    count = describe_overlays(claim, path, which, overlays, pools, lines);
    if (count == 0)
        return TRUE;
    if (count > NAMED_AT_MOST)
        g_string_append_printf(lines, _("\n  %u more"), count - NAMED_AT_MOST);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' is the base of images that were seen when their pools were last "
                      "active; start these pools (pool-start), and delete the images or make them "
                      "independent (vol-flatten) first; if an image is gone, a refresh of its "
                      "pool forgets it:%s"),
                    claim->name, lines->str);
}
