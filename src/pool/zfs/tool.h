/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/task.h>

/** Runs the tools zfs and zpool: argument vectors, no shell, a fixed locale, a time limit. */

typedef struct {
    const char *dev;   /**< where devices are: "/dev" */
    const char *kstat; /**< where the kernel shows imported pools: "/proc/spl/kstat/zfs" */
    unsigned report_s; /**< a report may take this long */
    unsigned change_s; /**< a change */
    gint64 node_us;    /**< a device's node may take this long to come */
    gint64 busy_us;    /**< somebody who looks at a device for a moment is waited for this long */
} ZfsHost;

/** The settings of this program; tests change them. */
extern ZfsHost zfs_host;

/**
 * Runs argv[0], "zfs" or "zpool", for a report: *ret_out, which the caller frees, also when it
 * failed and has reported something all the same. Fails as cst_tool_run() does.
 */
gboolean zfs_report(const char *const *argv, CstTask *task, char **ret_out, GError **error);

/** Runs a tool that changes something and reads @input, of @length bytes, for it. */
gboolean zfs_change_with(const char *const *argv, const void *input, size_t length, GError **error);

/** Runs a tool that changes something; the vector, or the arguments, end with NULL. */
gboolean zfs_changev(const char *const *argv, CstTask *task, GError **error);
gboolean zfs_change(CstTask *task, GError **error, const char *tool, ...) G_GNUC_NULL_TERMINATED;

/**
 * As zfs_change(), but tried again for a while when somebody has the device open: udev does so
 * after each change.
 */
gboolean zfs_change_idle(GError **error, const char *tool, ...) G_GNUC_NULL_TERMINATED;

/** Returns "PROPERTY=1024K": @bytes, rounded up, for an option of the tools. Free it. */
char *zfs_size(const char *property, uint64_t bytes);
