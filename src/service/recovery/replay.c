/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replays incomplete changes of dead processes from the journal of intents (store/journal.h). An
 * intent contains the complete definition of its pool at that time. For a new volume it also
 * contains the draft, which is dropped. The backend drops or completes a change without a draft,
 * because it finds the traces itself (drop_drafts). Both are idempotent, so a crash during the
 * replay is harmless.
 *
 * Local storage is recovered while the service loads, before any other use of it. Block jobs of
 * running domains are not, because libvirt is asked about them. Remote storage
 * may be unresponsive for long, so its intents are kept until it answers: the start of the pool, or
 * a successful scan, replays them. Local storage that does not answer while the service loads
 * (cst_pool_state_await()) is treated like remote storage (CstPool.recovers_late).
 */
#include "replay.h"

#include <string.h>

#include <base/error.h>
#include <base/log.h>

#include "core/pool.h"
#include "core/service.h"
#include "pool/lifecycle.h"
#include "snapshot/set.h"
#include "volume/rename/move.h"
#include "volume/rename/move_rename.h"
#include "volume/rename/rename.h"
#include "volume/running/commit.h"
#include "volume/running/move.h"

/* Minimal time for storage to answer. It is probed in another thread. */
#define LEAST_WAIT_US (200 * G_TIME_SPAN_MILLISECOND)

/*
 * Opens the pool as it was when the intent was recorded. *ret_state is NULL if the record contains
 * no definition, so no recovery is possible or needed. Fails if the present storage is not the
 * recorded one of the pool (CstBackend.expect), because no draft may be dropped from other storage.
 */
static gboolean open_recorded(CstService *service, const CstIntentRecord *record,
                              CstPoolState **ret_state, GError **error)
{
    const char *xml = g_hash_table_lookup(record->fields, "definition");
    g_autoptr(CstPoolDef) def = NULL;

    *ret_state = NULL;
    if (!xml)
        return TRUE;
    def = cst_pool_def_parse(xml, 0, error);
    *ret_state = def ? cst_pool_state_open(def, &service->pool_host, error) : NULL;
    if (*ret_state && pool_expect_recorded(service, &def->uuid, *ret_state, FALSE, error))
        return TRUE;
    g_clear_pointer(ret_state, cst_pool_state_unref);
    return FALSE;
}

/* Drops the draft, or has the backend drop or complete the change of a volume. */
static gboolean drop_recorded(CstPoolState *state, const CstIntentRecord *record, GError **error)
{
    const char *draft = g_hash_table_lookup(record->fields, "draft");
    g_autoptr(GError) why = NULL;

    /* If the directory was removed, the draft was removed with it. */
    if ((draft ? cst_pool_state_abandon(state, draft, &why) : cst_pool_state_settle(state, &why)) ||
        (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) && !cst_pool_state_is_remote(state)))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Implements VolumeOpenPool. */
static CstPoolState *replay_open_pool(CstService *service, const char *name, GError **error)
{
    g_autoptr(CstPool) pool = cst_service_pool_by_name(service, name, error);
    g_autoptr(CstPoolState) state = pool ? pool_state_open(pool, error) : NULL;

    return state && cst_pool_state_await(state, g_get_monotonic_time() + LEAST_WAIT_US, error) &&
                   pool_expect_recorded(service, &pool->uuid, state, FALSE, error)
               ? g_steal_pointer(&state)
               : NULL;
}

/* Intents with their own operation are replayed by the module that wrote them. */
static gboolean recover_recorded(CstService *service, CstPoolState *state,
                                 const CstIntentRecord *record, GError **error)
{
    if (strcmp(record->operation, VOLUME_RENAME) == 0)
        return volume_rename_replay(service, state, replay_open_pool, record, error);
    if (strcmp(record->operation, VOLUME_MOVE) == 0)
        return volume_move_replay(service, state, replay_open_pool, record, error);
    if (strcmp(record->operation, VOLUME_MOVE_RENAME) == 0)
        return volume_move_rename_replay(service, state, replay_open_pool, record, error);
    if (strcmp(record->operation, RUNNING_COMMIT) == 0)
        return running_commit_replay(service, record, error);
    if (strcmp(record->operation, RUNNING_MOVE) == 0)
        return running_move_replay(service, record, error);
    if (strcmp(record->operation, SNAPSHOT_SET) == 0)
        return snapshot_set_replay(state, record, error);
    return drop_recorded(state, record, error);
}

/* State of the replay of all intents while the service loads. */
typedef struct {
    CstService *service;
    GHashTable *silent; /* names of pools that have not answered */
} LoadReplay;

/* Each pool is waited for once. A healthy pool gets some time even after the load's deadline. */
static gboolean replay_await_storage(const LoadReplay *replay, CstPoolState *state,
                                     const CstIntentRecord *record)
{
    const char *name = g_hash_table_lookup(record->fields, "pool");
    gint64 until = MAX(replay->service->load_until, g_get_monotonic_time() + LEAST_WAIT_US);

    if (name && g_hash_table_contains(replay->silent, name))
        return FALSE;
    if (cst_pool_state_await(state, until, NULL))
        return TRUE;
    if (name)
        g_hash_table_add(replay->silent, g_strdup(name));
    return FALSE;
}

/* Keeps the intents of a pool until its storage answers. */
static void replay_postpone(CstService *service, const CstIntentRecord *record)
{
    const char *name = g_hash_table_lookup(record->fields, "pool");
    g_autoptr(CstPool) pool = name ? cst_service_pool_by_name(service, name, NULL) : NULL;

    if (!pool)
        return;
    g_mutex_lock(&pool->lock);
    pool->recovers_late = TRUE;
    g_mutex_unlock(&pool->lock);
}

/*
 * Implements CstReplayFunc. Removes a record without a state, and keeps a record of remote storage.
 */
static gboolean replay_local(const CstIntentRecord *record, gpointer data, GError **error)
{
    const LoadReplay *replay = data;
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(GError) why = NULL;

    if (!open_recorded(replay->service, record, &state, error))
        return FALSE;
    /* libvirt is asked when the pools are active, because it names volumes by path. */
    if (state && (strcmp(record->operation, RUNNING_COMMIT) == 0 ||
                  strcmp(record->operation, RUNNING_MOVE) == 0)) {
        replay_postpone(replay->service, record);
        return FALSE;
    }
    /* Remote storage may be unresponsive for long. replay_pool() replays its records later. */
    if (!state || cst_pool_state_is_remote(state))
        return !state;
    if (replay_await_storage(replay, state, record) &&
        recover_recorded(replay->service, state, record, &why))
        return TRUE;
    /* Another pool of the record may be the one that does not answer (replay_open_pool()). */
    if (!why || g_error_matches(why, CST_ERROR, CST_ERROR_UNREACHABLE))
        replay_postpone(replay->service, record);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

void replay_journal(CstService *service)
{
    g_autoptr(GHashTable) silent = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    LoadReplay replay = {.service = service, .silent = silent};

    cst_journal_replay(service->journal, replay_local, &replay);
}

typedef struct {
    CstPool *pool;
    gboolean kept;
} PoolReplay;

/* Implements CstReplayFunc for a remote pool that answers. */
static gboolean replay_remote(const CstIntentRecord *record, gpointer data, GError **error)
{
    PoolReplay *replay = data;
    g_autoptr(CstPoolState) then = NULL;

    if (!open_recorded(replay->pool->service, record, &then, error))
        return FALSE;
    /* Recover the storage that the pool had at that time, because it may have been redefined. */
    if (!then || recover_recorded(replay->pool->service, then, record, error))
        return TRUE;
    /* An undecided record waits for a user (running/commit.c). */
    replay->kept = replay->kept || !error || !g_error_matches(*error, CST_ERROR, CST_ERROR_STATE);
    return FALSE;
}

void replay_pool(CstPool *pool, CstPoolState *state)
{
    PoolReplay replay = {.pool = pool};
    g_autoptr(GError) error = NULL;

    cst_journal_replay_kept(pool->service->journal, pool->name, replay_remote, &replay);
    /*
     * Also find traces without an intent: the journal is not synced, so a power failure may lose
     * intents.
     */
    if (!cst_pool_state_settle(state, &error)) {
        cst_log(g_error_matches(error, CST_ERROR, CST_ERROR_BUSY) ? CST_LOG_INFO : CST_LOG_WARNING,
                "pool '%s': %s", pool->name, error->message);
        replay.kept = TRUE;
    }
    if (replay.kept)
        pool_recover_later(pool, state);
}
