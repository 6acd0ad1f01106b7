/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

/**
 * Watches of directories that share one inotify instance, because the kernel limits the instances
 * of a user (fs.inotify.max_user_instances, 128). All functions may be called from any thread.
 */

/**
 * Watches the directory at @path for the events in @mask. Returns a descriptor that becomes
 * readable after a change, or -1 with errno. Release it with dir_notify_close().
 */
int dir_notify_open(const char *path, uint32_t mask);
/**
 * Calls @changed once with the name of each entry that has changed since the last call, in no
 * order. Calls it with NULL if any entry may have changed. Does not block.
 */
void dir_notify_read(int fd, void (*changed)(const char *name, gpointer data), gpointer data);
void dir_notify_close(int fd);
