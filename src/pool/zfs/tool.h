/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdarg.h>

#include <base/child.h>
#include <base/task.h>

/** Runs the tools zfs and zpool: argument vectors, no shell, a fixed locale, a time limit. */

typedef struct {
    const char *dev;    /**< where devices are: "/dev" */
    const char *kstat;  /**< where the kernel shows imported pools: "/proc/spl/kstat/zfs" */
    unsigned report_s;  /**< a report may take this long */
    unsigned change_s;  /**< a change */
    gint64 node_us;     /**< a device's node may take this long to come */
    gint64 busy_us;     /**< somebody who looks at a device for a moment is waited for this long */
    gint64 fresh_us;    /**< a report this old will do where nothing is changed by it */
    gint64 estimate_us; /**< the ZFS pool's sizes are estimated for so long after our changes */
} ZfsHost;

/** The settings of this program; tests change them. */
extern ZfsHost zfs_host;

/**
 * Runs argv[0], "zfs" or "zpool", for a report: *ret_out, which the caller frees, also when it
 * failed and has reported something all the same. Fails as cst_tool_run() does.
 */
gboolean zfs_report(const char *const *argv, CstTask *task, char **ret_out, GError **error);

/**
 * Runs a tool whose report may be of any length, and take any time as long as it goes on; it
 * is handed to @take.
 */
gboolean zfs_report_stream(const char *const *argv, CstChildTake take, gpointer data, CstTask *task,
                           GError **error);

/**
 * Runs a tool that changes something and reads @input, of @length bytes, for it. *ret_out as
 * zfs_report() has it; NULL: of no interest.
 */
gboolean zfs_change_with(const char *const *argv, const void *input, size_t length, char **ret_out,
                         GError **error);
/** Runs a tool that changes something; the vector ends with NULL. */
gboolean zfs_changev(const char *const *argv, CstTask *task, GError **error);

/** A change; *ret_busy: it failed as somebody has the device open. */
typedef gboolean (*ZfsAttempt)(gpointer data, gboolean *ret_busy, GError **error);
/** Tries a change again for a while when somebody has the device open: udev does after each. */
gboolean zfs_attempt(ZfsAttempt attempt, gpointer data, GError **error);
/** zfs_changev() as such an attempt; @data is the vector. */
gboolean zfs_changev_once(gpointer data, gboolean *ret_busy, GError **error);

/** The vector of a tool and its arguments, which it borrows; unref it. */
GPtrArray *zfs_vector(const char *tool, va_list args);

/** Returns "PROPERTY=1024K": @bytes, rounded up, for an option of the tools. Free it. */
char *zfs_size(const char *property, uint64_t bytes);
