/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs procedures. At level debug the log shows the begin of each call with the strings in its
 * arguments, and its end. Arguments that contain a secret are not shown. Of an XML document only
 * the size is shown, because the document may contain confidential data.
 */
#include <string.h>

#include <base/error.h>
#include <base/log.h>
#include <base/log_context.h>

#include "api_private.h"

#define TEXT_MAX 200 /* bytes shown of one string */
#define NO_TEXT  (-1)

/* --- arguments ------------------------------------------------------------------------------- */

/*
 * An XDR stream that encodes no bytes and lists the strings that it receives, so that no procedure
 * needs its own log function. XDR encodes a string as its length, its bytes and padding. An empty
 * string has no bytes and is not listed. A UUID is 16 bytes without a length.
 */
typedef struct {
    GString *texts;
    long length; /* the last number, if no bytes followed it yet; else NO_TEXT */
} Listing;

static bool_t see_number(XDR *xdr, const long *number)
{
    Listing *listing = xdr->x_private;

    listing->length = *number;
    return TRUE;
}

static void add_text(GString *texts, const char *text, u_int len)
{
    if (len > 0 && *text == '<')
        g_string_append_printf(texts, " XML of %u bytes", len);
    else
        g_string_append_printf(texts, " '%.*s'%s", (int)MIN(len, TEXT_MAX), text,
                               len > TEXT_MAX ? "..." : "");
}

static bool_t see_bytes(XDR *xdr, const char *bytes, u_int len)
{
    Listing *listing = xdr->x_private;
    char text[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    if (listing->length == (long)len) {
        add_text(listing->texts, bytes, len);
    } else if (len == sizeof(uuid.bytes)) {
        memcpy(uuid.bytes, bytes, len);
        g_string_append_printf(listing->texts, " %s", cst_uuid_format(&uuid, text));
    }
    listing->length = NO_TEXT;
    return TRUE;
}

/* Returns NULL, so that the XDR functions call x_putlong for each number. */
static int32_t *no_buffer(XDR *xdr, u_int len)
{
    return NULL;
}

/*
 * Returns the strings and UUIDs in @args (" 'images' 6b5b…"), or an empty string. The caller frees
 * the result.
 */
static char *list_texts(const CstProcedure *procedure, const void *args)
{
    static const struct xdr_ops ops = {
        .x_putlong = see_number, .x_putbytes = see_bytes, .x_inline = no_buffer};
    Listing listing = {.texts = g_string_new(NULL), .length = NO_TEXT};
    XDR xdr = {.x_op = XDR_ENCODE, .x_ops = &ops, .x_private = &listing};

    if (procedure->wipe_args)
        g_string_append(listing.texts, " (not shown)");
    else
        procedure->args_func(&xdr, (void *)args);
    return g_string_free(listing.texts, FALSE);
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
    g_autoptr(GError) local = NULL;
    gboolean ok;
    gint64 began;

    /* Pool lookups take microseconds, so skip the log's work unless the level is debug. */
    if (!cst_log_enabled(CST_LOG_DEBUG))
        return call->procedure->handler(call, args, ret, error);
    began = g_get_monotonic_time();
    api_log_call_begin(call, args);
    ok = call->procedure->handler(call, args, ret, &local);
    api_log_call_end(call, began, local);
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
