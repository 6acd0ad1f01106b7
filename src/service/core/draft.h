/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/** Shows the volume @def that is being created, and claimed; @blob: its content, NULL: none. */
void volume_draft_show(CstPool *pool, const CstVolDef *def, CstBlob *blob);
/** It is a volume now, or there is none. Without effect when nothing of that name is shown. */
void volume_draft_hide(CstPool *pool, const char *name);
/** Whether any volume is being created: cheaper than asking of each. */
gboolean volume_drafts_any(CstPool *pool);
/** A new record with what is allocated by now; NULL: no volume of that name is being created. */
CstVolume *volume_draft_now(CstPool *pool, const char *name);
