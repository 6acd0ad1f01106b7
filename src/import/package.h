/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "source.h"

/**
 * Opens the disks of @source if it is an OVA or an OVF descriptor. The disks are unpacked and
 * verified against the manifest; a missing manifest is reported to the user. *ret_disks: elements
 * ImportSource. It is NULL if the source is not a package, or if the user has set the format.
 *
 * A source that is another archive is replaced by its only disk (import_source_unpack()).
 *
 * Fails with MISMATCH for a wrong or missing digest, NOT_FOUND for a missing file, DENIED for names
 * and entries that lead outside the package, and with XML, CORRUPT, LIMIT or UNSUPPORTED.
 */
gboolean import_package_open(const ImportContext *context, ImportSource *source,
                             GPtrArray **ret_disks, GError **error);
