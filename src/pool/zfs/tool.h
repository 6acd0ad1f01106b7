/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdarg.h>

#include <base/child.h>
#include <base/task.h>

/** Runs the tools zfs and zpool: argument vectors, no shell, a fixed locale, a time limit. */

typedef struct {
    const char *dev;    /**< directory of device nodes: "/dev" */
    const char *kstat;  /**< the kernel's directory of imported pools: "/proc/spl/kstat/zfs" */
    unsigned report_s;  /**< time limit of a report, in seconds */
    unsigned change_s;  /**< time limit of a change, in seconds */
    gint64 node_us;     /**< maximum wait for a device node */
    gint64 busy_us;     /**< maximum wait for a program that has a device briefly open */
    gint64 fresh_us;    /**< maximum age of a report for read-only callers */
    gint64 estimate_us; /**< how long the ZFS pool's sizes are estimated after our changes */
} ZfsHost;

/** The settings of this program; tests change them. */
extern ZfsHost zfs_host;

/**
 * Runs argv[0], "zfs" or "zpool", for a report. *ret_out, which the caller frees, is also set if
 * the tool failed and has printed a report. Fails like cst_tool_run().
 */
gboolean zfs_report(const char *const *argv, CstTask *task, char **ret_out, GError **error);

/**
 * Runs a tool and passes its report, of any length, to @take. There is no time limit as long as
 * output is produced.
 */
gboolean zfs_report_stream(const char *const *argv, CstChildTake take, gpointer data, CstTask *task,
                           GError **error);

/**
 * Runs a tool that makes a change and reads @input, of @length bytes. *ret_out: as in zfs_report();
 * may be NULL.
 */
gboolean zfs_change_with(const char *const *argv, const void *input, size_t length, char **ret_out,
                         GError **error);
/** Runs a tool that makes a change; the vector ends with NULL. */
gboolean zfs_changev(const char *const *argv, CstTask *task, GError **error);

/** Attempts a change. *ret_busy: it failed because the device is open. */
typedef gboolean (*ZfsAttempt)(gpointer data, gboolean *ret_busy, GError **error);
/** Repeats a change for a while if the device is open, because udev opens it after each change. */
gboolean zfs_attempt(ZfsAttempt attempt, gpointer data, GError **error);
/** zfs_changev() as a ZfsAttempt; @data is the vector. */
gboolean zfs_changev_once(gpointer data, gboolean *ret_busy, GError **error);

/** Returns the argument vector of a tool, which borrows the arguments. The caller unrefs it. */
GPtrArray *zfs_vector(const char *tool, va_list args);

/**
 * Returns "PROPERTY=1024K", with @bytes rounded up, for an option of the tools. The caller frees
 * it.
 */
char *zfs_size(const char *property, uint64_t bytes);
