/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** Disk images in package formats of other hypervisors. */

/**
 * Writes an OVA with one disk to @to, an empty file. The OVA is a tar archive of an OVF descriptor,
 * the disk as a streamOptimized VMDK, and a manifest with their SHA-256. @disk is read once, in
 * order. @name is the name of the machine, and the stem of the file names.
 */
gboolean cli_package_write(CstBlob *disk, CstBlob *to, const char *name, GError **error);

/**
 * Returns the SHA-256 of @length bytes of @blob from @offset on, in lower case. The caller frees
 * it.
 */
char *cli_blob_sha256(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);
