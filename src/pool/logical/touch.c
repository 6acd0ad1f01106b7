/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks whether the physical volumes of a group answer (CstBackend.touch). No tool of LVM is run,
 * because it would hang with the device. The physical volumes are found below the group's active
 * LVs in sysfs:
 *
 *     /sys/block/dm-3/dm/uuid         LVM-…
 *     /sys/block/dm-3/dm/name         my--group-volume: hyphens of the names are doubled
 *     /sys/block/dm-3/slaves/sdb1     a physical volume, or another dm-N of the group
 *
 * One block of each is read. A group without active LVs counts as an answer.
 */
#include "logical.h"

#include <string.h>

#include <base/file.h>

#define BLOCK_DEVICES "/sys/block"

static gboolean device_is_of_group(const char *node, const char *vg)
{
    g_autofree char *dir = g_build_filename(BLOCK_DEVICES, node, NULL);
    g_autofree char *uuid = cst_sysfs_read(dir, "dm/uuid");
    g_autofree char *name = cst_sysfs_read(dir, "dm/name");
    g_auto(GStrv) parts = g_strsplit(vg, "-", -1);
    g_autofree char *mangled = g_strjoinv("--", parts);
    size_t len = strlen(mangled);

    return uuid && name && g_str_has_prefix(uuid, "LVM-") && strncmp(name, mangled, len) == 0 &&
           name[len] == '-' && name[len + 1] != '-';
}

/* Adds the names of the physical volumes below @node, without the group's own devices. */
static void add_physical(const char *node, const char *vg, GHashTable *physical)
{
    g_autofree char *dir = g_build_filename(BLOCK_DEVICES, node, "slaves", NULL);
    g_auto(GStrv) below = cst_kernel_list(dir);

    for (char **name = below; *name; name++)
        if (!device_is_of_group(*name, vg))
            g_hash_table_add(physical, g_strdup(*name));
}

/* Fails only if all physical volumes fail, because a part of a group may work. */
gboolean logical_touch(const CstPoolDef *def, GError **error)
{
    g_autoptr(GHashTable) physical = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const char *vg = def->source.name;
    g_auto(GStrv) nodes = cst_kernel_list(BLOCK_DEVICES);
    g_autoptr(GError) first = NULL;
    gboolean any = FALSE;
    GHashTableIter iter;
    gpointer name;

    for (char **node = nodes; *node; node++)
        if (g_str_has_prefix(*node, "dm-") && device_is_of_group(*node, vg))
            add_physical(*node, vg, physical);
    g_hash_table_iter_init(&iter, physical);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autofree char *path = g_build_filename("/dev", name, NULL);

        any |= cst_device_touch(g_strdelimit(path, "!", '/'), first ? NULL : &first);
    }
    if (any || !first)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&first));
    return FALSE;
}
