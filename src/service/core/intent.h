/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/journal.h>

#include "claim.h"

/**
 * Records that @name of @pool is being changed.
 *
 * The intent contains the complete pool definition, because a transient pool no longer exists at
 * the time of the replay. @token: of the draft; NULL: no draft, and the backend itself finds
 * incomplete work. If the backend identifies drafts by their intents, the intent of a draft is
 * durable on return.
 *
 * End it with intent_commit() if the draft becomes a volume, else with cst_intent_end().
 */
CstIntent *intent_begin(CstPool *pool, CstPoolState *state, const char *operation, const char *name,
                        const char *token, GError **error);
/**
 * Ends the intent of a draft that has become a volume. The removal is durable if the backend
 * identifies drafts by their intents. On failure the caller keeps the intent and has to drop the
 * draft.
 */
gboolean intent_commit(CstPoolState *state, CstIntent *intent, GError **error);
/** Implements CstPoolHost.drafts. @service: the CstService. */
GHashTable *intent_drafts(gpointer service, GError **error);
/** Returns a table for the fields of an intent, from name to value. The caller unrefs it. */
GHashTable *intent_fields_new(void);
/** Sets a field. Does nothing if @value is NULL. */
void intent_put(GHashTable *fields, const char *name, const char *value);
/** Stores the identity of @volume, which was just scanned, in field @name. */
gboolean intent_put_identity(GHashTable *fields, const char *name, CstPoolState *state,
                             const CstVolume *volume, GError **error);
/**
 * Clears *@volume unless its identity equals field @name. *@volume: the volume that has the name
 * now; NULL is accepted. Without identities the volume is kept.
 */
gboolean intent_keep_if_same(GHashTable *fields, const char *name, CstPoolState *state,
                             CstVolume **volume, GError **error);
/**
 * Records durably a change that the backend alone could not recover. @fields contain the data for
 * the replay (recovery/replay.c); the pool's name and definition are added.
 */
CstIntent *intent_begin_durable(CstPool *pool, CstPoolState *state, const char *operation,
                                GHashTable *fields, GError **error);
/**
 * Records the next step of a change, as intent_begin_durable(), and then ends *intent (NULL: there
 * is no earlier step). *intent is unchanged after a failure.
 */
gboolean intent_replace_durable(CstIntent **intent, CstPool *pool, CstPoolState *state,
                                const char *operation, GHashTable *fields, GError **error);
/**
 * Records that the pool's technology changes a claimed volume in more than one step. After a crash
 * the backend drops or completes the change (drop_drafts).
 */
CstIntent *volume_intent(const VolumeClaim *claim, const char *operation, GError **error);
