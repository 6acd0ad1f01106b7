/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes by others. udev reports the devices of zvols as it does all block devices: when one was
 * made, renamed, resized or removed. Which it was does not matter, as one report tells all.
 */
#include "zfs.h"

int zfs_watch_open(CstPoolState *state, GError **error)
{
    return cst_device_watch_open(error);
}

void zfs_watch_read(CstPoolState *state, int fd, void (*changed)(const char *name, gpointer data),
                    gpointer data)
{
    if (cst_device_watch_drain(fd))
        changed(NULL, data);
}
