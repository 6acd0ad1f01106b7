/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/overlays.h>

#include "pool.h"

/**
 * Stores the references of a directory's images to their base files (store/overlays.h), so that the
 * references still count after the pool was stopped. Failures are logged and do not fail a scan.
 */

/**
 * Returns the records of the pool's directory. Call it before a whole scan begins. Returns NULL if
 * the pool has no images, or if the records cannot be read.
 */
GPtrArray *overlays_before_scan(CstPool *pool, CstPoolState *state);
/**
 * Updates the records from the pool's table after a successful whole scan. @before: the result of
 * overlays_before_scan(). Records that were added since then stay.
 */
void overlays_after_scan(CstPool *pool, CstPoolState *state, const GPtrArray *before);
/**
 * Updates the records of one volume. @known, @volume: its record in the table before and after;
 * NULL: no volume. Accesses the database only if a reference has changed.
 */
void overlays_note(CstPool *pool, CstPoolState *state, const CstVolume *known,
                   const CstVolume *volume);
/**
 * Records the references of @volume under its new name. @name: its former name. For an image that
 * cannot be read, copies the existing records. Records no references for a volume in the trash.
 * Idempotent.
 */
gboolean overlays_rename(CstService *service, CstPoolState *state, const char *name,
                         const CstVolume *volume, GError **error);
