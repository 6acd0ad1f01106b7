/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a call through a vtable: enforces the contract that all vtables share and writes the
 * line in the debug log (see the header). The callers are the dispatchers of backends, blobs and
 * formats, which fill in a CstCall before the call. Acquires no lock of its own.
 */
#include <base/call.h>

#include <base/error.h>

gboolean cst_call_enter(CstCall *call, CstLiveness *liveness)
{
    if (!cst_liveness_enter(liveness, &call->inside, &call->why))
        return FALSE;
    call->liveness = liveness;
    return TRUE;
}

static void call_leave(CstCall *call)
{
    cst_liveness_leave(call->liveness, &call->inside);
    call->liveness = NULL;
}

/* Writes the line in the debug log. */
static void call_trace(const CstCall *call, gboolean done)
{
    g_autoptr(GString) text = NULL;

    /* Debugging was off when the call began. */
    if (call->began == 0)
        return;
    text = g_string_new(NULL);
    g_string_append_printf(text, "%s.%s", call->kind, call->slot);
    if (call->object)
        g_string_append_printf(text, " '%s'", call->object);
    if (call->part)
        g_string_append_printf(text, " '%s'", call->part);
    if (call->has_range)
        g_string_append_printf(text, " %" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT, call->offset,
                               call->length);
    cst_log(CST_LOG_DEBUG, "%s: %" G_GINT64_FORMAT " us, %s", text->str,
            g_get_monotonic_time() - call->began,
            done        ? "done"
            : call->why ? call->why->message
                        : "failed");
}

void cst_call_trace(CstCall *call, gboolean done)
{
    call_leave(call);
    call_trace(call, done);
}

gboolean cst_call_broken(CstCall *call, const char *what, GError **error)
{
    cst_call_trace(call, FALSE);
    /* The callee's own error, if it set one, is part of the message: it may be the reason. */
    cst_fail(error, CST_ERROR_INTERNAL, "%s%s%sthe %s %s's %s %s%s%s", call->object ? "'" : "",
             call->object ? call->object : "", call->object ? "': " : "", call->kind, call->noun,
             call->slot, what, call->why ? ": " : "", call->why ? call->why->message : "");
    g_clear_error(&call->why);
    return FALSE;
}

gboolean cst_call_end(CstCall *call, gboolean done, GError **error)
{
    if (done && call->why)
        return cst_call_broken(call, "succeeded and set an error", error);
    if (!done && !call->why)
        return cst_call_broken(call, "failed without an error", error);
    cst_call_trace(call, done);
    if (!done)
        g_propagate_error(error, g_steal_pointer(&call->why));
    return done;
}
