/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <api/api.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/task.h>
#include <service/service.h>
#include <wire/codec.h>

#include "client.h"

typedef struct Stream Stream;

/** A call of a client on its way: from its packet to a worker and back with the reply. */
typedef struct {
    Message message; /**< brings it back from a worker */
    WorkItem item;
    CstApiCall api;
    size_t size; /**< bytes of its packet; the decoded arguments take about as much */
    Client *client;
    CstWireHeader header;
    gboolean dry_run;  /**< changes nothing (base/dry_run.h) */
    Stream *stream;    /**< what an upload or download call started */
    GByteArray *reply; /**< encoded by the worker */
    uint64_t args[CST_API_STRUCT_MAX / sizeof(uint64_t)];
} Call;

/** Whose call it is; for the handlers of this module, which run inline. */
static inline Client *client_of(CstApiCall *call)
{
    return ((Call *)((char *)call - G_STRUCT_OFFSET(Call, api)))->client;
}

/* What belongs to a connection; each table is ended by a row without a handler. */
extern const CstProcedure procedures_session[];
extern const CstProcedure procedures_identity[];
extern const CstProcedure procedures_event[];
extern const CstProcedure procedures_call[];

/* dispatch.c */

/** All procedures that are answered here: the API's, and those of a connection. */
void dispatch_index(CstProcedureIndex *ret_index);
/** Handles one whole packet. FALSE: the connection can't go on. */
gboolean dispatch_packet(Client *client, const uint8_t *packet, size_t len);
/**
 * Answers the pings among @packets, the last of which may not be whole, while those have to wait.
 * It makes pongs of them, which nobody answers when it is their turn.
 */
void dispatch_pings_ahead(Client *client, uint8_t *packets, size_t len);
/** In a worker thread: runs the handler; hands the call back to its loop. */
void dispatch_run(WorkItem *item);
void dispatch_done(WorkItem *item);
/** The client is gone: drops its calls that have not begun, cancels the others. */
void dispatch_abandon(Client *client);
/** Cancels what is at the workers. */
void dispatch_cancel(Loop *loop);
