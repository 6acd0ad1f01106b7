/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Adds the volume @def, whose name is claimed, to the pool's table of drafts. @blob: its content,
 * of which a reference is kept; NULL: none.
 */
void volume_draft_show(CstPool *pool, const CstVolDef *def, CstBlob *blob);
/**
 * Removes the draft from the table, as the volume exists or never will. Does nothing when there is
 * no draft of that name.
 */
void volume_draft_hide(CstPool *pool, const char *name);
/** Whether any volume is being created; a listing then looks up the draft of each row. */
gboolean volume_drafts_any(CstPool *pool);
/** A new record with what is allocated by now; NULL: no volume of that name is being created. */
CstVolume *volume_draft_now(CstPool *pool, const char *name);
