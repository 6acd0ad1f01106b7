/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "source.h"

/**
 * Opens the disks of @source when it is an OVA or an OVF descriptor: unpacked, and verified by the
 * manifest; tells the user when there is none. *ret_disks: elements ImportSource; NULL when it is
 * something else, or when the user says of which format it is.
 *
 * MISMATCH for a digest that is wrong or missing; NOT_FOUND for a file that is not there; DENIED
 * for names and entries that lead elsewhere; XML, CORRUPT, LIMIT, UNSUPPORTED.
 */
gboolean import_package_open(const ImportContext *context, ImportSource *source,
                             GPtrArray **ret_disks, GError **error);
