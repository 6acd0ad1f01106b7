/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * Digests of snapshots in the user's cache. A snapshot does not change, so it is read only once.
 * The cache has one snapshot for each volume.
 */

/**
 * Loads the digests of snapshot @identity of @vol, with these sizes. Return: FALSE if they are not
 * cached.
 */
gboolean known_load(const CstVolRef *vol, const char *identity, uint64_t capacity, uint64_t chunk,
                    CstVolDigests *ret);
/** Stores the digests of a complete volume. Errors are ignored. */
void known_save(const CstVolRef *vol, const char *identity, const CstVolDigests *digests);
