/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/overlays.h>

#include "pool.h"

/**
 * Remembers which images of a directory are based on which files (store/overlays.h), so that the
 * references count after the pool is stopped. Failures are logged: a scan does not fail because of
 * them.
 */

/**
 * Returns the records of the pool's directory; call it before a whole scan begins. NULL where the
 * pool has no images, or the records can't be read.
 */
GPtrArray *overlays_before_scan(CstPool *pool, CstPoolState *state);
/**
 * Brings the records in line with the pool's table, after a whole scan has succeeded. @before: what
 * overlays_before_scan() returned. A record that was added since then stays.
 */
void overlays_after_scan(CstPool *pool, CstPoolState *state, const GPtrArray *before);
/**
 * The same for one volume. @known, @volume: its record before and after; NULL: there is none.
 * Touches the database only when a reference has changed.
 */
void overlays_note(CstPool *pool, CstPoolState *state, const CstVolume *known,
                   const CstVolume *volume);
/**
 * Remembers the references of @volume, which was called @name before, under its new name. Those of
 * an image that can't be read are the remembered ones. A volume in the trash keeps no base. May be
 * repeated.
 */
gboolean overlays_rename(CstService *service, CstPoolState *state, const char *name,
                         const CstVolume *volume, GError **error);
