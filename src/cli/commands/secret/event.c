/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * secret-event: waits for events of secrets.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "commands/event.h"
#include "output/text.h"
#include "secret.h"

/* By CstSecretEventKind. */
static const char *const lifecycle_kinds[] = {N_("Defined"), N_("Undefined"), NULL};

static const CliEventType event_types[] = {
    {"lifecycle", CST_CONN_EVENT_SECRET_LIFECYCLE, lifecycle_kinds},
    {"value-changed", CST_CONN_EVENT_SECRET_VALUE, NULL},
    {0},
};

static void print_event(CliCtl *ctl, const CliEventType *type, const CstConnEvent *event,
                        const char *stamp)
{
    char uuid[CST_UUID_TEXT_LEN];

    cst_uuid_format(&event->uuid, uuid);
    if (type->kinds)
        cli_print(ctl, _("%sevent 'lifecycle' for secret %s: %s\n"), stamp, uuid,
                  _(cli_event_kind(type, event->kind)));
    else
        cli_print(ctl, _("%sevent '%s' for secret %s\n"), stamp, type->name, uuid);
}

static gboolean cmd_event(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstConnSecret) secret = NULL;
    CliEventRequest request;

    if (cli_events_list(ctl, args, event_types))
        return TRUE;
    if (!cli_events_request(args, event_types, &request, error) || !cli_conn(ctl, error))
        return FALSE;
    if (cli_args_has(args, "secret")) {
        secret = cli_secret(ctl, args, NULL, error);
        if (!secret)
            return FALSE;
    }
    return cli_events(ctl, &request, secret ? &secret->uuid : NULL, print_event, error);
}

static const CliOption event_options[] = {
    {.name = "secret",
     .kind = CLI_OPT_STRING,
     .help = N_("filter by secret name or uuid"),
     .complete = cli_complete_secrets},
    CLI_EVENT_OPTIONS(cli_complete_secret_events),
    {0},
};

const CliCommand cli_secret_event_command = {
    .name = "secret-event",
    .summary = N_("Secret Events"),
    .description = N_("List event types, or wait for secret events to occur"),
    .options = event_options,
    .handler = cmd_event,
};

void cli_complete_secret_events(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const CliEventType *type = event_types; type->name; type++)
        g_ptr_array_add(words, g_strdup(type->name));
}
