/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/attached.h>

/**
 * The pool of this host's multipath maps, as in libvirt, with the paths of each map.
 *
 *     ../device/…      volumes that are whole devices
 *     status.c         device-mapper's status of a map
 *     mpath.c          the callbacks and their table
 */
extern const CstBackend cst_mpath_backend;

/** A path of a map. */
typedef struct {
    dev_t device;
    gboolean active; /**< the kernel sends requests to it; FALSE: it has failed */
} MpathPath;

/**
 * Parses the status line of device-mapper's target "multipath". Returns an array of MpathPath, in
 * the order of the groups, which the caller unrefs. NULL with CORRUPT if the line is not valid.
 */
GArray *mpath_status_parse(const char *line, GError **error);

/**
 * Reads the paths of the map with number @device from device-mapper. *ret_paths is NULL if the
 * device is not a multipath map, or was removed.
 */
gboolean mpath_status_read(dev_t device, GArray **ret_paths, GError **error);
