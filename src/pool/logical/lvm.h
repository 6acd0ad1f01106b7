/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/child.h>
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
    /** lvm_pool_held() */
    gboolean (*pool_held)(const char *path, gboolean *ret_held, GError **error);
    /** lvm_pool_message() */
    gboolean (*pool_message)(const char *path, const char *message, GError **error);
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
 * Runs thin_delta, whose output may be of any length and takes any time as long as it goes on; it
 * is handed to @take. UNSUPPORTED when it is not installed.
 */
gboolean lvm_delta_stream(const char *const *argv, CstChildTake take, gpointer data, CstTask *task,
                          GError **error);
/** UNSUPPORTED, with what to install, when thin_delta is not. */
gboolean lvm_delta_require(GError **error);

/**
 * Returns the path of a device that LVM makes for LV @lv of group @vg besides its own: "-tpool" is
 * a thin pool's, "_tmeta" that of its metadata. Free it.
 */
char *lvm_layer_path(const char *vg, const char *lv, const char *layer);
/** Asks the kernel whether it keeps metadata of the thin pool at @path for somebody. */
gboolean lvm_pool_held(const char *path, gboolean *ret_held, GError **error);
/** Sends the thin pool at @path a message (Linux, thin-provisioning.rst). */
gboolean lvm_pool_message(const char *path, const char *message, GError **error);

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
