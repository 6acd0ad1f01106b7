/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * Appends a CstHolder for everybody on this host who has the block device at @path open, this
 * process not counted: mounts, swap, devices on top of it, processes. What the kernel counts but
 * nobody admits to (another mount namespace) is told as such. A path that is no block device has
 * no holders.
 */
gboolean cst_device_holders(const char *path, GPtrArray *holders, GError **error);
