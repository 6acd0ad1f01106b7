/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-event: waits for events of pools. commands/event.c has the loop. This file has the kinds of
 * events and the sentences, which are virsh's.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "commands/event.h"
#include "output/text.h"
#include "pool.h"

/* Indexed by CstPoolEventKind. */
static const char *const lifecycle_kinds[] = {
    N_("Defined"), N_("Undefined"), N_("Started"), N_("Stopped"),
    N_("Created"), N_("Deleted"),   NULL,
};

static const CliEventType event_types[] = {
    {"lifecycle", CST_CONN_EVENT_POOL_LIFECYCLE, lifecycle_kinds},
    {"refresh", CST_CONN_EVENT_POOL_REFRESH, NULL},
    {0},
};

static void print_pool_event(CliCtl *ctl, const CliEventType *type, const CstConnEvent *event,
                             const char *stamp)
{
    if (type->kinds)
        cli_print(ctl, _("%sevent 'lifecycle' for storage pool %s: %s\n"), stamp, event->pool,
                  _(cli_event_kind(type, event->kind)));
    else
        cli_print(ctl, _("%sevent 'refresh' for storage pool %s\n"), stamp, event->pool);
}

static gboolean find_event_pool(CliCtl *ctl, const CliArgs *args, CstUuid *ret_uuid, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);

    if (pool)
        *ret_uuid = pool->uuid;
    return pool != NULL;
}

static const CliEvents events = {event_types, "pool", find_event_pool, print_pool_event};

static gboolean cmd_pool_event(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return cli_event_command(ctl, args, &events, error);
}

static const CliOption event_options[] = {
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .help = N_("filter by storage pool name or uuid"),
     .complete = cli_complete_pools},
    CLI_EVENT_OPTIONS(cli_complete_pool_events),
    {0},
};

const CliCommand cli_pool_event_command = {
    .name = "pool-event",
    .summary = N_("Storage Pool Events"),
    .description = N_("List event types, or wait for storage pool events to occur"),
    .options = event_options,
    .handler = cmd_pool_event,
};

void cli_complete_pool_events(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_complete_event_types(event_types, words);
}
