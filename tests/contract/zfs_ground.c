/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "zfs_ground.h"

/*
 * Datasets of a ZFS pool that is made for the tests. CISTERN_CONTRACT_DISKS names its disks, whose
 * content may go; tests/lab has a machine with such disks, and ZFS.
 */

#define ZPOOL "contract"

static gboolean made;

static char *set_up(const char *dir)
{
    const char *disks = g_getenv("CISTERN_CONTRACT_DISKS");

    if (!disks)
        return g_strdup("CISTERN_CONTRACT_DISKS names no disks that may be overwritten");
    g_strfreev(site_shell("zpool create -f -m none \"$2\" $1", disks, ZPOOL));
    made = TRUE;
    return NULL;
}

static void tear_down(void)
{
    if (made)
        g_strfreev(site_shell("zpool destroy -f \"$1\"", ZPOOL, ""));
    made = FALSE;
}

static char *pool_xml(const char *pool)
{
    return g_strdup_printf("<pool type='zfs'><name>%s</name><source><name>" ZPOOL "/%s</name>"
                           "</source></pool>",
                           pool, pool);
}

static char *dataset_of(const char *pool)
{
    return g_strconcat(ZPOOL "/", pool, NULL);
}

static char *path_of(const char *pool, const char *volume)
{
    return g_build_filename("/dev/zvol/" ZPOOL, pool, volume, NULL);
}

static void run(const char *line, const char *pool, const char *volume)
{
    g_autofree char *dataset = dataset_of(pool);

    g_strfreev(site_shell(line, dataset, volume));
}

/* udev looks at what was written to a device, which for that moment can't be removed. */
static void clean(const char *pool)
{
    /* paced: a pause between two looks */
    run("while zfs list \"$1\" >/dev/null 2>&1; do zfs destroy -R \"$1\" && exit; sleep 0.1; done",
        pool, "");
}

static void native_create(const char *pool, const char *volume, uint64_t size)
{
    g_autofree char *line = g_strdup_printf("zfs create -V %" G_GUINT64_FORMAT " \"$1/$2\"", size);

    run(line, pool, volume);
}

static void native_delete(const char *pool, const char *volume)
{
    run("zfs destroy \"$1/$2\"", pool, volume);
}

/* A hidden snapshot that is marked to go with the clone that hangs on it is nobody's any more. */
static char **native_list(const char *pool)
{
    g_autofree char *dataset = dataset_of(pool);

    return site_shell("zfs list -H -r -t volume,snapshot -s name -o name,defer_destroy \"$1\" "
                      "2>/dev/null | awk '$2 != \"on\" {print $1}' | sed \"s,^$1/,,\"",
                      dataset, "");
}

static void hold(const char *pool, const char *volume)
{
    g_autofree char *path = path_of(pool, volume);

    site_hold(path);
}

static void let_go(const char *pool, const char *volume)
{
    site_release();
}

static char *identity(const char *pool, const char *volume)
{
    g_autofree char *dataset = dataset_of(pool);
    g_auto(GStrv) guid = site_shell("zfs get -H -p -o value guid \"$1/$2\"", dataset, volume);

    return g_strdup(guid[0]);
}

const Ground zfs_ground = {
    .name = "zfs",
    .format = "raw",
    .flags = ZFS_GROUND_FLAGS,
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
