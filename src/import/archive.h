/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "reader.h"

/** Archives that contain one disk: zip, 7z, and tar archives without an OVF descriptor. */

/** Returns whether the first @len bytes begin a zip or 7z archive. */
gboolean import_archive_probe(const uint8_t *head, size_t len);
/** Returns the length of @name without the suffix of an archive (".zip"), or @len. */
size_t import_archive_strip(const char *name, size_t len);
/**
 * Returns a reader of the only disk of the archive in @blob. Acquires a reference of @blob; @name
 * is for messages. Fails with UNSUPPORTED and the list of files unless there is exactly one disk.
 * Fails with LIMIT for too many files or a disk above the context's maximum, and with CORRUPT for a
 * damaged archive.
 */
ImportReader *import_archive_open(const ImportContext *context, CstBlob *blob, const char *name,
                                  GError **error);
