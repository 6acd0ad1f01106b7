/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <wire/client.h>

#include "event_queue.h"
#include "remote.h"

typedef enum {
    CST_PEER_UNKNOWN,
    CST_PEER_CISTERN, /**< supports Cistern's own program */
    CST_PEER_STOCK
} CstPeer;

typedef struct {
    CstWireClient *client;
    GPid ssh; /**< the ssh process; 0: not used */
    CstPeer peer;
    int last_procedure; /**< highest procedure of Cistern's program that the server has; 0: no
                           procedure */
    gboolean detach;    /**< long calls return once they are listed as jobs */

    CstEventQueue events;
    GArray *registrations; /**< of Registration (remote_events.c) */
    gboolean registering;  /**< a registration waits for its reply */
    gboolean closed_reported;
} CstRemote;

/* remote_call.c */

/**
 * Calls a procedure that concerns the connection itself and therefore is not in the API's procedure
 * table: event registrations, and control of calls in flight. The functions are XDR functions, or
 * NULL. Fails with NO_SUPPORT if the server does not have the procedure.
 */
gboolean cst_remote_ask(CstRemote *remote, uint32_t program, int number, gpointer args_func,
                        const void *args, gpointer ret_func, void *ret, GError **error);

/**
 * Propagates @why, the failure of a call of @procedure. Takes ownership of @why. Sets NO_SUPPORT if
 * the server does not have the procedure. Always returns FALSE.
 */
gboolean cst_remote_fail(const CstProcedure *procedure, GError *why, GError **error);

/* Slots of CstTransport; see transport.h for the contracts. */

gboolean cst_remote_supports(gpointer self, int number, gboolean *ret_supported, GError **error);
gboolean cst_remote_call(gpointer self, const CstProcedure *procedure, const void *args, void *ret,
                         CstTask *task, GError **error);
gboolean cst_remote_call_all(gpointer self, CstConnCall *calls, guint count, GError **error);
gboolean cst_remote_set_detach(gpointer self, gboolean detach, GError **error);
gboolean cst_remote_set_dry_run(gpointer self, gboolean dry_run, GError **error);

/* remote_streams.c: slots of CstTransport */

gpointer cst_remote_stream_start(gpointer self, const CstProcedure *procedure, const void *args,
                                 void *ret, CstTask *task, GError **error);
gboolean cst_remote_stream_put(gpointer stream, const void *bytes, size_t len, uint64_t hole,
                               GError **error);
gboolean cst_remote_stream_take(gpointer stream, CstPieceFunc func, gpointer data, GError **error);
gboolean cst_remote_stream_finish(gpointer stream, GError **error);
void cst_remote_stream_free(gpointer stream);

/* remote_events.c */

/** Initialises the events of @remote. Its client must be connected. */
void cst_remote_events_init(CstRemote *remote);
/** Frees the events of @remote. */
void cst_remote_events_clear(CstRemote *remote);
/** Slots of CstTransport. */
gboolean cst_remote_subscribe(gpointer self, CstConnEventType type, const CstUuid *uuid,
                              CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
gboolean cst_remote_unsubscribe(gpointer self, guint id, GError **error);
gboolean cst_remote_wait_events(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                                GError **error);
