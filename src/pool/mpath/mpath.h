/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/attached.h>

/**
 * The pool of this host's multipath maps, as libvirt has it, with the paths below each of them.
 *
 *     ../device/…      volumes that are whole devices
 *     status.c         what device-mapper says of a map
 *     mpath.c          the callbacks and their table
 */
extern const CstBackend cst_mpath_backend;

/** One path of a map. */
typedef struct {
    dev_t device;
    gboolean active; /**< the kernel sends requests there; else it has failed */
} MpathPath;

/**
 * Reads the status line of device-mapper's target "multipath"; returns an array of MpathPath, in
 * the order of the groups, which the caller unrefs. NULL with CORRUPT for a line that is none.
 */
GArray *mpath_status_parse(const char *line, GError **error);

/**
 * Asks device-mapper for the paths of the map with number @device. *ret_paths NULL: it is another
 * kind of device-mapper's devices, or has gone.
 */
gboolean mpath_status_read(dev_t device, GArray **ret_paths, GError **error);
