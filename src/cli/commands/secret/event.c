/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * secret-event: waits for events of secrets. commands/event.c has the loop. This file has the kinds
 * of events and the sentences, which are virsh's.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "commands/event.h"
#include "output/text.h"
#include "secret.h"

/* Indexed by CstSecretEventKind. */
static const char *const lifecycle_kinds[] = {N_("Defined"), N_("Undefined"), NULL};

static const CliEventType event_types[] = {
    {"lifecycle", CST_CONN_EVENT_SECRET_LIFECYCLE, lifecycle_kinds},
    {"value-changed", CST_CONN_EVENT_SECRET_VALUE, NULL},
    {0},
};

static void print_secret_event(CliCtl *ctl, const CliEventType *type, const CstConnEvent *event,
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

static gboolean find_event_secret(CliCtl *ctl, const CliArgs *args, CstUuid *ret_uuid,
                                  GError **error)
{
    g_autoptr(CstConnSecret) secret = cli_secret(ctl, args, NULL, error);

    if (secret)
        *ret_uuid = secret->uuid;
    return secret != NULL;
}

static const CliEvents events = {event_types, "secret", find_event_secret, print_secret_event};

static gboolean cmd_secret_event(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return cli_event_command(ctl, args, &events, error);
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
    .handler = cmd_secret_event,
};

void cli_complete_secret_events(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_complete_event_types(event_types, words);
}
