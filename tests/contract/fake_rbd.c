/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

#include <blob/ceph.h>
#include <fake_ceph.h>

/*
 * RBD images on a Ceph in memory (tests/ceph): once with clones of version 2, once as a cluster has
 * to make them that old clients must understand. Each pool is a namespace of the pool "libvirt".
 */

static const CstCeph *ceph;
static rados_t other;    /* another client: its watches are not ours */
static GHashTable *held; /* "pool/volume" to rbd_image_t */

static char *set_up(const char *dir)
{
    held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fake_ceph_reset();
    fake_ceph_add_namespace("libvirt", "q");
    fake_ceph_require("admin", "c2VjcmV0");
    ceph = cst_ceph(NULL);
    assert_non_null(ceph);
    assert_int_equal(ceph->rados_create(&other, "admin"), 0);
    return NULL;
}

static char *set_up_old(const char *dir)
{
    char *missing = set_up(dir);

    fake_ceph_require_release(12);
    return missing;
}

static void tear_down(void)
{
    ceph->rados_shutdown(other);
    g_clear_pointer(&held, g_hash_table_unref);
}

static void clean(const char *pool)
{
    fake_ceph_drop_namespace("libvirt", pool);
    fake_ceph_add_namespace("libvirt", pool);
}

static char *pool_xml(const char *pool)
{
    return g_strdup_printf(
        "<pool type='rbd' xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'>"
        "<name>%s</name><source><host name='fake'/><name>libvirt/%s</name></source>"
        "<rbd:config_opts><rbd:option name='auth_supported' value='cephx'/>"
        "<rbd:option name='key' value='c2VjcmV0'/></rbd:config_opts></pool>",
        pool, pool);
}

static rados_ioctx_t open_pool(const char *pool)
{
    rados_ioctx_t io = NULL;

    assert_int_equal(ceph->rados_ioctx_create(other, "libvirt", &io), 0);
    ceph->rados_ioctx_set_namespace(io, pool);
    return io;
}

static void native_create(const char *pool, const char *volume, uint64_t size)
{
    rados_ioctx_t io = open_pool(pool);
    rbd_image_options_t options = NULL;

    ceph->rbd_image_options_create(&options);
    assert_int_equal(ceph->rbd_create4(io, volume, size, options), 0);
    ceph->rbd_image_options_destroy(options);
    ceph->rados_ioctx_destroy(io);
}

static int ignore_progress(uint64_t done, uint64_t total, void *data)
{
    return 0;
}

static void native_delete(const char *pool, const char *volume)
{
    rados_ioctx_t io = open_pool(pool);

    assert_int_equal(ceph->rbd_remove_with_progress(io, volume, ignore_progress, NULL), 0);
    ceph->rados_ioctx_destroy(io);
}

static char **native_list(const char *pool)
{
    g_auto(GStrv) found = fake_ceph_list("libvirt", pool);
    GPtrArray *names = g_ptr_array_new();

    /* A snapshot with clones of version 1 stays visible. */
    for (char **name = found; *name; name++)
        if (!strstr(*name, "@.cistern-"))
            g_ptr_array_add(names, g_strdup(*name));
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static void hold(const char *pool, const char *volume)
{
    rados_ioctx_t io = open_pool(pool);
    rbd_image_t image = NULL;

    assert_int_equal(ceph->rbd_open(io, volume, &image, NULL), 0);
    ceph->rados_ioctx_destroy(io);
    g_hash_table_insert(held, g_strconcat(pool, "/", volume, NULL), image);
}

static void let_go(const char *pool, const char *volume)
{
    g_autofree char *path = g_strconcat(pool, "/", volume, NULL);

    ceph->rbd_close(g_hash_table_lookup(held, path));
    g_hash_table_remove(held, path);
}

#define FAKE_RBD_CALLS                                                                            \
    .format = "raw",                                                                              \
    .flags = GROUND_INSIDE | GROUND_RESIZES | GROUND_GROWS_ZERO | GROUND_SNAPSHOTS |              \
             GROUND_CLONES_DEPEND | GROUND_REVERTS_ANY | GROUND_FLATTENS_ANY | GROUND_SHARED |    \
             GROUND_RENAMES | GROUND_TELLS | GROUND_TRASH,                                        \
    .tear_down = tear_down, .pool_xml = pool_xml, .clean = clean, .native_create = native_create, \
    .native_delete = native_delete, .native_list = native_list, .hold = hold, .release = let_go

static const Ground fake_rbd_ground = {.name = "rbd-fake", .set_up = set_up, FAKE_RBD_CALLS};
static const Ground fake_rbd_old_ground = {
    .name = "rbd-fake-old", .set_up = set_up_old, FAKE_RBD_CALLS};

const Ground *const grounds[] = {&fake_rbd_ground, &fake_rbd_old_ground, NULL};
