/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl.h"

/** One kind of event that an event command can wait for. */
typedef struct {
    const char *name; /**< --event NAME; NULL ends a table */
    CstConnEventType type;
    const char *const *kinds; /**< words for CstConnEvent.kind, ended by NULL; NULL: none */
} CliEventType;

/** Prints one event; @stamp is a time followed by ": ", or "". */
typedef void (*CliEventPrinter)(CliCtl *ctl, const CliEventType *type, const CstConnEvent *event,
                                const char *stamp);

/**
 * What pool-event and secret-event share: --list, --event, --loop, --timeout, --timestamp.
 * @uuid NULL: all objects. Succeeds when at least one event came, as in virsh.
 */
gboolean cli_events(CliCtl *ctl, const CliArgs *args, const CliEventType *types,
                    const CstUuid *uuid, CliEventPrinter print, GError **error);

/** TRUE with the names printed when --list was given; looks at nothing else. */
gboolean cli_events_list(CliCtl *ctl, const CliArgs *args, const CliEventType *types);

/** Checks --event before anything is looked up, so that the errors come in virsh's order. */
const CliEventType *cli_events_type(const CliArgs *args, const CliEventType *types, GError **error);

/** Word for the event's kind, or "unknown". */
const char *cli_event_kind(const CliEventType *type, int kind);
