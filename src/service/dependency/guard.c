/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks before a change of a claimed volume: open handles and dependent volumes. A guard is called
 * right before the change, with the volume claimed. Its error names the obstacle.
 *
 * Holders are queried from the backend (locks, open counts, watchers), because guests do not claim
 * volumes here. Another program may open the volume right after the check. The image engine's and
 * QEMU's locks prevent that for images that have locks.
 */
#include "guard.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <base/url.h>
#include <image/hold.h>
#include <image/image.h>
#include <service/images.h>

#include "core/claim.h"
#include "core/domains.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "dependents.h"
#include "remembered.h"

#define NAMED_AT_MOST 20 /* volumes named in a message */

#define AGAIN_US (50 * G_TIME_SPAN_MILLISECOND)

/*
 * Returns the holders of the volume, after a wait for holders that open it only briefly. Returns
 * NULL with an error.
 */
static GPtrArray *holders_that_stay(const VolumeClaim *claim, GError **error)
{
    gint64 end = g_get_monotonic_time() + CST_HOLDERS_PASS_US;
    GPtrArray *holders = cst_pool_state_vol_holders(claim->state, claim->name, error);

    while (holders && cst_holders_pass(holders) && g_get_monotonic_time() < end) {
        g_usleep(AGAIN_US);
        g_ptr_array_unref(holders);
        holders = cst_pool_state_vol_holders(claim->state, claim->name, error);
    }
    return holders;
}

gboolean volume_not_open(const VolumeClaim *claim, GError **error)
{
    g_autoptr(GPtrArray) holders = holders_that_stay(claim, error);

    if (!holders)
        return FALSE;
    if (cst_holders_refuse(holders, claim->name, error))
        return TRUE;
    volume_explain_domains(claim, error);
    return FALSE;
}

gboolean volume_not_held(const VolumeClaim *claim, GError **error)
{
    return volume_not_open(claim, error) && volume_not_in_domain(claim, error);
}

gboolean volume_may_be_base(const VolumeClaim *claim, GError **error)
{
    g_autoptr(GPtrArray) holders = holders_that_stay(claim, error);
    g_autoptr(GPtrArray) writers = g_ptr_array_new();
    g_autofree char *who = NULL;

    for (guint i = 0; holders && i < holders->len; i++)
        if (!((const CstHolder *)g_ptr_array_index(holders, i))->reads_only)
            g_ptr_array_add(writers, g_ptr_array_index(holders, i));
    if (writers->len == 0)
        return holders != NULL;
    who = cst_holders_describe(writers);
    cst_fail(error, CST_ERROR_BUSY,
             _("volume '%s' is open for writing: %s; writes would damage the volumes based "
               "on it; stop the writer first, clone without --linked, or say --force-share"),
             claim->name, who);
    volume_explain_domains(claim, error);
    return FALSE;
}

/* The engine queries QEMU's image locks on the file, and acquires no locks. */
gboolean volume_not_written(const VolumeClaim *claim, const CstVolume *volume, CstBlob *blob,
                            GError **error)
{
    g_autofree char *who = NULL;

    if (!volume->format || cst_image_name_is_plain(volume->format) ||
        !cst_image_is_written(blob, &who))
        return TRUE;
    cst_fail(error, CST_ERROR_BUSY,
             _("volume '%s' is open for writing in %s: a copy would mix content of "
               "different points in time; stop the writer first, or say --force-share"),
             volume->name, who);
    volume_explain_domains(claim, error);
    return FALSE;
}

GPtrArray *cst_vol_domains(CstPool *pool, const char *name, CstTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, name, error) : NULL;

    return volume ? volume_domains(pool, state, name, task, error) : NULL;
}

/* Formats one line for each row, indented by its level. */
static char *tree_of(const GPtrArray *rows)
{
    GString *tree = g_string_new(NULL);

    for (guint i = 0; i < rows->len; i++) {
        const CstChainRow *row = g_ptr_array_index(rows, i);
        gboolean named = strcmp(row->name, VOLUME_MORE) != 0;

        g_string_append_printf(tree, "\n%*s%s%s%s", (int)(2 + 2 * row->level), "",
                               row->pool ? row->pool : "", row->pool ? "/" : "",
                               named ? row->name : row->problem);
        if (cst_name_is_trash(row->name))
            g_string_append_printf(tree, " (%s)", _("in the trash: trash-empty removes it"));
    }
    return g_string_free(tree, FALSE);
}

/*
 * Returns the tree of dependents for the end of a message; "" if no volume depends on it. Returns
 * NULL with an error. The caller frees it.
 */
static char *tree_below(const VolumeClaim *claim, gboolean images, GError **error)
{
    g_autoptr(GPtrArray) rows = volume_dependents(claim, images, NAMED_AT_MOST, error);

    return rows ? tree_of(rows) : NULL;
}

static gboolean refuse_needed(const VolumeClaim *claim, gboolean images, GError **error)
{
    g_autofree char *tree = NULL;

    /*
     * libvirt deletes a file even if images reference it as their backing file. libvirt cannot
     * delete content that is shared by the pool's technology.
     */
    if (claim->pool->service->like_libvirt && cst_pool_state_holds_images(claim->state))
        return TRUE;
    tree = tree_below(claim, images, error);
    CST_TEST_POINT("volume.needed.listed");
    /* A pool may have become active since. Therefore the images in tables count, too. */
    if (!tree || !*tree)
        return tree && volume_not_remembered(claim, REMEMBERED_ALL, error);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' is the base of other volumes; delete them or make them "
                      "independent (vol-flatten) first:%s"),
                    claim->name, tree);
}

gboolean volume_not_needed(const VolumeClaim *claim, GError **error)
{
    return refuse_needed(claim, FALSE, error);
}

gboolean volume_not_needed_outside_trash(const VolumeClaim *claim, GError **error)
{
    g_autoptr(GPtrArray) rows = volume_dependents(claim, FALSE, G_MAXUINT, error);

    for (guint i = 0; rows && i < rows->len; i++)
        if (!cst_name_is_trash(((const CstChainRow *)g_ptr_array_index(rows, i))->name))
            return volume_not_needed(claim, error);
    return rows && volume_not_remembered(claim, REMEMBERED_OTHER_PATHS, error);
}

gboolean volume_not_needed_by_images(const VolumeClaim *claim, GError **error)
{
    return refuse_needed(claim, TRUE, error);
}

gboolean volume_not_shown(const VolumeClaim *claim, GError **error)
{
    return volume_not_held(claim, error) && volume_shows_in_none(claim, error);
}

gboolean volume_shows_in_none(const VolumeClaim *claim, GError **error)
{
    g_autofree char *tree = tree_below(claim, TRUE, error);

    if (!tree || !*tree)
        return tree && volume_not_remembered(claim, REMEMBERED_ALL, error);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' has content of other volumes; make them independent "
                      "(vol-flatten) or delete them first:%s"),
                    claim->name, tree);
}

gboolean volume_content_is_odd(const GError *error)
{
    switch (cst_error_code(error)) {
    case CST_ERROR_CORRUPT:
    case CST_ERROR_PROBE:
    case CST_ERROR_INVALID:
    case CST_ERROR_UNSUPPORTED: return TRUE;
    default: return FALSE;
    }
}

/* The content of a raw volume belongs to its guest, so a header in it has no meaning. */
static gboolean volume_is_image(const CstVolume *volume)
{
    return volume->type == CST_VOL_FILE && volume->format &&
           !cst_image_name_is_plain(volume->format);
}

gboolean volume_kept_backing(CstPoolState *state, const CstVolume *volume, const char *name,
                             char **ret_backing, GError **error)
{
    const CstImageFormat *format;
    g_autoptr(CstBlob) blob = NULL;
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GError) why = NULL;

    *ret_backing = NULL;
    if (!volume_is_image(volume))
        return TRUE;
    format = cst_image_format_find(volume->format, error);
    blob = format ? cst_pool_state_snapshot_open(state, volume->name, name, error) : NULL;
    if (!blob)
        return FALSE;
    if (cst_image_inspect(blob, format, &info, &why)) {
        *ret_backing = g_strdup(info.backing);
        return TRUE;
    }
    if (volume_content_is_odd(why))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean volume_backing_not_kept(CstPoolState *state, const CstVolume *volume, const char *after,
                                 GError **error)
{
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!volume_is_image(volume) || !cst_pool_state_has_snapshots(state))
        return TRUE;
    snapshots = cst_pool_state_snapshots(state, volume->name, error);
    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const char *name = ((const CstSnapshot *)snapshots->pdata[i])->name;
        g_autofree char *backing = NULL;
        g_autofree char *shown = NULL;

        if (!volume_kept_backing(state, volume, name, &backing, error))
            return FALSE;
        shown = backing ? cst_reference_shown(backing) : NULL;
        if (backing && g_strcmp0(backing, after) != 0)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("snapshot '%s' of volume '%s', which the pool keeps, needs the "
                              "backing file '%s'; delete the snapshot first (snap-delete)"),
                            name, volume->name, shown);
    }
    return snapshots != NULL;
}
