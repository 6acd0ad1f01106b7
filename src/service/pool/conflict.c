/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Detection of pools with the same storage. The model compares definitions by text, with libvirt's
 * rules (cst_pool_def_same_source()). This file also compares the directory or device to which a
 * path resolves now: directories by device and inode, block devices by their number. A path that
 * does not exist is compared by its normalised text.
 *
 * The identity of a pool's directory is read once and cached in the pool (CstPool.storage), so that
 * a start among thousands of pools reads one directory. A match with a cached identity is confirmed
 * by reading it again, because file systems reuse inode numbers. An index (core/storage_index.h)
 * finds the pools to compare with.
 *
 * The callers hold the lock of the definitions, so this code must not wait for a server. A path is
 * resolved from the kernel's dentry cache, and with storage I/O only on local file systems. Host
 * names are not resolved. No lock of a pool is held while a path is resolved.
 */
#include "conflict.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <pool/mounts.h>

#include "core/definitions.h"
#include "core/pool.h"
#include "core/registry.h"
#include "core/service.h"
#include "core/storage_index.h"

/* --- identities ------------------------------------------------------------------------------- */

static gboolean storage_stat(const char *path, const GPtrArray *mounts, struct stat *ret_st)
{
    g_auto(CstFd) fd = cst_openat2(AT_FDCWD, path, O_PATH, 0, RESOLVE_CACHED);

    if (fd >= 0)
        return fstat(fd, ret_st) == 0;
    return errno != ENOENT && cst_mounts_is_local(mounts, path) && stat(path, ret_st) == 0;
}

/*
 * Reads the identity of @path. *ret_id is zero if the path does not exist, or if resolving it could
 * block.
 */
static void storage_identify(const char *path, const GPtrArray *mounts, CstStorageId *ret_id)
{
    struct stat st;

    *ret_id = (CstStorageId){0};
    if (!path || !storage_stat(path, mounts, &st))
        return;
    *ret_id = S_ISBLK(st.st_mode) ? (CstStorageId){.device = st.st_rdev}
                                  : (CstStorageId){.device = st.st_dev, .inode = st.st_ino};
}

static gboolean id_equal(gconstpointer a, gconstpointer b)
{
    const CstStorageId *one = a, *two = b;

    return one->device && one->device == two->device && one->inode == two->inode;
}

static guint id_hash(gconstpointer id)
{
    const CstStorageId *storage = id;

    return (guint)(storage->device * 31 + storage->inode);
}

static gboolean same_directory(const CstPoolDef *a, const CstPoolDef *b, const GPtrArray *mounts)
{
    CstStorageId one, two;

    storage_identify(a->target_path, mounts, &one);
    storage_identify(b->target_path, mounts, &two);
    return id_equal(&one, &two);
}

/*
 * Resolves each device once, because a document of 1 MiB may contain tens of thousands of devices.
 */
static gboolean sources_share_device(const CstPoolSource *a, const CstPoolSource *b,
                                     const GPtrArray *mounts)
{
    g_autoptr(GHashTable) ids = g_hash_table_new_full(id_hash, id_equal, g_free, NULL);
    CstStorageId id;

    for (guint i = 0; i < a->devices->len; i++) {
        storage_identify(((CstPoolDevice *)g_ptr_array_index(a->devices, i))->path, mounts, &id);
        if (id.device)
            g_hash_table_add(ids, g_memdup2(&id, sizeof(id)));
    }
    for (guint i = 0; i < b->devices->len; i++) {
        storage_identify(((CstPoolDevice *)g_ptr_array_index(b->devices, i))->path, mounts, &id);
        if (id.device && g_hash_table_contains(ids, &id))
            return TRUE;
    }
    return FALSE;
}

/* --- comparison with one pool ----------------------------------------------------------------- */

static gboolean same_clean_path(const char *left, const char *right)
{
    g_autofree char *one = NULL, *two = NULL;

    if (!strstr(left, "/.") && !strstr(right, "/.") && !strstr(left, "//") && !strstr(right, "//"))
        return strcmp(left, right) == 0;
    one = g_canonicalize_filename(left, "/");
    two = g_canonicalize_filename(right, "/");
    return strcmp(one, two) == 0;
}

/* The definition to check, and the identity of its directory. */
typedef struct {
    const CstPoolDef *def;
    GPtrArray *mounts;
    CstStorageId id; /* of its directory, if pools of its type conflict by directory */
    gboolean active; /* compare only with active pools */
} Check;

/*
 * Returns TRUE if the definitions show that the pool has the same storage. *ret_def: a copy of the
 * pool's definition if the identity has to be compared; the caller frees it. Requires the pool's
 * lock.
 */
static gboolean same_by_text(const Check *check, const CstPool *pool, CstPoolDef **ret_def)
{
    const CstPoolDef *other = pool->def;
    CstConflict conflict = cst_pool_def_conflict(check->def);
    gboolean kept;

    *ret_def = NULL;
    if (check->active && !pool->active && !pool->starting)
        return FALSE;
    if (cst_pool_def_same_source(other, check->def))
        return TRUE;
    if (conflict != cst_pool_def_conflict(other))
        return FALSE;
    if (conflict == CST_CONFLICT_DEVICE)
        *ret_def = cst_pool_def_copy(other);
    if (conflict != CST_CONFLICT_TARGET || other->type != check->def->type || !other->target_path ||
        !check->def->target_path)
        return FALSE;
    kept = g_strcmp0(pool->storage_path, other->target_path) == 0;
    if (!kept || id_equal(&pool->storage, &check->id))
        *ret_def = cst_pool_def_copy(other);
    return same_clean_path(other->target_path, check->def->target_path);
}

static void keep_identity(CstPool *pool, const char *path, const CstStorageId *id)
{
    g_mutex_lock(&pool->lock);
    g_free(pool->storage_path);
    pool->storage_path = g_strdup(path);
    pool->storage = *id;
    storage_index_update(pool);
    g_mutex_unlock(&pool->lock);
}

static gboolean same_by_identity(const Check *check, CstPool *pool, const CstPoolDef *other)
{
    CstStorageId id;

    if (cst_pool_def_conflict(other) == CST_CONFLICT_DEVICE)
        return sources_share_device(&other->source, &check->def->source, check->mounts);
    storage_identify(other->target_path, check->mounts, &id);
    keep_identity(pool, other->target_path, &id);
    return id_equal(&id, &check->id) && same_directory(other, check->def, check->mounts);
}

static gboolean has_same_storage(const Check *check, CstPool *pool)
{
    g_autoptr(CstPoolDef) other = NULL;
    gboolean same;

    g_mutex_lock(&pool->lock);
    same = same_by_text(check, pool, &other);
    g_mutex_unlock(&pool->lock);
    return same || (other && same_by_identity(check, pool, other));
}

/*
 * Reads the identity of the directory. Caches it in the pool that @def defines, if there is one.
 */
static void check_identify(Check *check, CstService *service)
{
    g_autoptr(CstPool) pool = NULL;

    if (cst_pool_def_conflict(check->def) != CST_CONFLICT_TARGET)
        return;
    storage_identify(check->def->target_path, check->mounts, &check->id);
    if (!check->id.device)
        return;
    pool = cst_service_pool_by_uuid(service, &check->def->uuid, NULL);
    if (pool)
        keep_identity(pool, check->def->target_path, &check->id);
}

gboolean pool_check_sources(CstService *service, const CstPoolDef *def, gboolean active,
                            GError **error)
{
    g_autoptr(GPtrArray) mounts = NULL;
    g_autoptr(GPtrArray) names = NULL;
    Check check = {.def = def, .active = active};

    if (!definitions_sync(service, error))
        return FALSE;
    check.mounts = mounts = cst_mounts_read();
    check_identify(&check, service);
    names = storage_index_find(service->storage_index, def, &check.id, active);
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(CstPool) pool = registry_find(service, g_ptr_array_index(names, i));

        if (pool && !cst_uuid_equal(&pool->uuid, &def->uuid) && has_same_storage(&check, pool))
            return cst_fail(error, CST_ERROR_EXISTS, _("Storage source conflict with pool: '%s'"),
                            pool->name);
    }
    return TRUE;
}
