/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Detects changes by other programs. udev reports the devices of zvols like all block devices: when
 * a device was created, renamed, resized or removed. The event's device is not significant, because
 * one report has all volumes.
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
