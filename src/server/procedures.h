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

/**
 * A call of a client, from its packet to a worker and back with the reply. The loop's thread owns
 * it. Between workers_push() and dispatch_done() the worker owns it.
 */
typedef struct {
    Message message; /**< returns the call from a worker to its loop */
    WorkItem item;
    CstApiCall api;
    size_t size; /**< bytes of its packet; the decoded arguments need about as many */
    Client *client;
    CstWireHeader header;
    gboolean dry_run;  /**< changes nothing (base/dry_run.h) */
    Stream *stream;    /**< the stream that an upload or download call started */
    GByteArray *reply; /**< encoded by the worker */
    Message stuck;     /**< reports that the call hangs in storage, before @message */
    GError *why_stuck; /**< NULL: the call does not hang; guarded by the task's lock while a
                            worker has it */
    gboolean answered; /**< already answered with that error: the reply is dropped */
    uint64_t args[CST_API_STRUCT_MAX / sizeof(uint64_t)];
} Call;

/**
 * Estimates the bytes that the call needs until it is answered. Reads memory only, because the
 * loop's thread must not wait for storage.
 */
size_t call_cost(const Call *call);

/** Returns the client of @call. For the handlers of this module, which run inline. */
static inline Client *client_of(CstApiCall *call)
{
    return ((Call *)((char *)call - G_STRUCT_OFFSET(Call, api)))->client;
}

/* Procedures of the connection itself. Each table ends with a row without a handler. */
extern const CstProcedure procedures_session[];
extern const CstProcedure procedures_identity[];
extern const CstProcedure procedures_event[];
extern const CstProcedure procedures_call[];

/* dispatch.c */

/** Fills the index with the procedures of src/api and of the connection. */
void dispatch_index(CstProcedureIndex *ret_index);
/**
 * Handles one whole packet of @len bytes. Returns FALSE if the connection cannot continue; the
 * caller then drops the client. Threads: in the loop's thread, as all functions below except
 * dispatch_run() and dispatch_done().
 */
gboolean dispatch_packet(Client *client, const uint8_t *packet, size_t len);
/**
 * Answers the pings among @packets, which wait until a call in flight ends. The last packet may be
 * incomplete. Turns each ping into a pong in place, because a pong is ignored when the packet is
 * handled.
 */
void dispatch_pings_ahead(Client *client, uint8_t *packets, size_t len);
/** Runs the handler and encodes the reply. In a worker's thread. */
void dispatch_run(WorkItem *item);
/** Hands the call back to its loop, which may free it at once. In a worker's thread. */
void dispatch_done(WorkItem *item);
/**
 * Ends the calls of a disconnected client. Drops the calls that have not begun, and abandons the
 * tasks of the running ones.
 */
void dispatch_abandon(Client *client);
/** Cancels all calls of @loop that are at the workers and have a task. */
void dispatch_cancel(Loop *loop);
