/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/** Running LVM's tools: argument vectors, no shell, a fixed locale, no inherited descriptors. */

typedef struct {
    const char *dev;   /**< where devices are: "/dev" */
    unsigned report_s; /**< a report may take this long */
    unsigned change_s; /**< a change */
    gint64 fresh_us;   /**< a report this old will do where nothing is changed by it */
} LvmHost;

/** One for the program; tests change it. */
extern LvmHost lvm_host;

/** Runs argv[0], a tool of LVM's; its stdout in *ret_out. @timeout_s 0: none. */
gboolean lvm_output(const char *const *argv, unsigned timeout_s, CstTask *task, char **ret_out,
                    GError **error);
/** Runs a tool that changes something. Arguments end with NULL; NULL in a vector ends it. */
gboolean lvm_change(CstTask *task, GError **error, const char *tool, ...) G_GNUC_NULL_TERMINATED;
gboolean lvm_changev(const char *const *argv, CstTask *task, GError **error);

/** "-L10240k": LVM rounds up to its extents by itself. */
char *lvm_size(const char *option, uint64_t bytes);
