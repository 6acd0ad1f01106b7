/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/journal.h>

#include "claim.h"

/**
 * Records that @name of @pool is being changed. The intent holds the whole definition of the pool,
 * because a transient pool is gone when it is replayed. @token: of the draft; NULL: there is none,
 * and what is left halfway is for the backend to find.
 */
CstIntent *intent_begin(CstPool *pool, CstPoolState *state, const char *operation, const char *name,
                        const char *token, GError **error);
/**
 * Records that a claimed volume is being changed by its pool's technology in more than one step:
 * after a crash the backend is asked to drop or finish what is left (drop_drafts).
 */
CstIntent *volume_intent(const VolumeClaim *claim, const char *operation, GError **error);
