/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/child.h>
#include <base/task.h>

/** Runs LVM's tools: argument vectors, no shell, a fixed locale, no inherited descriptors. */

/** device-mapper's table of an LV. */
typedef struct {
    char *group_uuid; /**< in the form of LVM's reports */
    char *uuid;
    char *table; /**< "START LENGTH TYPE PARAMETERS" in sectors, one target on each line */
} LvmMapping;

typedef struct {
    const char *dev; /**< directory of device nodes: "/dev" */
    /** lvm_mapping_read() */
    gboolean (*mapping)(const char *path, LvmMapping *ret_mapping);
    /** lvm_pool_held() */
    gboolean (*pool_held)(const char *path, gboolean *ret_held, GError **error);
    /** lvm_status_read() */
    gboolean (*status)(const char *path, char **ret_status, GError **error);
    /** Whether LVM's service dmeventd runs. */
    gboolean (*dmeventd_runs)(void);
    /** lvm_pool_message() */
    gboolean (*pool_message)(const char *path, const char *message, GError **error);
    unsigned report_s; /**< time limit of a report, in seconds */
    unsigned change_s; /**< time limit of a change, in seconds */
    unsigned linger_s; /**< maximum time that a tool outlives its caller, in seconds */
    gint64 fresh_us;   /**< maximum age of a report for read-only calls */
    /** How long the free space is computed from a report and our changes since. */
    gint64 estimate_us;
} LvmHost;

/** The settings of this program; tests change them. */
extern LvmHost lvm_host;

/**
 * Runs argv[0], a tool of LVM. *ret_out (may be NULL) is its stdout, which the caller frees.
 * @timeout_s 0: no limit. UNSUPPORTED if the tool is not installed; else the class of its message.
 */
gboolean lvm_output(const char *const *argv, unsigned timeout_s, CstTask *task, char **ret_out,
                    GError **error);

/**
 * Runs thin_delta and passes its output, of any length, to @take. There is no time limit as long as
 * output is produced. UNSUPPORTED if it is not installed.
 */
gboolean lvm_delta_stream(const char *const *argv, CstChildTake take, gpointer data, CstTask *task,
                          GError **error);
/** Fails with UNSUPPORTED, naming the package, if thin_delta is not installed. */
gboolean lvm_delta_require(GError **error);

/**
 * Returns the path of an internal device of LV @lv in group @vg: "-tpool" for a thin pool, "_tmeta"
 * for its metadata. The caller frees it.
 */
char *lvm_layer_path(const char *vg, const char *lv, const char *layer);
/** Reads from the kernel whether the thin pool at @path has a metadata snapshot. */
gboolean lvm_pool_held(const char *path, gboolean *ret_held, GError **error);
/**
 * Reads "TYPE STATUS" of the only target of the map at @path from the kernel, without a commit of
 * its metadata. The caller frees it. NOT_FOUND if there is no such map.
 */
gboolean lvm_status_read(const char *path, char **ret_status, GError **error);
/** Whether a process of the name dmeventd runs. */
gboolean lvm_dmeventd_runs(void);
/** Sends the thin pool at @path a message (Linux, thin-provisioning.rst). */
gboolean lvm_pool_message(const char *path, const char *message, GError **error);

/**
 * Reads the table of the LV with the node @path from the kernel; the caller clears *ret_mapping.
 * FALSE if the device is not an active LV, or is being changed.
 */
gboolean lvm_mapping_read(const char *path, LvmMapping *ret_mapping);
/** Frees the members of the mapping. */
void lvm_mapping_clear(LvmMapping *mapping);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LvmMapping, lvm_mapping_clear)

/**
 * Returns @option with a size, "-L10240k". LVM rounds the size up to extents. The caller frees it.
 */
char *lvm_size(const char *option, uint64_t bytes);
