/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/** Runs LVM's tools: argument vectors, no shell, a fixed locale, no inherited descriptors. */

typedef struct {
    const char *dev;   /**< where devices are: "/dev" */
    unsigned report_s; /**< a report may take this long */
    unsigned change_s; /**< a change */
    gint64 fresh_us;   /**< a report this old will do where nothing is changed by it */
} LvmHost;

/** The settings of this program; tests change them. */
extern LvmHost lvm_host;

/**
 * Runs argv[0], a tool of LVM's; *ret_out (NULL: of no interest) is its stdout, which the caller
 * frees. @timeout_s 0: no limit. UNSUPPORTED when the tool is not installed; else the class that
 * its message means.
 */
gboolean lvm_output(const char *const *argv, unsigned timeout_s, CstTask *task, char **ret_out,
                    GError **error);

/** Returns @option with a size, "-L10240k"; LVM rounds up to its extents by itself. Free it. */
char *lvm_size(const char *option, uint64_t bytes);
