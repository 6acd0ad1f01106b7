/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Intents. A change of storage in more than one step is recorded in the journal (store/journal.h)
 * before its first step, and removed after its last one. recovery/replay.c completes or rolls back
 * the intents of dead processes.
 */
#include "intent.h"

#include "claim.h"
#include "definitions.h"
#include "pool.h"
#include "service.h"

CstIntent *intent_begin(CstPool *pool, CstPoolState *state, const char *operation, const char *name,
                        const char *token, GError **error)
{
    g_autofree char *xml = cst_pool_def_format(state->def, error);
    CstIntent *intent;

    /*
     * The journal requires the driver lock, so that no process replays an intent that is still
     * being written.
     */
    if (!xml || !definitions_enter(pool->service, error))
        return NULL;
    intent =
        cst_journal_begin(pool->service->journal, error, operation, "pool", pool->name, "volume",
                          name, "definition", xml, token ? "draft" : NULL, token, NULL);
    definitions_leave(pool->service);
    if (!intent || !token || !cst_pool_state_drafts_by_intent(state) ||
        cst_intent_sync(intent, error))
        return intent;
    cst_intent_end(intent);
    return NULL;
}

gboolean intent_commit(CstPoolState *state, CstIntent *intent, GError **error)
{
    if (cst_pool_state_drafts_by_intent(state))
        return cst_intent_end_synced(intent, error);
    cst_intent_end(intent);
    return TRUE;
}

GHashTable *intent_drafts(gpointer service, GError **error)
{
    return cst_journal_drafts(((CstService *)service)->journal, error);
}

GHashTable *intent_fields_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void intent_put(GHashTable *fields, const char *name, const char *value)
{
    if (value)
        g_hash_table_insert(fields, g_strdup(name), g_strdup(value));
}

gboolean intent_put_identity(GHashTable *fields, const char *name, CstPoolState *state,
                             const CstVolume *volume, GError **error)
{
    g_autofree char *identity = cst_pool_state_vol_identity(state, volume, error);

    intent_put(fields, name, identity);
    return identity != NULL;
}

gboolean intent_keep_if_same(GHashTable *fields, const char *name, CstPoolState *state,
                             CstVolume **volume, GError **error)
{
    g_autofree char *identity = NULL;

    if (!*volume)
        return TRUE;
    identity = cst_pool_state_vol_identity(state, *volume, error);
    if (g_strcmp0(g_hash_table_lookup(fields, name), identity) != 0)
        g_clear_pointer(volume, cst_volume_unref);
    return identity != NULL;
}

CstIntent *intent_begin_durable(CstPool *pool, CstPoolState *state, const char *operation,
                                GHashTable *fields, GError **error)
{
    g_autofree char *xml = cst_pool_def_format(state->def, error);
    CstIntent *intent;

    if (!xml)
        return NULL;
    intent_put(fields, "pool", pool->name);
    intent_put(fields, "definition", xml);
    if (!definitions_enter(pool->service, error))
        return NULL;
    intent = cst_journal_begin_durable(pool->service->journal, operation, fields, error);
    definitions_leave(pool->service);
    return intent;
}

gboolean intent_replace_durable(CstIntent **intent, CstPool *pool, CstPoolState *state,
                                const char *operation, GHashTable *fields, GError **error)
{
    CstIntent *next = intent_begin_durable(pool, state, operation, fields, error);

    if (!next)
        return FALSE;
    cst_intent_end(*intent);
    *intent = next;
    return TRUE;
}

CstIntent *volume_intent(const VolumeClaim *claim, const char *operation, GError **error)
{
    return intent_begin(claim->pool, claim->state, operation, claim->name, NULL, error);
}
