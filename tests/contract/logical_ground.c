/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logical_ground.h"

#include <string.h>

/*
 * Volume groups, thick and thin, each on a disk of its own. CISTERN_CONTRACT_DISKS names two disks
 * ("/dev/a /dev/b") whose content may go; tests/lab has a machine with such disks.
 */

static char **disks;

static char *set_up(const char *dir)
{
    const char *named = g_getenv("CISTERN_CONTRACT_DISKS");

    disks = g_strsplit(named ? named : "", " ", -1);
    if (g_strv_length(disks) != 2)
        return g_strdup("CISTERN_CONTRACT_DISKS does not name two disks that may be overwritten");
    return NULL;
}

static void tear_down(void)
{
    g_clear_pointer(&disks, g_strfreev);
}

static const char *disk_of(const char *pool)
{
    return strcmp(pool, "p") == 0 ? disks[0] : disks[1];
}

static char *group_of(const char *pool)
{
    return g_strconcat("contract_", pool, NULL);
}

static char *describe(const char *pool, const char *options)
{
    return g_strdup_printf("<pool type='logical'><name>%s</name><source><device path='%s'/>"
                           "<name>contract_%s</name></source>%s</pool>",
                           pool, disk_of(pool), pool, options);
}

static char *thick_xml(const char *pool)
{
    return describe(pool, "<options xmlns='urn:cistern:storage:1.0'>"
                          "<option name='snapshot-size' value='24M'/></options>");
}

static char *thin_xml(const char *pool)
{
    return describe(pool, "<options xmlns='urn:cistern:storage:1.0'>"
                          "<option name='thin' value='yes'/></options>");
}

static void run(const char *line, const char *pool, const char *volume)
{
    g_autofree char *group = group_of(pool);

    g_strfreev(site_shell(line, group, volume));
}

static void clean(const char *pool)
{
    run("vgremove -qq -ff -y \"$1\" >/dev/null 2>&1; pvremove -qq -ff -y \"$2\" >/dev/null 2>&1; "
        "wipefs -qa \"$2\"",
        pool, disk_of(pool));
}

static void native_create(const char *pool, const char *volume, uint64_t size)
{
    g_autofree char *line =
        g_strdup_printf("lvcreate -qq -y -Wn -L %" G_GUINT64_FORMAT "b -n \"$2\" \"$1\"", size);

    run(line, pool, volume);
}

static void native_delete(const char *pool, const char *volume)
{
    run("lvremove -qq -f \"$1/$2\"", pool, volume);
}

/* A thin pool stays when its volumes go. */
static char **native_list(const char *pool)
{
    g_autofree char *group = group_of(pool);

    return site_shell("vgs \"$1\" >/dev/null 2>&1 || exit 0; "
                      "lvs --noheadings -o lv_name,lv_attr -O lv_name \"$1\" | "
                      "awk '$2 !~ /^t/ {print $1}'",
                      group, "");
}

static void hold(const char *pool, const char *volume)
{
    g_autofree char *group = group_of(pool);
    g_autofree char *path = g_build_filename("/dev", group, volume, NULL);

    site_hold(path);
}

static void let_go(const char *pool, const char *volume)
{
    site_release();
}

#define LOGICAL_CALLS                                                                         \
    .set_up = set_up, .tear_down = tear_down, .clean = clean, .native_create = native_create, \
    .native_delete = native_delete, .native_list = native_list, .hold = hold, .release = let_go

const Ground logical_ground = {.name = "logical",
                               .format = "raw",
                               .flags = GROUND_NEEDS_BUILD | GROUND_DELETES_ALL | GROUND_RESIZES |
                                        GROUND_SNAPSHOTS | GROUND_PLANS | GROUND_REVERTS_ANY |
                                        GROUND_MAKER_LIVES | GROUND_RENAMES | GROUND_TRASH,
                               .pool_xml = thick_xml,
                               LOGICAL_CALLS};

const Ground logical_thin_ground = {
    .name = "logical-thin",
    .format = "raw",
    .flags = GROUND_NEEDS_BUILD | GROUND_DELETES_ALL | GROUND_RESIZES | GROUND_SNAPSHOTS |
             GROUND_PLANS | GROUND_REVERTS_ANY | GROUND_MAKER_LIVES | GROUND_RENAMES |
             GROUND_TRASH | GROUND_GROWS_ZERO | GROUND_TELLS,
    .pool_xml = thin_xml,
    LOGICAL_CALLS};
