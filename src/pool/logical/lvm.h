/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/** Runs LVM's tools: argument vectors, no shell, a fixed locale, no inherited descriptors. */

/** What device-mapper has loaded for an LV. */
typedef struct {
    char *group_uuid; /**< in the form of LVM's reports */
    char *uuid;
    char *table; /**< "START LENGTH TYPE PARAMETERS" in sectors, one target a line */
} LvmMapping;

typedef struct {
    const char *dev; /**< where devices are: "/dev" */
    /** lvm_mapping_read() */
    gboolean (*mapping)(const char *path, LvmMapping *ret_mapping);
    unsigned report_s; /**< a report may take this long */
    unsigned change_s; /**< a change */
    unsigned linger_s; /**< a tool goes on that long when its caller is dead */
    gint64 fresh_us;   /**< a report this old will do where nothing is changed by it */
    /** so long what is free is computed from a report and what we changed since */
    gint64 estimate_us;
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

/**
 * Asks the kernel what it has loaded for the LV whose node is @path; the caller clears
 * *ret_mapping. FALSE when that is no active LV's own device, or changes just now.
 */
gboolean lvm_mapping_read(const char *path, LvmMapping *ret_mapping);
/** Frees what the mapping holds. */
void lvm_mapping_clear(LvmMapping *mapping);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LvmMapping, lvm_mapping_clear)

/** Returns @option with a size, "-L10240k"; LVM rounds up to its extents by itself. Free it. */
char *lvm_size(const char *option, uint64_t bytes);
