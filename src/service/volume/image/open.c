/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens the image of a claimed volume without its backing chain. Also opens the further data files
 * of the image: they must be declared and be volumes of the same pool. They are claimed together
 * with the volume.
 */
#include "open.h"

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <image/hold.h>

#include "core/claim.h"
#include "core/pool.h"
#include "core/trust.h"

/*
 * Returns the volume of the same pool to which @reference resolves. Returns NULL if it cannot be
 * one.
 */
static char *name_of_part(const VolumeClaim *claim, const char *reference)
{
    if (g_path_is_absolute(reference))
        return cst_pool_state_vol_resolve(claim->state, reference);
    return cst_name_check(reference, _("volume"), NULL) ? g_strdup(reference) : NULL;
}

static gboolean has_claimed(const VolumeClaim *claim, const char *name)
{
    for (guint i = 0; claim->parts && i < claim->parts->len; i++)
        if (strcmp(((const VolumeClaim *)g_ptr_array_index(claim->parts, i))->name, name) == 0)
            return TRUE;
    return FALSE;
}

/* Rescans a changed part, then releases it. */
static void part_free(VolumeClaim *part)
{
    if (part->pool && part->kind == CLAIM_WRITE)
        volume_rescan(part);
    volume_release(part);
    g_free(part);
}

/*
 * Claims a data file of the image as a volume, with the same kind of claim as the image. It is
 * released together with the image. A file that is already claimed is not claimed twice.
 */
static gboolean claim_part(VolumeClaim *claim, const char *name, GError **error)
{
    VolumeClaim *part;

    if (strcmp(claim->name, name) == 0)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("the image of volume '%s' names itself as a file with its data"), name);
    if (has_claimed(claim, name))
        return TRUE;
    part = g_new0(VolumeClaim, 1);
    part->task = claim->task;
    part->at_once = claim->at_once;
    part->after = claim;
    if (!volume_claim(part, claim->pool, name, claim->kind, error)) {
        g_free(part);
        return FALSE;
    }
    if (!claim->parts)
        claim->parts = g_ptr_array_new_with_free_func((GDestroyNotify)part_free);
    g_ptr_array_add(claim->parts, part);
    return TRUE;
}

/*
 * Opens the volume's storage. Fails if another program writes to it and @writable. The kernel is
 * asked before the storage is opened for writing (image/hold.h).
 */
static CstBlob *volume_open_unused(CstPoolState *state, const char *name, gboolean writable,
                                   GError **error)
{
    if (writable) {
        /* Its locks end with the block, because they would refuse the storage for writing. */
        g_autoptr(CstBlob) asked = cst_pool_state_vol_open(state, name, FALSE, error);

        if (!asked || !cst_image_check_unused(asked, error))
            return NULL;
    }
    return cst_pool_state_vol_open(state, name, writable, error);
}

/*
 * Implements CstImageFiles.open: opens a data file of the image, if it is declared and a volume of
 * the same pool.
 */
static CstBlob *claim_open_part(const char *reference, gboolean writable, gpointer data,
                                GError **error)
{
    VolumeClaim *claim = data;
    g_autofree char *name = name_of_part(claim, reference);

    if (!trust_check_part(claim->pool, claim->image, reference, error))
        return NULL;
    if (!name) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("volume '%s' keeps its data in '%s', which is no volume of pool '%s'"),
                 claim->name, reference, claim->pool->name);
        return NULL;
    }
    return claim_part(claim, name, error) ? volume_open_unused(claim->state, name, writable, error)
                                          : NULL;
}

CstImageFiles volume_part_files(VolumeClaim *claim, const CstVolume *volume)
{
    cst_volume_unref(claim->image);
    claim->image = cst_volume_ref((CstVolume *)volume);
    return (CstImageFiles){.open = claim_open_part, .data = claim};
}

CstImage *volume_open_image(VolumeClaim *claim, const CstVolume *volume, unsigned flags,
                            GError **error)
{
    gboolean writable = (flags & CST_IMAGE_WRITE) != 0;
    const CstImageFiles files = volume_part_files(claim, volume);
    const CstImageOpen how = {.flags = flags, .files = &files};
    const CstImageFormat *format = cst_image_format_find(volume->format, error);
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(CstImage) image = NULL;

    if (!format || !trust_check_header(volume, error))
        return NULL;
    /* A device of the kernel may use plain bytes while they grow, because they have no tables. */
    blob = cst_image_name_is_plain(volume->format)
               ? cst_pool_state_vol_open(claim->state, volume->name, writable, error)
               : volume_open_unused(claim->state, volume->name, writable, error);
    image = blob ? cst_image_open_as(blob, format, &how, error) : NULL;
    /* A writer without QEMU's locks also keeps tables of the image in memory. */
    if (!image || (writable && !cst_image_refuse_writer(blob, error)))
        return NULL;
    return g_steal_pointer(&image);
}
