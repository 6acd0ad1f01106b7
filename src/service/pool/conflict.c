/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Detection of pools with the same storage. The model compares definitions by text, with libvirt's
 * rules (cst_pool_def_same_source()). This file also compares the directory or device to which a
 * path resolves now: directories by device and inode, block devices by their number. A path that
 * does not exist is compared by its normalised text.
 *
 * The identities of a pool's directory or devices are cached in the pool (CstPool.storage), so that
 * a start among thousands of pools reads one directory. A match with a cached identity is confirmed
 * by reading it again, because file systems reuse inode numbers. The path of a device may lead to
 * another device later. Therefore a check reads the devices of all pools again if they were read
 * more than a second ago. An index (core/storage_index.h) finds the pools to compare with.
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
#include <base/test_point.h>
#include <pool/mounts.h>

#include "core/definitions.h"
#include "core/pool.h"
#include "core/registry.h"
#include "core/service.h"
#include "core/storage_index.h"

/* Maximal age of the identities of devices. */
#define DEVICES_MAX_AGE_US G_TIME_SPAN_SECOND

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

/*
 * Reads the identities of the paths of @def that decide a conflict, in their order. A document of 1
 * MiB may contain tens of thousands of devices.
 */
static GArray *storage_read(const CstPoolDef *def, const GPtrArray *mounts)
{
    GArray *ids = g_array_new(FALSE, TRUE, sizeof(CstStorageId));
    CstStorageId id;

    if (cst_pool_def_conflict(def) == CST_CONFLICT_TARGET) {
        storage_identify(def->target_path, mounts, &id);
        g_array_append_val(ids, id);
    }
    for (guint i = 0;
         cst_pool_def_conflict(def) == CST_CONFLICT_DEVICE && i < def->source.devices->len; i++) {
        storage_identify(((CstPoolDevice *)g_ptr_array_index(def->source.devices, i))->path, mounts,
                         &id);
        g_array_append_val(ids, id);
    }
    return ids;
}

static gboolean storage_shared(const GArray *a, const GArray *b)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(id_hash, id_equal);

    for (guint i = 0; i < a->len; i++)
        if (g_array_index(a, CstStorageId, i).device)
            g_hash_table_add(ids, &g_array_index(a, CstStorageId, i));
    for (guint i = 0; i < b->len; i++)
        if (g_hash_table_contains(ids, &g_array_index(b, CstStorageId, i)))
            return TRUE;
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

/* The definition to check, and the identities of its directory or devices. */
typedef struct {
    const CstPoolDef *def;
    GPtrArray *mounts;
    GArray *ids;     /* of storage_read() */
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
    if (g_strcmp0(pool->storage_paths, other->target_path) != 0 ||
        storage_shared(pool->storage, check->ids))
        *ret_def = cst_pool_def_copy(other);
    return same_clean_path(other->target_path, check->def->target_path);
}

/* Caches the identities of the paths of @def in the pool. */
static void storage_keep(CstPool *pool, const CstPoolDef *def, GArray *ids)
{
    g_autofree char *paths = storage_index_paths(def);

    g_mutex_lock(&pool->lock);
    if (!pool->storage || g_strcmp0(pool->storage_paths, paths) != 0 ||
        pool->storage->len != ids->len ||
        memcmp(pool->storage->data, ids->data, ids->len * sizeof(CstStorageId)) != 0) {
        g_free(pool->storage_paths);
        pool->storage_paths = g_steal_pointer(&paths);
        g_clear_pointer(&pool->storage, g_array_unref);
        pool->storage = g_array_ref(ids);
        storage_index_update(pool);
    }
    g_mutex_unlock(&pool->lock);
}

/* A match is confirmed by reading both sides again. */
static gboolean same_by_identity(const Check *check, CstPool *pool, const CstPoolDef *other)
{
    g_autoptr(GArray) theirs = storage_read(other, check->mounts);
    g_autoptr(GArray) ours = NULL;

    storage_keep(pool, other, theirs);
    if (!storage_shared(theirs, check->ids))
        return FALSE;
    ours = storage_read(check->def, check->mounts);
    return storage_shared(theirs, ours);
}

static gboolean has_same_storage(const Check *check, CstPool *pool)
{
    g_autoptr(CstPoolDef) other = NULL;
    gboolean same;

    CST_TEST_POINT("pool.conflict.compare");
    g_mutex_lock(&pool->lock);
    same = same_by_text(check, pool, &other);
    g_mutex_unlock(&pool->lock);
    return same || (other && same_by_identity(check, pool, other));
}

/*
 * Caches the identities of @check in the pool that its definition defines, if there is one. A
 * directory that does not exist yet is read again by a later check.
 */
static void check_keep(const Check *check, CstService *service)
{
    g_autoptr(CstPool) pool = NULL;

    if (check->ids->len == 0 || (cst_pool_def_conflict(check->def) == CST_CONFLICT_TARGET &&
                                 !g_array_index(check->ids, CstStorageId, 0).device))
        return;
    pool = cst_service_pool_by_uuid(service, &check->def->uuid, NULL);
    if (pool)
        storage_keep(pool, check->def, check->ids);
}

/* Requires the turn of definitions, which guards devices_at. */
static void devices_read_again(CstService *service, const GPtrArray *mounts)
{
    g_autoptr(GPtrArray) pools = NULL;
    gint64 now = g_get_monotonic_time();

    if (service->devices_at && now - service->devices_at < DEVICES_MAX_AGE_US)
        return;
    service->devices_at = now;
    pools = cst_service_pools(service, 0, NULL);
    for (guint i = 0; pools && i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        g_autoptr(CstPoolDef) def = NULL;
        g_autoptr(GArray) ids = NULL;

        g_mutex_lock(&pool->lock);
        if (cst_pool_def_conflict(pool->def) == CST_CONFLICT_DEVICE)
            def = cst_pool_def_copy(pool->def);
        g_mutex_unlock(&pool->lock);
        if (!def)
            continue;
        ids = storage_read(def, mounts);
        storage_keep(pool, def, ids);
    }
}

/*
 * Returns TRUE if the pool is active and has the directory of identity @target. Pools of two types
 * may have one target: a directory pool uses the directory on which another pool is mounted. One of
 * the two must be a directory pool, because pools of devices share /dev.
 */
static gboolean has_same_target(const Check *check, CstPool *pool, const CstStorageId *target)
{
    const gboolean directory = cst_pool_def_conflict(check->def) == CST_CONFLICT_TARGET;
    g_autofree char *path = NULL;
    CstStorageId id;

    g_mutex_lock(&pool->lock);
    if ((pool->active || pool->starting) && pool->def->type != check->def->type &&
        (directory || cst_pool_def_conflict(pool->def) == CST_CONFLICT_TARGET))
        path = g_strdup(pool->def->target_path);
    g_mutex_unlock(&pool->lock);
    storage_identify(path, check->mounts, &id);
    return id_equal(&id, target);
}

static gboolean check_targets(CstService *service, const Check *check, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;
    CstStorageId target;

    storage_identify(check->def->target_path, check->mounts, &target);
    if (!target.device || service->like_libvirt)
        return TRUE;
    pools = cst_service_pools(service, 0, NULL);
    for (guint i = 0; pools && i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);

        if (!cst_uuid_equal(&pool->uuid, &check->def->uuid) &&
            has_same_target(check, pool, &target))
            return cst_fail(error, CST_ERROR_EXISTS, _("Storage source conflict with pool: '%s'"),
                            pool->name);
    }
    return TRUE;
}

gboolean pool_check_sources(CstService *service, const CstPoolDef *def, gboolean active,
                            GError **error)
{
    g_autoptr(GPtrArray) mounts = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GArray) ids = NULL;
    Check check = {.def = def, .active = active};

    if (!definitions_sync(service, error))
        return FALSE;
    check.mounts = mounts = cst_mounts_read();
    check.ids = ids = storage_read(def, mounts);
    if (cst_pool_def_conflict(def) == CST_CONFLICT_DEVICE)
        devices_read_again(service, mounts);
    check_keep(&check, service);
    names = storage_index_find(service->storage_index, def, ids, active);
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(CstPool) pool = registry_find(service, g_ptr_array_index(names, i));

        if (pool && !cst_uuid_equal(&pool->uuid, &def->uuid) && has_same_storage(&check, pool))
            return cst_fail(error, CST_ERROR_EXISTS, _("Storage source conflict with pool: '%s'"),
                            pool->name);
    }
    return check_targets(service, &check, error);
}
