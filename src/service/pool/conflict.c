/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pools with the same storage. The model compares definitions by text, with libvirt's rules
 * (cst_pool_def_same_source()). This file also compares which directory or device a path leads to
 * now: directories by device and inode, block devices by their number. A path that leads to no
 * object is compared by its normalised text.
 *
 * Only local paths are looked up; names of hosts are not resolved. No lock of a pool is held
 * meanwhile.
 */
#include "conflict.h"

#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>

#include "core/pool.h"
#include "core/service.h"

static gboolean same_object(const char *left, const char *right, gboolean devices)
{
    g_autofree char *one = g_canonicalize_filename(left, "/");
    g_autofree char *two = g_canonicalize_filename(right, "/");
    struct stat a, b;

    if (strcmp(one, two) == 0)
        return TRUE;
    if (stat(left, &a) < 0 || stat(right, &b) < 0)
        return FALSE;
    if (devices && S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode))
        return a.st_rdev == b.st_rdev;
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static gboolean share_object(const CstPoolSource *a, const CstPoolSource *b)
{
    for (guint i = 0; i < a->devices->len; i++)
        for (guint j = 0; j < b->devices->len; j++) {
            const CstPoolDevice *left = g_ptr_array_index(a->devices, i);
            const CstPoolDevice *right = g_ptr_array_index(b->devices, j);

            if (same_object(left->path, right->path, TRUE))
                return TRUE;
        }
    return FALSE;
}

static gboolean same_storage(const CstPoolDef *a, const CstPoolDef *b)
{
    const CstPoolTypeInfo *left = cst_pool_type_info(a->type);
    const CstPoolTypeInfo *right = cst_pool_type_info(b->type);

    if (cst_pool_def_same_source(a, b))
        return TRUE;
    if (!left || !right || left->conflict != right->conflict)
        return FALSE;
    if (left->conflict == CST_CONFLICT_DEVICE)
        return share_object(&a->source, &b->source);
    return left->conflict == CST_CONFLICT_TARGET && a->type == b->type && a->target_path &&
           b->target_path && same_object(a->target_path, b->target_path, FALSE);
}

gboolean pool_check_sources(CstService *service, const CstPoolDef *def, gboolean active,
                            GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(service, 0, error);

    for (guint i = 0; pools && i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        g_autoptr(CstPoolDef) other = NULL;

        if (cst_uuid_equal(&pool->uuid, &def->uuid))
            continue;
        g_mutex_lock(&pool->lock);
        if (!active || pool->active || pool->starting)
            other = cst_pool_def_copy(pool->def);
        g_mutex_unlock(&pool->lock);
        if (other && same_storage(other, def))
            return cst_fail(error, CST_ERROR_EXISTS, _("Storage source conflict with pool: '%s'"),
                            pool->name);
    }
    return pools != NULL;
}
