/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "core/ctl.h"

/** A kind of event, for --event. */
typedef struct {
    const char *name; /**< NAME of --event NAME; NULL ends a table */
    CstConnEventType type;
    const char *const *kinds; /**< words for CstConnEvent.kind, NULL-terminated; NULL: no words */
} CliEventType;

/** Prints one event. @stamp is a time followed by ": ", or "". */
typedef void (*CliEventPrinter)(CliCtl *ctl, const CliEventType *type, const CstConnEvent *event,
                                const char *stamp);

/** The parameters of an event command. */
typedef struct {
    const CliEventType *types;
    const char *option; /**< option for the object; if not given, all objects */
    /** Gets the UUID of the object that the option names. */
    gboolean (*find)(CliCtl *ctl, const CliArgs *args, CstUuid *ret_uuid, GError **error);
    CliEventPrinter print;
} CliEvents;

/** The options of pool-event and secret-event, except the option for the object. */
#define CLI_EVENT_OPTIONS(complete_events)                                               \
    {.name = "event",                                                                    \
     .kind = CLI_OPT_STRING,                                                             \
     .help = N_("which event type to wait for"),                                         \
     .complete = complete_events},                                                       \
        CLI_SWITCH("loop", N_("loop until timeout or interrupt, rather than one-shot")), \
        CLI_NUMBER("timeout", N_("timeout seconds")),                                    \
        CLI_SWITCH("list", N_("list valid event types")),                                \
        CLI_SWITCH("timestamp", N_("show timestamp for each printed event"))

/**
 * Implements pool-event and secret-event. With --list, prints the names of the types and ignores
 * all other options. Otherwise waits for events and prints them. As in virsh, succeeds if at least
 * one event came. Else fails with CANCELLED or TIMEOUT, which it has already reported.
 */
gboolean cli_event_command(CliCtl *ctl, const CliArgs *args, const CliEvents *events,
                           GError **error);

/** Candidates for --event. */
void cli_complete_event_types(const CliEventType *types, GPtrArray *words);

/** Returns the word for the event's kind, or "unknown"; static, untranslated. */
const char *cli_event_kind(const CliEventType *type, int kind);
