/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs procedures. At level debug the log shows the begin of each call with the strings in its
 * arguments, and its end. Arguments that contain a secret are not shown. Of an XML document only
 * the size is shown, because the document may contain confidential data.
 *
 * Every call that changes something gives a record of the audit trail here, so that no procedure
 * can be without one (audit.c).
 */
#include <string.h>

#include <base/error.h>
#include <base/log.h>
#include <base/log_context.h>

#include "api_private.h"
#include "audit.h"

#define TEXT_MAX 200 /* bytes shown of one string */

/* --- arguments ------------------------------------------------------------------------------- */

static void add_text(GString *texts, const char *text, u_int len)
{
    if (len > 0 && *text == '<')
        g_string_append_printf(texts, " XML of %u bytes", len);
    else
        g_string_append_printf(texts, " '%.*s'%s", (int)MIN(len, TEXT_MAX), text,
                               len > TEXT_MAX ? "..." : "");
}

/*
 * Lists the strings that a generated function encodes, so that no procedure needs its own log
 * function. An empty string is not listed. A UUID is 16 bytes without their number.
 */
static void see_bytes(const void *bytes, u_int len, gboolean counted, gpointer data)
{
    char text[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    if (counted) {
        add_text(data, bytes, len);
    } else if (len == sizeof(uuid.bytes)) {
        memcpy(uuid.bytes, bytes, len);
        g_string_append_printf(data, " %s", cst_uuid_format(&uuid, text));
    }
}

/*
 * Returns the strings and UUIDs in @args (" 'images' 6b5b…"), or an empty string. The caller frees
 * the result.
 */
static char *list_texts(const CstProcedure *procedure, const void *args)
{
    GString *texts = g_string_new(NULL);
    XDR xdr = {.x_op = XDR_ENCODE, .see = see_bytes, .data = texts};

    if (procedure->wipe_args)
        g_string_append(texts, " (not shown)");
    else
        procedure->args_func(&xdr, (void *)args);
    return g_string_free(texts, FALSE);
}

/* --- the log --------------------------------------------------------------------------------- */

static void api_log_call_begin(const CstApiCall *call, const void *args)
{
    const CstLogContext *context = cst_log_context();
    g_autofree char *texts = list_texts(call->procedure, args);
    g_autofree char *client = NULL;

    if (context && context->connection)
        client = g_strdup_printf(" for process %d of user %u", (int)context->pid,
                                 (unsigned)context->uid);
    cst_log(CST_LOG_DEBUG, "%s begins%s%s%s", call->procedure->name, client ? client : "",
            *texts ? ":" : "", texts);
}

/* @error: NULL if the call has succeeded. */
static void api_log_call_end(const CstApiCall *call, gint64 began, const GError *error)
{
    double ms = (double)(g_get_monotonic_time() - began) / 1000;
    g_autofree char *text = error ? cst_error_text(error) : NULL;

    if (error)
        cst_log(CST_LOG_DEBUG, "%s failed after %.1f ms: %s", call->procedure->name, ms, text);
    else
        cst_log(CST_LOG_DEBUG, "%s ended after %.1f ms", call->procedure->name, ms);
}

/* --- running --------------------------------------------------------------------------------- */

gboolean cst_api_run(CstApiCall *call, const void *args, void *ret, GError **error)
{
    gboolean logged = cst_log_enabled(CST_LOG_DEBUG);
    ApiAudit *audit = api_audit_begin(call, args);
    g_autoptr(GError) local = NULL;
    gboolean ok;
    gint64 began;

    /* Pool lookups take microseconds, so skip the log's work unless the level is debug. */
    if (!logged && !audit)
        return call->procedure->handler(call, args, ret, error);
    began = g_get_monotonic_time();
    if (logged)
        api_log_call_begin(call, args);
    ok = call->procedure->handler(call, args, ret, &local);
    if (logged)
        api_log_call_end(call, began, local);
    api_audit_end(audit, call, ret, local);
    if (local)
        g_propagate_error(error, g_steal_pointer(&local));
    return ok;
}

gboolean cst_api_run_from_memory(CstApiCall *call, const void *args, void *ret)
{
    gint64 began;

    if (!call->procedure->from_memory || !call->procedure->from_memory(call, args, ret))
        return FALSE;
    if (cst_log_enabled(CST_LOG_DEBUG)) {
        began = g_get_monotonic_time();
        api_log_call_begin(call, args);
        api_log_call_end(call, began, NULL);
    }
    return TRUE;
}
