/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names below a pool's target path. Pools of block devices have a directory of links as target,
 * such as /dev/disk/by-path. libvirt shows each volume by the link that leads to its device.
 */
#include <pool/device.h>

#include <string.h>

#include <base/file.h>

/* /dev itself contains the nodes, and directories outside of /dev have no links of udev. */
static gboolean has_links(const char *folder)
{
    return g_str_has_prefix(folder, "/dev/");
}

char *cst_device_stable_path(const char *folder, const char *node)
{
    g_auto(GStrv) names = has_links(folder) ? cst_kernel_list(folder) : NULL;

    for (char **name = names; name && *name; name++) {
        g_autofree char *link = g_build_filename(folder, *name, NULL);

        if (cst_device_is_same(link, node))
            return g_steal_pointer(&link);
    }
    return g_strdup(node);
}
