/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <wire/codec.h>

/**
 * The client side of libvirt's RPC over one stream socket. The socket is non-blocking. A function
 * that waits for a packet also handles all other packets that arrive, and writes as much as the
 * socket accepts. So many calls may be in flight, and client and server never block each other.
 *
 * A client belongs to one thread. The first failure of the connection (UNREACHABLE: it was closed
 * or lost; RPC: the server violated the protocol; TIMEOUT: the server stopped responding) is final:
 * every later call fails with the same error.
 */
typedef struct CstWireClient CstWireClient;

/**
 * Makes a client of @fd, a connected stream socket. Takes ownership of @fd and makes it
 * non-blocking. Sends no packet.
 */
CstWireClient *cst_wire_client_new(int fd);
/**
 * Connects to the Unix socket at @path. Returns NULL with UNREACHABLE if no server listens there,
 * DENIED if this user may not connect, or INVALID if @path is too long.
 */
CstWireClient *cst_wire_client_connect(const char *path, GError **error);
/**
 * Closes the connection. If cst_wire_client_open() succeeded, sends CONNECT_CLOSE first, without
 * waiting for the reply. Free all streams before. NULL is accepted.
 */
void cst_wire_client_free(CstWireClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstWireClient, cst_wire_client_free)

/**
 * Authenticates with the server: AUTH_LIST, then AUTH_POLKIT if the server requires it. Fails with
 * AUTH if the authentication fails, or if the server requires SASL, which is not supported.
 */
gboolean cst_wire_client_authenticate(CstWireClient *client, GError **error);

/** Flags of CONNECT_OPEN; RO makes the connection read-only for good. */
typedef enum { CST_WIRE_OPEN_RO = 1 } CstWireOpenFlags;

/**
 * Opens @name ("storage:///system"; NULL: the server chooses) with CstWireOpenFlags. Returns FALSE
 * with the server's error. Call it after authenticating and before any other call.
 */
gboolean cst_wire_client_open(CstWireClient *client, const char *name, unsigned flags,
                              GError **error);

/**
 * Sets the keepalive. A ping is sent after @interval_ms without a packet from the server. After
 * @count pings without any packet the connection fails with TIMEOUT. Only time spent in functions
 * of the client counts. @interval_ms 0: no pings. The server's pings are always answered.
 */
void cst_wire_client_set_keepalive(CstWireClient *client, int interval_ms, int count);

/**
 * Overwrites handled packets that are still in the buffers. Call it after sending or receiving the
 * value of a secret.
 */
void cst_wire_client_wipe(CstWireClient *client);

/** Returns the failure of the connection, owned by @client; NULL: connected. */
const GError *cst_wire_client_broken(const CstWireClient *client);

/* --- calls ----------------------------------------------------------------------------------- */

/** A remote procedure: its numbers, and the generated XDR functions of its arguments and reply. */
typedef struct {
    uint32_t program;
    int32_t procedure;
    xdrproc_t args; /**< NULL: no arguments */
    xdrproc_t ret;  /**< NULL: empty reply */
} CstWireProc;

/**
 * Calls a procedure and waits for the reply. The caller zeroes @ret, and on success frees its
 * content with xdr_free(proc->ret, ret). On failure there is no content to free. @args and @ret may
 * be NULL if the procedure has no such struct. The server's error is converted
 * (cst_wire_error_decode()).
 */
gboolean cst_wire_client_call(CstWireClient *client, const CstWireProc *proc, const void *args,
                              void *ret, GError **error);

/**
 * Queues a call and returns. The caller gets the reply with cst_wire_client_collect(), or drops it
 * with cst_wire_client_forget(). @args is not used after the return.
 */
gboolean cst_wire_client_send(CstWireClient *client, const CstWireProc *proc, const void *args,
                              uint32_t *ret_serial, GError **error);

/**
 * Waits for the reply to @serial for at most @timeout_ms (-1: no limit). *ret_arrived: it has
 * arrived. Fails only if the connection fails.
 */
gboolean cst_wire_client_await(CstWireClient *client, uint32_t serial, int timeout_ms,
                               gboolean *ret_arrived, GError **error);

/**
 * Waits for the reply to @serial and decodes it into @ret, as cst_wire_client_call() does. @serial
 * is invalid afterwards.
 */
gboolean cst_wire_client_collect(CstWireClient *client, uint32_t serial, const CstWireProc *proc,
                                 void *ret, GError **error);

/** Drops the reply to @serial, now or when it arrives. The server continues with the call. */
void cst_wire_client_forget(CstWireClient *client, uint32_t serial);

/* --- messages -------------------------------------------------------------------------------- */

/**
 * Receives every MESSAGE packet except keepalive packets. Called inside any function here that
 * waits. Must not call the client. @packet is borrowed.
 */
typedef void (*CstWireMessageFunc)(const CstWireHeader *header, const uint8_t *packet, size_t len,
                                   gpointer data);
/** Sets the receiver of messages; NULL: no receiver. */
void cst_wire_client_on_message(CstWireClient *client, CstWireMessageFunc func, gpointer data);

/**
 * Waits until the socket is ready, for at most @timeout_ms (-1: no limit), or until @wake_fd (-1:
 * unused) is readable or a signal arrives. Then reads and writes once as much as is ready. Fails
 * only if the connection fails.
 */
gboolean cst_wire_client_pump(CstWireClient *client, int timeout_ms, int wake_fd, GError **error);

/* --- streams --------------------------------------------------------------------------------- */

/** The stream of a call: raw bytes in one direction, and holes if the call's flags request them. */
typedef struct CstWireStream CstWireStream;

/**
 * Receives @len bytes at @bytes, which are borrowed, or a hole of @hole bytes (@len 0). FALSE with
 * @error fails the stream: further data is dropped, and the next function of the stream that the
 * caller uses returns @error.
 */
typedef gboolean (*CstWireStreamFunc)(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                      GError **error);

/**
 * Calls the procedure that starts a stream and waits for its reply @ret, as cst_wire_client_call().
 * @func receives the data from the server (NULL: an upload). It may be called before this function
 * returns, and must not call the client.
 */
CstWireStream *cst_wire_stream_start(CstWireClient *client, const CstWireProc *proc,
                                     const void *args, void *ret, CstWireStreamFunc func,
                                     gpointer data, GError **error);

/**
 * Sends @len bytes and waits until the socket has accepted them. Fails with the server's error as
 * soon as that has arrived.
 */
gboolean cst_wire_stream_send(CstWireStream *stream, const void *bytes, size_t len, GError **error);
/**
 * Sends a hole of @hole bytes. The call's flags must have requested holes. Does not wait for space
 * in the socket.
 */
gboolean cst_wire_stream_send_hole(CstWireStream *stream, uint64_t hole, GError **error);

/**
 * Passes data to the stream's function until the server ends the data. Cancelling @task (may be
 * NULL) ends the wait; freeing the stream then aborts it.
 */
gboolean cst_wire_stream_receive(CstWireStream *stream, CstTask *task, GError **error);

/** Ends the stream in both directions. Success means that the server has completed the call. */
gboolean cst_wire_stream_finish(CstWireStream *stream, GError **error);

/**
 * Aborts a stream that is not finished, waits for the server to confirm it, and frees the stream.
 * NULL is accepted.
 */
void cst_wire_stream_free(CstWireStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstWireStream, cst_wire_stream_free)
