/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** Disk images in the packages that other hypervisors import. */

/**
 * Writes an OVA with one disk onto @to, an empty file: a tar archive of an OVF descriptor, the disk
 * as a streamOptimized VMDK and a manifest with their SHA-256. @disk is read once, in order. @name
 * is the machine's, and the stem of the files' names.
 */
gboolean cli_package_write(CstBlob *disk, CstBlob *to, const char *name, GError **error);

/** Gives the SHA-256 of @length bytes of @blob from @offset on, in lower case. Free it. */
char *cli_blob_sha256(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);
