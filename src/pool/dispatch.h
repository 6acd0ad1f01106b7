/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/call.h>
#include <pool/backend.h>

/*
 * Begins calls through a CstBackend. For the files of the dispatcher (pool.c, relations.c,
 * snapshot.c, login.c); no other file calls a backend. vol_path and vol_resolve only compute a name
 * and are not logged.
 */

/** Returns the liveness of @state's storage, borrowed; NULL: calls never hang. Any thread. */
static inline CstLiveness *pool_liveness(const CstPoolState *state)
{
    return g_atomic_pointer_get(&((CstPoolState *)state)->liveness);
}

/**
 * Begins a call on @state, for @volume (NULL: for the pool as a whole). The strings must live until
 * cst_call_end(). Pass &call.why to the backend.
 */
CstCall pool_call_begin(const CstPoolState *state, const char *slot, const char *volume);
/** Begins a call without a state. @pool (its name) may be NULL. */
CstCall pool_call_begin_type(CstPoolType type, const char *slot, const char *pool);

/**
 * Calls backend->SLOT(state, …, error) for @volume (may be NULL), checked and traced. Refused while
 * the storage does not answer.
 */
#define POOL_CALL(state, slot, volume, error, ...)                                 \
    ({                                                                             \
        CstCall call_ = pool_call_begin(state, #slot, volume);                     \
        gboolean done_ = cst_call_enter(&call_, pool_liveness(state)) &&           \
                         (state)->backend->slot(state, ##__VA_ARGS__, &call_.why); \
                                                                                   \
        cst_call_end(&call_, done_, error);                                        \
    })

/** Like POOL_CALL, for slots that never wait for the storage. */
#define POOL_CALL_OUTSIDE(state, slot, error, ...)                                 \
    ({                                                                             \
        CstCall call_ = pool_call_begin(state, #slot, NULL);                       \
        gboolean done_ = (state)->backend->slot(state, ##__VA_ARGS__, &call_.why); \
                                                                                   \
        cst_call_end(&call_, done_, error);                                        \
    })

/**
 * Makes calls on @blob (may be NULL), of a volume in @state, fail while the storage does not
 * answer.
 */
void pool_blob_watched(const CstPoolState *state, CstBlob *blob);

/** Fails with NO_SUPPORT. The message has @what, translated, and the pool's type. Returns FALSE. */
gboolean pool_unsupported(const CstPoolState *state, const char *what, GError **error);
