/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/journal.h>

#include "claim.h"

/**
 * Records that @name of @pool is being changed. The intent holds the whole definition of the pool,
 * because a transient pool no longer exists when the intent is replayed. @token: of the draft;
 * NULL: there is no draft, and the backend finds what is left halfway. Where drafts are told from
 * volumes by their intents, that of a draft is durable on return. End it with intent_commit() where
 * the draft becomes a volume, and else with cst_intent_end().
 */
CstIntent *intent_begin(CstPool *pool, CstPoolState *state, const char *operation, const char *name,
                        const char *token, GError **error);
/**
 * Ends the intent of a draft that has become a volume; durably where that is what makes it one.
 * FALSE: the intent stays the caller's, and the draft has to be dropped.
 */
gboolean intent_commit(CstPoolState *state, CstIntent *intent, GError **error);
/** CstPoolHost.drafts; @service: the CstService. */
GHashTable *intent_drafts(gpointer service, GError **error);
/** Returns a table for the fields of an intent, name to value. The caller unrefs it. */
GHashTable *intent_fields_new(void);
/** @value NULL: there is no such field. */
void intent_put(GHashTable *fields, const char *name, const char *value);
/** Puts what tells the storage of @volume, just scanned, from any other into field @name. */
gboolean intent_put_identity(GHashTable *fields, const char *name, CstPoolState *state,
                             const CstVolume *volume, GError **error);
/**
 * Drops *@volume (NULL: there is none), what has the name now, unless it is the very one that field
 * @name tells of. Where nothing tells storage from other storage it is.
 */
gboolean intent_keep_if_same(GHashTable *fields, const char *name, CstPoolState *state,
                             CstVolume **volume, GError **error);
/**
 * Records, durably, what is being done in more steps than the backend could find again; @fields,
 * which get the pool and its definition, tell the replay how to go on (recovery/replay.c).
 */
CstIntent *intent_begin_durable(CstPool *pool, CstPoolState *state, const char *operation,
                                GHashTable *fields, GError **error);
/**
 * Records that a claimed volume is being changed by its pool's technology in more than one step:
 * after a crash the backend is asked to drop or finish what is left (drop_drafts).
 */
CstIntent *volume_intent(const VolumeClaim *claim, const char *operation, GError **error);
