/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Adds the volume @def to the pool's table of drafts. Its name must be claimed. @blob: its content
 * (the table acquires a reference); NULL: no content.
 */
void volume_draft_show(CstPool *pool, const CstVolDef *def, CstBlob *blob);
/**
 * Removes the draft from the table, after the volume was created or the creation failed. Does
 * nothing if the name has no draft.
 */
void volume_draft_hide(CstPool *pool, const char *name);
/** Returns whether any volume is being created. If so, a list looks up the draft of each row. */
gboolean volume_drafts_any(CstPool *pool);
/**
 * Returns a new record with the current allocation. Returns NULL if no volume of that name is being
 * created.
 */
CstVolume *volume_draft_now(CstPool *pool, const char *name);
