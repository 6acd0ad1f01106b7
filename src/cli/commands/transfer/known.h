/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * Digests of what a snapshot holds, kept in the user's cache: a snapshot does not change, so it has
 * to be read only once. For each volume those of one snapshot are kept.
 */

/** Makes *ret the digests of snapshot @identity of @vol, of this size. FALSE: none are kept. */
gboolean known_load(const CstVolRef *vol, const char *identity, uint64_t capacity, uint64_t chunk,
                    CstVolDigests *ret);
/** Keeps the digests of all of it. That it fails does no harm. */
void known_save(const CstVolRef *vol, const char *identity, const CstVolDigests *digests);
