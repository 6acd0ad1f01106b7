/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Providers of snapshots: the image if its format supports them (qcow2), else the pool's
 * technology. If a volume has become such an image, the pool may still keep older snapshots. They
 * are listed first, and have precedence by name.
 */
#include "provider.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/snapshot.h>

#include "core/scan.h"
#include "dependency/guard.h"
#include "volume/create/clone.h"
#include "volume/create/history.h"
#include "volume/declare.h"
#include "volume/image/changed.h"
#include "volume/image/open.h"

void snapshot_target_clear(SnapshotTarget *target)
{
    pool_promise_end(&target->promise);
    volume_release(&target->claim);
    g_clear_pointer(&target->volume, cst_volume_unref);
    g_clear_pointer(&target->older, g_ptr_array_unref);
}

/* --- the image -------------------------------------------------------------------------------- */

static GPtrArray *image_list(SnapshotTarget *target, GError **error)
{
    g_autoptr(CstImage) image = volume_open_image(&target->claim, target->volume, 0, error);

    return image ? volume_snapshots_inside(image, target->volume->format, error) : NULL;
}

static CstImage *open_to_change(SnapshotTarget *target, GError **error)
{
    return volume_open_image(&target->claim, target->volume, CST_IMAGE_WRITE, error);
}

/* The image's operations are atomic. Writes after them may be lost without damage. */
static gboolean image_create(SnapshotTarget *target, const char *name, const CstSnapshotCreate *how,
                             CstTask *task, GError **error)
{
    g_autoptr(CstImage) image = NULL;

    if (how->limit)
        return cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                        _("snapshots inside of a %s image have no size of their own"),
                        target->volume->format);
    image = open_to_change(target, error);
    return image && cst_image_snapshot_create(image, name, task, error) &&
           cst_image_flush(image, error);
}

static gboolean image_revert(SnapshotTarget *target, const char *name, const GPtrArray *lost,
                             CstTask *task, GError **error)
{
    g_autoptr(CstImage) image = open_to_change(target, error);

    return image && cst_image_snapshot_revert(image, name, task, error) &&
           cst_image_flush(image, error);
}

static gboolean image_remove(SnapshotTarget *target, const char *name, CstTask *task,
                             GError **error)
{
    g_autoptr(CstImage) image = open_to_change(target, error);

    return image && cst_image_snapshot_delete(image, name, task, error) &&
           cst_image_flush(image, error);
}

static gboolean image_rename(SnapshotTarget *target, const char *name, const char *new_name,
                             GError **error)
{
    g_autoptr(CstImage) image = open_to_change(target, error);

    return image && cst_image_snapshot_rename(image, name, new_name, error) &&
           cst_image_flush(image, error);
}

/*
 * A hypervisor keeps tables of the open image in memory that are not in the file yet. The tables of
 * snapshots do not change.
 */
static gboolean image_changed(SnapshotTarget *target, const char *since, const char *until,
                              CstTask *task, CstChanged *changed, GError **error)
{
    g_autoptr(CstBlob) blob =
        until ? NULL
              : cst_pool_state_vol_open(target->claim.state, target->volume->name, FALSE, error);
    g_autoptr(CstImage) image = NULL;

    if (!until && (!blob || !volume_not_written(&target->claim, target->volume, blob, error)))
        return FALSE;
    image = volume_open_image(&target->claim, target->volume, 0, error);
    return image && cst_image_changed(image, since, until, task, changed, error);
}

const SnapshotProvider snapshot_image_provider = {
    .list = image_list,
    .create = image_create,
    .revert = image_revert,
    .remove = image_remove,
    .rename = image_rename,
    .changed = image_changed,
};

/* --- the pool's technology -------------------------------------------------------------------- */

static GPtrArray *pool_list(SnapshotTarget *target, GError **error)
{
    return cst_pool_state_snapshots(target->claim.state, target->volume->name, error);
}

static gboolean pool_create(SnapshotTarget *target, const char *name, const CstSnapshotCreate *how,
                            CstTask *task, GError **error)
{
    return cst_pool_state_snapshot_create(target->claim.state, target->volume->name, name, how,
                                          task, error);
}

/*
 * The technology replaces the file, so the declaration of the volume has to be recorded for the new
 * file.
 */
static gboolean pool_revert(SnapshotTarget *target, const char *name, const GPtrArray *lost,
                            CstTask *task, GError **error)
{
    if (!cst_pool_state_snapshot_revert(target->claim.state, target->volume->name, name, lost, task,
                                        error))
        return FALSE;
    trust_keep_for_new_file(&target->claim);
    return TRUE;
}

static gboolean pool_remove(SnapshotTarget *target, const char *name, CstTask *task, GError **error)
{
    return cst_pool_state_snapshot_remove(target->claim.state, target->volume->name, name, task,
                                          error);
}

static gboolean pool_rename(SnapshotTarget *target, const char *name, const char *new_name,
                            GError **error)
{
    return cst_pool_state_snapshot_rename(target->claim.state, target->volume->name, name, new_name,
                                          error);
}

static gboolean pool_changed(SnapshotTarget *target, const char *since, const char *until,
                             CstTask *task, CstChanged *changed, GError **error)
{
    return volume_changed_outside(&target->claim, target->volume, since, until, task, changed,
                                  error);
}

const SnapshotProvider snapshot_pool_provider = {
    .list = pool_list,
    .create = pool_create,
    .revert = pool_revert,
    .remove = pool_remove,
    .rename = pool_rename,
    .changed = pool_changed,
};

/* --- selection -------------------------------------------------------------------------------- */

/* Returns NULL with UNSUPPORTED if neither the format nor the pool supports snapshots. */
static const SnapshotProvider *provider_of(const SnapshotTarget *target, GError **error)
{
    if (volume_keeps_snapshots(target->volume))
        return &snapshot_image_provider;
    if (cst_pool_state_has_snapshots(target->claim.state) && target->volume->type != CST_VOL_DIR)
        return &snapshot_pool_provider;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("volume '%s' can't have snapshots: neither can its pool (type '%s') nor its format; "
               "a qcow2 volume could"),
             target->volume->name, cst_pool_type_name(target->claim.state->def->type));
    return NULL;
}

/*
 * Returns the provider for a volume that is an image: the image, unless the pool keeps @name from
 * before the volume was an image. Stores the pool's snapshots in the target.
 */
static const SnapshotProvider *provider_by_name(SnapshotTarget *target, const char *name,
                                                GError **error)
{
    if (!cst_pool_state_has_snapshots(target->claim.state))
        return &snapshot_image_provider;
    target->older = pool_list(target, error);
    if (!target->older)
        return NULL;
    return name && cst_snapshot_find(target->older, name) ? &snapshot_pool_provider
                                                          : &snapshot_image_provider;
}

const SnapshotProvider *snapshot_claim(SnapshotTarget *target, CstPool *pool, const char *volume,
                                       ClaimKind kind, const char *name, GError **error)
{
    const SnapshotProvider *provider;

    if (!volume_claim(&target->claim, pool, volume, kind, error))
        return NULL;
    target->volume = pool_volume(pool, target->claim.state, volume, error);
    provider = target->volume ? provider_of(target, error) : NULL;
    if (provider == &snapshot_image_provider)
        provider = provider_by_name(target, name, error);
    if (provider == &snapshot_pool_provider && name &&
        !cst_pool_state_name_check(target->claim.state, name, _("snapshot"), error))
        return NULL;
    return provider;
}

gboolean snapshot_open_kept(SnapshotTarget *target, const char *name, CstImage **ret_image,
                            GError **error)
{
    const CstImageOpen how = {.flags = CST_IMAGE_NO_DATA};
    const CstImageFormat *format = cst_image_format_find(target->volume->format, error);
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) why = NULL;

    *ret_image = NULL;
    if (format)
        blob = cst_pool_state_snapshot_open(target->claim.state, target->volume->name, name, error);
    if (!blob)
        return FALSE;
    *ret_image = cst_image_open_as(blob, format, &how, &why);
    if (*ret_image || volume_content_is_odd(why))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean snapshot_inside_lost(SnapshotTarget *target, const char *name, GPtrArray *lost,
                              GError **error)
{
    g_autoptr(GPtrArray) present = NULL, kept = NULL;
    g_autoptr(CstImage) image = NULL;
    g_autoptr(GError) why = NULL;

    if (!volume_keeps_snapshots(target->volume))
        return TRUE;
    /* A damaged image is a reason to revert. The snapshots inside of it cannot be named. */
    present = image_list(target, &why);
    if (!present && !volume_content_is_odd(why)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    g_clear_error(&why);
    if (!snapshot_open_kept(target, name, &image, error))
        return FALSE;
    kept = image ? volume_snapshots_inside(image, target->volume->format, &why) : NULL;
    if (why && !volume_content_is_odd(why)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    for (guint i = 0; present && i < present->len; i++) {
        const CstSnapshot *snapshot = present->pdata[i];
        const CstSnapshot *same = kept ? cst_snapshot_find(kept, snapshot->name) : NULL;

        if (!same || same->created != snapshot->created)
            g_ptr_array_add(lost, g_strdup(snapshot->name));
    }
    return TRUE;
}

gboolean snapshot_check_name_free(SnapshotTarget *target, const char *name, GError **error)
{
    gboolean image = volume_keeps_snapshots(target->volume);
    g_autoptr(GPtrArray) inside = image ? image_list(target, error) : NULL;
    g_autoptr(GPtrArray) outside = NULL;

    if (image && !inside)
        return FALSE;
    if (cst_pool_state_has_snapshots(target->claim.state)) {
        outside = pool_list(target, error);
        if (!outside)
            return FALSE;
    }
    if ((inside && cst_snapshot_find(inside, name)) ||
        (outside && cst_snapshot_find(outside, name)))
        return cst_fail_snapshot_exists(target->volume->name, name, error);
    return TRUE;
}

GPtrArray *snapshot_list_all(const SnapshotProvider *provider, SnapshotTarget *target,
                             GError **error)
{
    GPtrArray *inside = provider->list(target, error);

    /* Older snapshots exist only for an image. They were created before it. */
    if (!inside || !target->older || provider == &snapshot_pool_provider)
        return inside;
    g_ptr_array_extend_and_steal(target->older, inside);
    return g_steal_pointer(&target->older);
}
