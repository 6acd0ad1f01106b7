/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waits for events, for pool-event and secret-event. The command supplies the kinds of events and
 * the sentence that reports an event. This file has the options, the loop and its ends (an event, a
 * timeout, an interrupt). All code runs in this thread: events are delivered while it waits on the
 * connection. A signal wakes the wait through the descriptor of core/interrupt.h.
 */
#include "event.h"

#include <base/error.h>
#include <base/i18n.h>

#include "core/interrupt.h"
#include "output/json.h"
#include "output/sheet.h"
#include "output/text.h"

/** The options of the command line. */
typedef struct {
    const CliEventType *type;
    int timeout_ms; /**< -1: no timeout */
    gboolean loop;
    gboolean timestamp;
} Request;

typedef struct {
    CliCtl *ctl;
    const Request *request;
    CliEventPrinter print;
    guint count;
} Waiter;

typedef enum { WAIT_GOT_ONE, WAIT_TIMED_OUT, WAIT_INTERRUPTED, WAIT_FAILED } WaitEnd;

const char *cli_event_kind(const CliEventType *type, int kind)
{
    for (int i = 0; type->kinds && type->kinds[i]; i++)
        if (i == kind)
            return type->kinds[i];
    return N_("unknown");
}

void cli_complete_event_types(const CliEventType *types, GPtrArray *words)
{
    for (; types->name; types++)
        g_ptr_array_add(words, g_strdup(types->name));
}

static void list_types(CliCtl *ctl, const CliEventType *types)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    CliSheet sheet;

    for (; types->name; types++) {
        g_ptr_array_add(names, (gpointer)types->name);
        cli_print(ctl, "%s\n", types->name);
    }
    cli_sheet_begin(&sheet, ctl);
    cli_sheet_add_words(&sheet, "events", names);
    cli_sheet_end(&sheet);
}

static const CliEventType *find_event_type(const CliEventType *types, const char *name)
{
    for (; types->name; types++)
        if (g_str_equal(types->name, name))
            return types;
    return NULL;
}

static gboolean read_event_request(const CliArgs *args, const CliEventType *types,
                                   Request *ret_request, GError **error)
{
    Request request = {
        .timeout_ms = -1,
        .loop = cli_args_has(args, "loop"),
        .timestamp = cli_args_has(args, "timestamp"),
    };
    const char *name;

    if (!cli_args_string(args, "event", &name, error))
        return FALSE;
    if (!name)
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("either --list or --event <type> is required"));
    request.type = find_event_type(types, name);
    if (!request.type)
        return cst_fail(error, CST_ERROR_USAGE, _("unknown event type %s"), name);
    if (!cli_args_timeout(args, &request.timeout_ms, error))
        return FALSE;
    *ret_request = request;
    return TRUE;
}

static char *time_stamp(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *text = g_date_time_format(now, "%Y-%m-%d %H:%M:%S");

    return g_strdup_printf("%s.%03d+0000: ", text, g_date_time_get_microsecond(now) / 1000);
}

static void print_json_event(const Waiter *waiter, const CstConnEvent *event)
{
    g_autofree char *when = cli_json_time(g_get_real_time() / G_USEC_PER_SEC);
    char uuid[CST_UUID_TEXT_LEN];
    const CliEventType *type = waiter->request->type;
    const CliFact facts[] = {
        cli_fact_text("event", NULL, type->name),
        cli_fact_text("kind", NULL, type->kinds ? cli_event_kind(type, event->kind) : NULL),
        cli_fact_text("pool", NULL, event->pool),
        cli_fact_text("uuid", NULL, cst_uuid_format(&event->uuid, uuid)),
        cli_fact_text("time", NULL, when),
    };

    cli_sheet_print(waiter->ctl, facts, G_N_ELEMENTS(facts));
}

static void on_event(const CstConnEvent *event, gpointer data)
{
    Waiter *waiter = data;
    g_autofree char *stamp = NULL;

    /* Without --loop, report only the first event, even if several arrived at once. */
    if (!waiter->request->loop && waiter->count)
        return;
    waiter->count++;
    if (waiter->ctl->settings.json) {
        print_json_event(waiter, event);
        return;
    }
    stamp = waiter->request->timestamp ? time_stamp() : g_strdup("");
    waiter->print(waiter->ctl, waiter->request->type, event, stamp);
    fflush(waiter->ctl->out);
}

static WaitEnd wait_events(Waiter *waiter, GError **error)
{
    int timeout_ms = waiter->request->timeout_ms;
    gint64 end = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    int wake = cli_interrupt_fd();

    for (;;) {
        int left = -1;
        guint delivered;

        if (timeout_ms > 0)
            left = (int)MAX(0, (end - g_get_monotonic_time() + 999) / 1000);
        if (!cst_conn_wait_events(waiter->ctl->conn, left, wake, &delivered, error))
            return WAIT_FAILED;
        if (cli_interrupted())
            return WAIT_INTERRUPTED;
        if (waiter->count && !waiter->request->loop)
            return WAIT_GOT_ONE;
        if (timeout_ms > 0 && g_get_monotonic_time() >= end)
            return WAIT_TIMED_OUT;
    }
}

/* @uuid NULL: events of all objects. */
static gboolean subscribe_and_wait(CliCtl *ctl, const Request *request, const CstUuid *uuid,
                                   CliEventPrinter print, GError **error)
{
    Waiter waiter = {.ctl = ctl, .request = request, .print = print};
    WaitEnd end;
    guint id;

    if (!cst_conn_subscribe(ctl->conn, request->type->type, uuid, on_event, &waiter, &id, error))
        return FALSE;
    cli_interrupt_begin();
    end = wait_events(&waiter, error);
    cli_interrupt_end();
    cst_conn_unsubscribe(ctl->conn, id, NULL);
    if (end == WAIT_FAILED)
        return FALSE;
    if (end == WAIT_INTERRUPTED)
        cli_print(ctl, "%s\n", _("event loop interrupted"));
    if (end == WAIT_TIMED_OUT)
        cli_print(ctl, "%s\n", _("event loop timed out"));
    cli_print(ctl, _("events received: %d\n"), waiter.count);
    if (waiter.count > 0)
        return TRUE;
    /* The lines above have reported it, on stdout as in virsh. */
    ctl->reported = TRUE;
    return cst_fail(error, end == WAIT_INTERRUPTED ? CST_ERROR_CANCELLED : CST_ERROR_TIMEOUT, "%s",
                    _("no event came"));
}

/* The order of the checks is that of virsh. */
gboolean cli_event_command(CliCtl *ctl, const CliArgs *args, const CliEvents *events,
                           GError **error)
{
    gboolean one = cli_args_has(args, events->option);
    Request request;
    CstUuid uuid;

    if (cli_args_has(args, "list")) {
        list_types(ctl, events->types);
        return TRUE;
    }
    if (!read_event_request(args, events->types, &request, error) || !cli_conn(ctl, error) ||
        (one && !events->find(ctl, args, &uuid, error)))
        return FALSE;
    return subscribe_and_wait(ctl, &request, one ? &uuid : NULL, events->print, error);
}
