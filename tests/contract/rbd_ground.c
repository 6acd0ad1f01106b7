/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd_ground.h"

#include <string.h>

#include <base/child.h>
#include <blob/ceph.h>

/*
 * RBD images on a Ceph that somebody else started (tests/network/contract_test.py): CEPH_CONF, and
 * CST_TEST_CEPH as "HOST PORT KEY" of client.admin. Each pool is a namespace of the pool "libvirt".
 */

static GStrv ceph_at; /* host, port, key */
static const CstCeph *ceph;
static rados_t cluster;
static GHashTable *held; /* "pool/volume" to rbd_image_t */

static char *rbd(const char *const *words)
{
    CstChild child = {.argv = words, .timeout_s = 60};
    g_auto(CstChildResult) result = {0};

    if (!cst_child_run(&child, NULL, &result, NULL) || result.status != 0)
        return NULL;
    return g_steal_pointer(&result.out);
}

#define RBD(...) rbd((const char *const[]){"rbd", __VA_ARGS__, NULL})

static char *spec(const char *pool, const char *volume)
{
    return g_strdup_printf("libvirt/%s%s%s", pool, volume ? "/" : "", volume ? volume : "");
}

/* As another client: its watches are not ours. */
static char *set_up(const char *dir)
{
    const char *at = g_getenv("CST_TEST_CEPH");

    if (!at)
        return g_strdup("it needs a Ceph, which tests/network starts");
    ceph_at = g_strsplit(at, " ", 3);
    held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    ceph = cst_ceph(NULL);
    if (!ceph)
        return g_strdup("Ceph's libraries are not there");
    assert_int_equal(ceph->rados_create(&cluster, "admin"), 0);
    cst_foreign_enter();
    assert_int_equal(ceph->rados_conf_set(cluster, "mon_host", ceph_at[0]), 0);
    assert_int_equal(ceph->rados_conf_set(cluster, "key", ceph_at[2]), 0);
    assert_int_equal(ceph->rados_connect(cluster), 0);
    return NULL;
}

static void tear_down(void)
{
    if (cluster) {
        ceph->rados_shutdown(cluster);
        cst_foreign_leave();
    }
    g_clear_pointer(&held, g_hash_table_unref);
    g_clear_pointer(&ceph_at, g_strfreev);
}

static char *pool_xml(const char *pool)
{
    g_autofree char *namespace = spec(pool, NULL);
    g_autofree char *said = RBD("namespace", "create", namespace);

    return g_strdup_printf(
        "<pool type='rbd' xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'>"
        "<name>%s</name><source><host name='%s' port='%s'/><name>%s</name></source>"
        "<rbd:config_opts><rbd:option name='rbd_default_clone_format' value='2'/>"
        "<rbd:option name='auth_supported' value='cephx'/>"
        "<rbd:option name='key' value='%s'/><rbd:option name='objecter_tick_interval' value='1'/>"
        "</rbd:config_opts></pool>",
        pool, ceph_at[0], ceph_at[1], namespace, ceph_at[2]);
}

static char **lines(char *text)
{
    char **found = g_strsplit(text ? g_strchomp(text) : "", "\n", -1);

    g_free(text);
    return found;
}

static char **images(const char *pool)
{
    g_autofree char *namespace = spec(pool, NULL);

    return lines(RBD("ls", namespace));
}

/* Second words of the table that "snap ls" prints. */
static void add_snapshots(GPtrArray *names, const char *pool, const char *image)
{
    g_autofree char *path = spec(pool, image);
    g_auto(GStrv) rows = lines(RBD("snap", "ls", path));

    for (guint i = 1; rows[0] && rows[i]; i++) {
        g_auto(GStrv) words = g_regex_split_simple("\\s+", g_strstrip(rows[i]), 0, 0);

        if (words[0] && words[1])
            g_ptr_array_add(names, g_strconcat(image, "@", words[1], NULL));
    }
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char **native_list(const char *pool)
{
    g_auto(GStrv) found = images(pool);
    GPtrArray *names = g_ptr_array_new();

    for (char **image = found; *image; image++) {
        g_ptr_array_add(names, g_strdup(*image));
        add_snapshots(names, pool, *image);
    }
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static gboolean remove_images(const char *pool)
{
    g_auto(GStrv) found = native_list(pool);

    for (char **name = found; *name; name++) {
        g_autofree char *path = spec(pool, *name);
        g_autofree char *said = NULL;

        if (strchr(*name, '@'))
            said = RBD("snap", "rm", "--force", "--no-progress", path);
        else if (g_strv_length(found) > 0)
            said = RBD("rm", "--no-progress", path);
    }
    return g_strv_length(found) == 0;
}

/* Clones go before what they hang on, so it may take more than one round. */
static void clean(const char *pool)
{
    for (int round = 0; round < 8; round++)
        if (remove_images(pool))
            return;
    fail_msg("pool '%s' can't be emptied", pool);
}

static void native_create(const char *pool, const char *volume, uint64_t size)
{
    g_autofree char *path = spec(pool, volume);
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT "B", size);
    g_autofree char *said = RBD("create", path, "--size", bytes);

    assert_non_null(said);
}

static void native_delete(const char *pool, const char *volume)
{
    g_autofree char *path = spec(pool, volume);
    g_autofree char *said = RBD("rm", "--no-progress", path);

    assert_non_null(said);
}

static void hold(const char *pool, const char *volume)
{
    rados_ioctx_t io = NULL;
    rbd_image_t image = NULL;

    assert_int_equal(ceph->rados_ioctx_create(cluster, "libvirt", &io), 0);
    ceph->rados_ioctx_set_namespace(io, pool);
    assert_int_equal(ceph->rbd_open(io, volume, &image, NULL), 0);
    ceph->rados_ioctx_destroy(io);
    g_hash_table_insert(held, spec(pool, volume), image);
}

static void let_go(const char *pool, const char *volume)
{
    g_autofree char *path = spec(pool, volume);

    ceph->rbd_close(g_hash_table_lookup(held, path));
    g_hash_table_remove(held, path);
}

const Ground rbd_ground = {
    .name = "rbd",
    .format = "raw",
    .flags = GROUND_RESIZES | GROUND_GROWS_ZERO | GROUND_SNAPSHOTS | GROUND_CLONES_DEPEND |
             GROUND_REVERTS_ANY | GROUND_FLATTENS_ANY | GROUND_SHARED | GROUND_RENAMES |
             GROUND_TELLS | GROUND_TRASH,
    .set_up = set_up,
    .tear_down = tear_down,
    .pool_xml = pool_xml,
    .clean = clean,
    .native_create = native_create,
    .native_delete = native_delete,
    .native_list = native_list,
    .hold = hold,
    .release = let_go,
};
