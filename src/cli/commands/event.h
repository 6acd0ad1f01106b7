/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "core/ctl.h"

/** One kind of event that an event command can wait for. */
typedef struct {
    const char *name; /**< --event NAME; NULL ends a table */
    CstConnEventType type;
    const char *const *kinds; /**< words for CstConnEvent.kind, ended by NULL; NULL: none */
} CliEventType;

/** Prints one event; @stamp is a time followed by ": ", or "". */
typedef void (*CliEventPrinter)(CliCtl *ctl, const CliEventType *type, const CstConnEvent *event,
                                const char *stamp);

/** What the user asked for. */
typedef struct {
    const CliEventType *type;
    int timeout_ms; /**< -1: none */
    gboolean loop;
    gboolean timestamp;
} CliEventRequest;

/** The options of pool-event and secret-event, but for the one that names the object. */
#define CLI_EVENT_OPTIONS(complete_events)                                               \
    {.name = "event",                                                                    \
     .kind = CLI_OPT_STRING,                                                             \
     .help = N_("which event type to wait for"),                                         \
     .complete = complete_events},                                                       \
        CLI_SWITCH("loop", N_("loop until timeout or interrupt, rather than one-shot")), \
        CLI_NUMBER("timeout", N_("timeout seconds")),                                    \
        CLI_SWITCH("list", N_("list valid event types")),                                \
        CLI_SWITCH("timestamp", N_("show timestamp for each printed event"))

/*
 * What pool-event and secret-event share, in the order in which virsh looks at things:
 */

/** TRUE with the names printed when --list was given; looks at nothing else. */
gboolean cli_events_list(CliCtl *ctl, const CliArgs *args, const CliEventType *types);

/** --event, --loop, --timeout, --timestamp. */
gboolean cli_events_request(const CliArgs *args, const CliEventType *types,
                            CliEventRequest *ret_request, GError **error);

/**
 * Waits and prints. @uuid NULL: events of all objects. Succeeds when at least one came, as in
 * virsh.
 */
gboolean cli_events(CliCtl *ctl, const CliEventRequest *request, const CstUuid *uuid,
                    CliEventPrinter print, GError **error);

/** Word for the event's kind, or "unknown". */
const char *cli_event_kind(const CliEventType *type, int kind);
