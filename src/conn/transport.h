/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <api/api.h>
#include <conn/conn.h>

#include "fdio.h"

/** One of several calls that go out together. */
typedef struct {
    const CstProcedure *procedure;
    const void *args;
    void *ret;     /**< zeroed; xdr_free() where @error is NULL */
    GError *error; /**< set by the transport; the caller's */
} CstConnCall;

/**
 * What carries a call to the side that does it: to the service in this process, or over a socket.
 * Only conn.c, streams.c and vol_list.c call through this table, after the checks that every call
 * passes. A slot that fails sets @error.
 */
typedef struct {
    gboolean embedded;

    void (*close)(gpointer self);

    /** Whether the other side knows the procedure; fails only when the connection does. */
    gboolean (*supports)(gpointer self, const CstProcedure *procedure, gboolean *ret_supported,
                         GError **error);
    /**
     * @ret is zeroed; on success the caller frees what is in it with xdr_free(). With a @task its
     * progress is kept up to date, and cancelling it cancels the call.
     */
    gboolean (*call)(gpointer self, const CstProcedure *procedure, const void *args, void *ret,
                     CstTask *task, GError **error);
    /** All of @calls, many under way at a time. Fails only when the connection does. */
    gboolean (*call_all)(gpointer self, CstConnCall *calls, guint count, GError **error);

    gboolean (*upload)(gpointer self, const wire_vol_stream_args *args, CstFdSource *source,
                       CstTask *task, GError **error);
    gboolean (*download)(gpointer self, const wire_vol_stream_args *args, CstFdSink *sink,
                         CstTask *task, GError **error);

    gboolean (*set_detach)(gpointer self, gboolean detach, GError **error);
    gboolean (*set_dry_run)(gpointer self, gboolean dry_run, GError **error);

    gboolean (*subscribe)(gpointer self, CstConnEventType type, const CstUuid *uuid,
                          CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
    gboolean (*unsubscribe)(gpointer self, guint id, GError **error);
    gboolean (*wait_events)(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                            GError **error);
} CstTransport;

/** Takes @self; @transport is static. @asked: what the user typed as URI; NULL: nothing. */
CstConn *cst_conn_new(const CstTransport *transport, gpointer self, const char *asked,
                      gboolean read_only);
