/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "reader.h"

/** Archives that have one disk in them: zip, 7z, and tar archives that are no OVA. */

/** Whether the first @len bytes are those of a zip or 7z archive. */
gboolean import_archive_probe(const uint8_t *head, size_t len);
/** Returns the length of @name without the ending of an archive (".zip"), or all of it. */
size_t import_archive_strip(const char *name, size_t len);
/**
 * Reads the only disk of the archive in @blob, which it references; @name is for messages.
 * UNSUPPORTED with the list of its files where there is not exactly one disk, LIMIT for too many
 * files or a disk that is larger than the context allows, CORRUPT for a damaged archive.
 */
ImportReader *import_archive_open(const ImportContext *context, CstBlob *blob, const char *name,
                                  GError **error);
