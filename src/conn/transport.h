/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <api/api.h>
#include <conn/conn.h>

#include "fdio.h"

/** One of several calls that are in flight together. */
typedef struct {
    const CstProcedure *procedure;
    const void *args;
    void *ret;     /**< zeroed by the caller, which frees it with xdr_free() if @error is NULL */
    GError *error; /**< set by the transport, owned by the caller; NULL: success */
} CstConnCall;

/**
 * Carries calls to the service in this process, or over a socket. Only conn.c, streams.c,
 * vol_list.c and vol_more.c call through this table, after the checks of conn.c. All slots are
 * required. @self is the transport's object. A slot that returns FALSE has set @error. All slots
 * are called in the thread of the connection.
 */
typedef struct {
    gboolean embedded; /**< the service runs in this process */

    /** Closes the connection and frees @self. */
    void (*close)(gpointer self);

    /**
     * Returns whether the server has procedure @number of Cistern's program. Fails only if the
     * connection fails.
     */
    gboolean (*supports)(gpointer self, int number, gboolean *ret_supported, GError **error);
    /**
     * Calls the procedure and waits for its reply. @args and @ret are structs of the types in
     * @procedure's row. @ret is zeroed; on success the caller frees its content with xdr_free().
     * @task may be NULL. Otherwise its progress is updated, and cancelling it cancels the call.
     */
    gboolean (*call)(gpointer self, const CstProcedure *procedure, const void *args, void *ret,
                     CstTask *task, GError **error);
    /** Makes all @calls, many of them in flight at a time. Fails only if the connection fails. */
    gboolean (*call_all)(gpointer self, CstConnCall *calls, guint count, GError **error);

    /**
     * Calls a procedure that begins a stream, as call() does, and returns the stream. @task, which
     * may be NULL, counts the bytes of the stream. Cancelling it fails the next step.
     */
    gpointer (*stream_start)(gpointer self, const CstProcedure *procedure, const void *args,
                             void *ret, CstTask *task, GError **error);
    /** Sends @len bytes, or (@len 0) a hole of @hole bytes. */
    gboolean (*stream_put)(gpointer stream, const void *bytes, size_t len, uint64_t hole,
                           GError **error);
    /** Passes all data from the server to @func, in order. */
    gboolean (*stream_take)(gpointer stream, CstPieceFunc func, gpointer data, GError **error);
    /** Ends the stream. Success means that the server has completed the operation. */
    gboolean (*stream_finish)(gpointer stream, GError **error);
    /** Aborts a stream that is not finished, and frees it. */
    void (*stream_free)(gpointer stream);

    /** See cst_conn_set_detach(). */
    gboolean (*set_detach)(gpointer self, gboolean detach, GError **error);
    /** See cst_conn_set_dry_run(). Called only if the state changes. */
    gboolean (*set_dry_run)(gpointer self, gboolean dry_run, GError **error);

    /** See cst_conn_subscribe(). @uuid may be NULL. */
    gboolean (*subscribe)(gpointer self, CstConnEventType type, const CstUuid *uuid,
                          CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
    /** See cst_conn_unsubscribe(). */
    gboolean (*unsubscribe)(gpointer self, guint id, GError **error);
    /** See cst_conn_wait_events(). Events are delivered only in this slot. */
    gboolean (*wait_events)(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                            GError **error);
} CstTransport;

/**
 * Makes a connection over @transport (static) and its object @self. Takes ownership of @self.
 * @given_uri: the URI as the user gave it; may be NULL.
 */
CstConn *cst_conn_new(const CstTransport *transport, gpointer self, const char *given_uri,
                      gboolean read_only);
