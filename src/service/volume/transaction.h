/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/journal.h>

#include "core/claim.h"

/** A new volume between its reservation and its end; see CstVolDraft. */
typedef struct {
    VolumeClaim claim;
    CstVolDraft draft;
    CstIntent *intent;
    /* What is declared of it; set by who knows more than its definition says. NULL: that. */
    CstDeclaration *declaration;
    gboolean shared; /* the draft has the source's content already (making_begin_clone) */
} Making;

/** Claims the name, records the intent and reserves the draft. */
gboolean making_begin(Making *making, CstPool *pool, const CstVolDef *def, const char *operation,
                      GError **error);
/**
 * The same for a copy, as it is stored, of @source in @source_pool (or of its snapshot @snapshot;
 * NULL: of what it is now): where the pool's technology can share content, the draft has it.
 */
gboolean making_begin_clone(Making *making, CstPool *pool, const CstVolDef *def,
                            CstPool *source_pool, const char *source, const char *snapshot,
                            GError **error);
/** Commits; the volume is in the table afterwards. */
gboolean making_commit(Making *making, const CstVolDef *def, GError **error);
/** Drops what was not committed, and lets go. */
void making_end(Making *making);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Making, making_end)
