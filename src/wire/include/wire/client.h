/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <wire/codec.h>

/**
 * The client's end of libvirt's RPC over one stream socket. Not blocking inside: whoever waits for
 * one thing also takes in whatever else arrives and writes whatever can be written, so that many
 * calls may be under way and neither end waits for the other for ever.
 *
 * A client belongs to one thread. Once the connection is broken (end of file, a packet that can't
 * be, no sign of life) every call fails with that first reason: UNREACHABLE, RPC or TIMEOUT.
 */
typedef struct CstWireClient CstWireClient;

/** Takes @fd, a connected stream socket. */
CstWireClient *cst_wire_client_new(int fd);
/** UNREACHABLE when nobody listens at @path, DENIED when this user may not connect. */
CstWireClient *cst_wire_client_connect(const char *path, GError **error);
/** Says CONNECT_CLOSE, without waiting for the answer, when the connection was opened. */
void cst_wire_client_free(CstWireClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstWireClient, cst_wire_client_free)

/**
 * The peer's turn to prove itself: AUTH_LIST, and AUTH_POLKIT when it wants that. SASL isn't
 * built in (AUTH).
 */
gboolean cst_wire_client_authenticate(CstWireClient *client, GError **error);

typedef enum { CST_WIRE_OPEN_RO = 1 } CstWireOpenFlags;

/** CONNECT_OPEN of @name ("storage:///system"; NULL: the server's choice). */
gboolean cst_wire_client_open(CstWireClient *client, const char *name, unsigned flags,
                              GError **error);

/**
 * Own pings: after @interval_ms without a packet one is sent; the connection counts as broken when
 * @count of them in a row stay without any packet. Only time spent waiting counts. 0: none. Pings
 * of the server are always answered.
 */
void cst_wire_client_set_keepalive(CstWireClient *client, int interval_ms, int count);

/** Overwrites what the buffers still hold of packets that are done with: after secrets' values. */
void cst_wire_client_wipe(CstWireClient *client);

/** NULL while the connection works; else why it doesn't. */
const GError *cst_wire_client_broken(const CstWireClient *client);

/* --- calls ----------------------------------------------------------------------------------- */

/** One remote procedure: numbers, and the generated functions of its arguments and its answer. */
typedef struct {
    uint32_t program;
    int32_t procedure;
    xdrproc_t args; /**< NULL: none */
    xdrproc_t ret;  /**< NULL: none */
} CstWireProc;

/**
 * Calls and waits. The caller has zeroed @ret; on success it frees what is in it with
 * xdr_free(proc->ret, ret), on failure there is nothing to free.
 */
gboolean cst_wire_client_call(CstWireClient *client, const CstWireProc *proc, const void *args,
                              void *ret, GError **error);

/** Queues a call and returns at once; its answer is fetched by cst_wire_client_collect(). */
gboolean cst_wire_client_send(CstWireClient *client, const CstWireProc *proc, const void *args,
                              uint32_t *ret_serial, GError **error);

/** Waits for the answer to @serial at most @timeout_ms (-1: for ever); *ret_there: it is there. */
gboolean cst_wire_client_await(CstWireClient *client, uint32_t serial, int timeout_ms,
                               gboolean *ret_there, GError **error);

/** Waits for the answer and takes it, as cst_wire_client_call() does; @serial is then done with. */
gboolean cst_wire_client_collect(CstWireClient *client, uint32_t serial, const CstWireProc *proc,
                                 void *ret, GError **error);

/** The answer to @serial will be dropped, whenever it comes. */
void cst_wire_client_forget(CstWireClient *client, uint32_t serial);

/* --- messages -------------------------------------------------------------------------------- */

/**
 * Called for every MESSAGE packet (but the keepalive's), from inside any function here that waits.
 * It must not call the client.
 */
typedef void (*CstWireMessageFunc)(const CstWireHeader *header, const uint8_t *packet, size_t len,
                                   gpointer data);
void cst_wire_client_on_message(CstWireClient *client, CstWireMessageFunc func, gpointer data);

/**
 * Takes in and sends out what is ready, after waiting for it at most @timeout_ms (-1: for ever) or
 * until @wake_fd (-1: none) is readable or a signal came.
 */
gboolean cst_wire_client_pump(CstWireClient *client, int timeout_ms, int wake_fd, GError **error);

/* --- streams --------------------------------------------------------------------------------- */

/** A stream that belongs to a call: raw bytes and, where agreed, holes, one way. */
typedef struct CstWireStream CstWireStream;

/** Takes @len bytes, or a hole of @hole bytes. FALSE stops the stream with @error. */
typedef gboolean (*CstWireStreamFunc)(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                      GError **error);

/**
 * Makes the call that starts the stream. @func takes what the server sends (NULL: an upload). It
 * must not call the client.
 */
CstWireStream *cst_wire_stream_start(CstWireClient *client, const CstWireProc *proc,
                                     const void *args, CstWireStreamFunc func, gpointer data,
                                     GError **error);

/** Sends @len bytes; meanwhile takes in what comes. Fails with the server's error once it sent
 *  one. */
gboolean cst_wire_stream_send(CstWireStream *stream, const void *bytes, size_t len, GError **error);
gboolean cst_wire_stream_send_hole(CstWireStream *stream, uint64_t hole, GError **error);

/** Feeds @func until the server's end of the data; @task may cancel. */
gboolean cst_wire_stream_receive(CstWireStream *stream, CstTask *task, GError **error);

/** The proper end, both ways: success means that the server has everything done. */
gboolean cst_wire_stream_finish(CstWireStream *stream, GError **error);

/** A stream that isn't finished is aborted, and the server's answer to that waited for. */
void cst_wire_stream_free(CstWireStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstWireStream, cst_wire_stream_free)
