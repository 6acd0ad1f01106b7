/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declarations for devices. A guest can write anything to its device, including an image header.
 * Therefore the content is never probed here: a volume on a device is raw until an administrator
 * declares a format.
 *
 * A record is found by the volume's key and name, and by the stamp's inode if the technology sets
 * one. Keys of LVM, SCSI and iSCSI identify the unit, so that another volume of the same name is
 * raw again. If keys are names (RBD, ZFS, partitions), this holds only for volumes that were
 * deleted or created through this service. No scan of a directory sweeps these records.
 *
 * References of the image are not followed. No table records which device is the base of which
 * image, so the base would not be protected. A record has a format and no references.
 */
#include "trust_device.h"

#include <base/dry_run.h>
#include <image/image.h>
#include <store/declarations.h>

#include "service.h"
#include "trust.h"

gboolean trust_device_applies(CstPoolState *state, const CstVolume *volume)
{
    return (volume->type == CST_VOL_BLOCK || volume->type == CST_VOL_NETWORK) &&
           !cst_pool_state_holds_images(state);
}

/* The result borrows @key. */
static CstDeclaredFile trust_device_file(const CstVolume *volume, const char *key)
{
    return (CstDeclaredFile){.dir = key, .name = volume->name, .id = cst_volume_file_id(volume)};
}

static gboolean trust_device_find(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                                  CstDeclaration **ret_declaration, GError **error)
{
    g_autofree char *key = cst_pool_state_vol_key(state, volume);
    const CstDeclaredFile file = trust_device_file(volume, key);

    return cst_declarations_find(pool->service->declarations, &file, FALSE, ret_declaration, error);
}

gboolean trust_content_format(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                              const char **ret_format, GError **error)
{
    g_autoptr(CstDeclaration) declaration = NULL;
    const CstImageFormat *format = NULL;

    *ret_format = volume->format;
    if (!trust_device_applies(state, volume))
        return TRUE;
    if (!trust_device_find(pool, state, volume, &declaration, error) ||
        (declaration && !(format = cst_image_format_find(declaration->format, error))))
        return FALSE;
    if (format)
        *ret_format = cst_image_format_name(format);
    return TRUE;
}

static gboolean trust_device_set_format(CstService *service, CstPoolState *state,
                                        const CstVolume *volume, const char *format, GError **error)
{
    g_autofree char *key = cst_pool_state_vol_key(state, volume);
    const CstDeclaredFile file = trust_device_file(volume, key);
    g_autoptr(CstDeclaration) declaration = NULL;

    if (!trust_device_applies(state, volume))
        return TRUE;
    if (!cst_may_change(error))
        return FALSE;
    if (!format || cst_image_name_is_plain(format))
        return cst_declarations_remove(service->declarations, file.dir, file.name, error);
    declaration = cst_declaration_new(format, TRUE);
    return cst_declarations_set(service->declarations, &file, declaration, TRUE, error);
}

gboolean trust_device_declare(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                              const char *format, GError **error)
{
    return trust_device_set_format(pool->service, state, volume, format, error);
}

/* The key of LVM stays the same, the key of ZFS changes. The record also contains the name. */
gboolean trust_device_rename(CstService *service, const FormerVolume *former, CstPoolState *state,
                             const CstVolume *volume, const char *format, GError **error)
{
    g_autoptr(CstVolume) before = cst_volume_new(former->name);

    before->type = volume->type;
    if (former->key)
        cst_volume_extra(before)->key = g_strdup(former->key);
    return trust_device_set_format(service, state, volume, format, error) &&
           trust_device_set_format(service, former->state, before, NULL, error);
}
