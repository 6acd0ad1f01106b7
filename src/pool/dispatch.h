/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * One checked and traced call through a CstBackend; for the files of the dispatcher (pool.c,
 * relations.c, snapshot.c), which are the only ones that call a backend.
 *
 * What a backend owes: a call that fails has set its error, one that succeeds has set none and has
 * given what its slot promises. A backend that breaks this makes an INTERNAL error that names it
 * and the slot, never an abort, for the pools of other types are none the worse for it.
 *
 * With debug on (cst_log_enabled()) each call is logged when it ends: backend and slot, pool,
 * volume, how long it took, and how it ended. vol_path and vol_resolve, which compute a name, are
 * not.
 */
typedef struct {
    CstPoolType type;
    const char *slot;   /**< the member of CstBackend, "vol_delete"; "snapshots.create" */
    const char *pool;   /**< NULL: a call without a pool (discover) */
    const char *volume; /**< NULL: a call for the pool as a whole */
    gint64 began;       /**< monotonic microseconds; 0: the call is not logged */
    GError *why;        /**< for the backend to set */
} PoolCall;

/** Begins a call on @state; the texts must live until it ends. Hand &call.why to the backend. */
PoolCall pool_call_begin(const CstPoolState *state, const char *slot, const char *volume);
/** The same where there is no state yet. */
PoolCall pool_call_begin_type(CstPoolType type, const char *slot, const char *pool);

/**
 * Ends a call that returned @done: logs it, and hands on its error. Returns FALSE also when the
 * backend broke its contract; the caller then drops what the call has given.
 */
gboolean pool_call_end(PoolCall *call, gboolean done, GError **error);

/** Ends a call that did what was not promised: INTERNAL, saying @what ("returned no path"). */
gboolean pool_call_broken(PoolCall *call, const char *what, GError **error);

/** Only logs the end of a call that can't fail. */
void pool_call_trace(const PoolCall *call, gboolean done);

/** Calls backend->SLOT(state, …, error) for @volume (NULL: none), checked and traced. */
#define POOL_CALL(state, slot, volume, error, ...)                                 \
    ({                                                                             \
        PoolCall call_ = pool_call_begin(state, #slot, volume);                    \
        gboolean done_ = (state)->backend->slot(state, ##__VA_ARGS__, &call_.why); \
                                                                                   \
        pool_call_end(&call_, done_, error);                                       \
    })

/** NO_SUPPORT: @what, with the pool's type. */
gboolean pool_unsupported(const CstPoolState *state, const char *what, GError **error);
