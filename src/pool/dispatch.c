/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One call through a CstBackend: what dispatch.h promises of it. */
#include "dispatch.h"

#include <base/error.h>
#include <base/log.h>

PoolCall pool_call_begin_type(CstPoolType type, const char *slot, const char *pool)
{
    return (PoolCall){.type = type,
                      .slot = slot,
                      .pool = pool,
                      .began = cst_log_enabled(CST_LOG_DEBUG) ? g_get_monotonic_time() : 0};
}

PoolCall pool_call_begin(const CstPoolState *state, const char *slot, const char *volume)
{
    PoolCall call = pool_call_begin_type(state->backend->type, slot, state->def->name);

    call.volume = volume;
    return call;
}

void pool_call_trace(const PoolCall *call, gboolean done)
{
    if (call->began == 0)
        return;
    cst_log(CST_LOG_DEBUG, "%s.%s pool '%s'%s%s%s: %" G_GINT64_FORMAT " us, %s",
            cst_pool_type_name(call->type), call->slot, call->pool ? call->pool : "",
            call->volume ? " volume '" : "", call->volume ? call->volume : "",
            call->volume ? "'" : "", g_get_monotonic_time() - call->began,
            done        ? "done"
            : call->why ? call->why->message
                        : "failed");
}

gboolean pool_call_broken(PoolCall *call, const char *what, GError **error)
{
    pool_call_trace(call, FALSE);
    cst_fail(error, CST_ERROR_INTERNAL, "the %s backend's %s %s%s%s",
             cst_pool_type_name(call->type), call->slot, what, call->why ? ": " : "",
             call->why ? call->why->message : "");
    g_clear_error(&call->why);
    return FALSE;
}

gboolean pool_call_end(PoolCall *call, gboolean done, GError **error)
{
    if (done && call->why)
        return pool_call_broken(call, "succeeded and set an error", error);
    if (!done && !call->why)
        return pool_call_broken(call, "failed without an error", error);
    pool_call_trace(call, done);
    if (!done)
        g_propagate_error(error, g_steal_pointer(&call->why));
    return done;
}

gboolean pool_unsupported(const CstPoolState *state, const char *what, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s (pool type '%s')", what,
                    cst_pool_type_name(state->backend->type));
}
