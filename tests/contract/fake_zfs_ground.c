/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "zfs_ground.h"

#include <string.h>

#include "fake_guest.h"
#include "fake_zfs.h"

/*
 * Datasets on ZFS's tools as a script plays them (tests/unit/pool/fake-zfs): volumes are files.
 * Each pool is a dataset of the ZFS pool "tank".
 */

static char *set_up(const char *dir)
{
    fake_set_up(NULL);
    /* The service looks while others change something; the script asks for it to be kept apart. */
    fake_put("lock", "");
    return NULL;
}

static void tear_down(void)
{
    fake_tear_down(NULL);
}

static char *pool_xml(const char *pool)
{
    return g_strdup_printf("<pool type='zfs'><name>%s</name><source><name>tank/%s</name></source>"
                           "</pool>",
                           pool, pool);
}

static void clean(const char *pool)
{
    g_strfreev(site_shell("cd \"$1\" && rm -rf \"sets/tank%$2\" sets/\"tank%$2%\"* "
                          "snaps/\"tank%$2%\"* content/\"tank%$2%\"* \"dev/zvol/tank/$2\"",
                          fake_folder, pool));
}

static void native_create(const char *pool, const char *volume, uint64_t size)
{
    g_autofree char *dataset = g_strdup_printf("tank/%s/%s", pool, volume);

    assert_int_equal(size, 8 * MIB);
    fake_add(dataset);
}

static void native_delete(const char *pool, const char *volume)
{
    g_strfreev(site_shell("zfs destroy \"tank/$1/$2\"", pool, volume));
}

/* A hidden snapshot that goes with its last clone is nobody's any more. */
static char **native_list(const char *pool)
{
    return site_shell("cd \"$1\" && for file in sets/\"tank%$2%\"* snaps/\"tank%$2%\"*; do "
                      "[ ! -e \"$file\" ] || [ \"$(sed -n 3p \"$file\")\" = 1 ] || "
                      "echo \"${file#*/tank%$2%}\"; done | LC_ALL=C sort",
                      fake_folder, pool);
}

static void hold(const char *pool, const char *volume)
{
    static char held[64];

    g_snprintf(held, sizeof(held), "/%s/%s", pool, volume);
    fake_hold(held);
}

static void let_go(const char *pool, const char *volume)
{
    fake_hold(NULL);
}

static char *identity(const char *pool, const char *volume)
{
    g_auto(GStrv) guid =
        site_shell("cd \"$FAKE_ZFS\" && sed -n 2p \"sets/tank%$1%$2\"", pool, volume);

    return g_strdup(guid[0]);
}

static const Ground fake_ground = {
    .name = "zfs-fake",
    .format = "raw",
    .flags = ZFS_GROUND_FLAGS | GROUND_INSIDE,
    .set_up = set_up,
    .tear_down = tear_down,
    .pool_xml = pool_xml,
    .clean = clean,
    .native_create = native_create,
    .native_delete = native_delete,
    .native_list = native_list,
    .hold = hold,
    .release = let_go,
    .identity = identity,
};

const Ground *const grounds[] = {&fake_ground, NULL};
