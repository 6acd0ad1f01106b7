/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <wire/client.h>

#include "event_queue.h"
#include "remote.h"

typedef enum {
    CST_PEER_UNKNOWN,
    CST_PEER_CISTERN, /**< speaks Cistern's own program too */
    CST_PEER_STOCK
} CstPeer;

typedef struct {
    CstWireClient *client;
    GPid ssh; /**< 0: none */
    CstPeer peer;
    int last_procedure; /**< of Cistern's program there; 0: not asked, or none */
    gboolean detach;    /**< long calls come back once they are jobs */

    CstEventQueue events;
    GArray *registrations; /**< of Registration (remote_events.c) */
    gboolean registering;  /**< a registration waits for its answer */
    gboolean closed_reported;
} CstRemote;

/* remote_call.c */

/**
 * A procedure that belongs to a connection, and so is not among those of the API: registrations,
 * and what is asked of calls under way. NO_SUPPORT when the server does not know it.
 */
gboolean cst_remote_ask(CstRemote *remote, uint32_t program, int number, gpointer args_func,
                        const void *args, gpointer ret_func, void *ret, GError **error);

gboolean cst_remote_supports(gpointer self, const CstProcedure *procedure, gboolean *ret_supported,
                             GError **error);
gboolean cst_remote_call(gpointer self, const CstProcedure *procedure, const void *args, void *ret,
                         CstTask *task, GError **error);
gboolean cst_remote_call_all(gpointer self, CstConnCall *calls, guint count, GError **error);
gboolean cst_remote_set_detach(gpointer self, gboolean detach, GError **error);
gboolean cst_remote_set_dry_run(gpointer self, gboolean dry_run, GError **error);

/* remote_streams.c */

gboolean cst_remote_upload(gpointer self, const wire_vol_stream_args *args, CstFdSource *source,
                           CstTask *task, GError **error);
gboolean cst_remote_download(gpointer self, const wire_vol_stream_args *args, CstFdSink *sink,
                             CstTask *task, GError **error);

/* remote_events.c */

void cst_remote_events_init(CstRemote *remote);
void cst_remote_events_clear(CstRemote *remote);
gboolean cst_remote_subscribe(gpointer self, CstConnEventType type, const CstUuid *uuid,
                              CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
gboolean cst_remote_unsubscribe(gpointer self, guint id, GError **error);
gboolean cst_remote_wait_events(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                                GError **error);
