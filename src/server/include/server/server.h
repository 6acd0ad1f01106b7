/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct CstService CstService;

/**
 * The server side of libvirt's RPC: sockets, packets, streams and events in front of a service.
 *
 * The I/O threads move bytes and answer calls that need memory only. Worker threads run calls that
 * may wait for storage, so replies may arrive in another order than their calls. A client that does
 * not read its replies is not read either. A client that does not read its events is dropped.
 */
typedef struct CstWireServer CstWireServer;

typedef struct {
    gboolean session;        /**< serves /session instead of /system */
    guint io_threads;        /**< threads that move bytes */
    guint workers;           /**< running calls of each class (quick, long); above it, only the
                                  first call of a trusted client or of another user starts */
    guint max_threads;       /**< maximum of calls of each class, running or waiting */
    guint max_user_threads;  /**< the same for one untrusted user */
    guint max_wait_seconds;  /**< longest wait of a call for another operation; 0: no limit */
    guint stream_workers;    /**< maximum of stream jobs that run at once */
    guint max_clients;       /**< further ones wait in the listen queue; a tenth, but at least 32
                                  or half, is reserved for root and the daemon's user */
    guint idle_seconds;      /**< when connections are scarce: idle time after which a client is
                                  dropped */
    size_t max_user_bytes;   /**< memory held for one untrusted user; at the limit its clients
                                  are not read */
    guint stall_seconds;     /**< over that limit: time without reading after which a client is
                                  dropped */
    guint max_user_clients;  /**< connections of one untrusted user */
    guint max_requests;      /**< calls in flight of one client; at the limit no further call is
                                  handled */
    guint max_running;       /**< running calls of one client and class; further calls wait for
                                  their turn */
    guint max_streams;       /**< open streams of one client */
    gsize max_events;        /**< bytes of events that a client may leave unread */
    guint handshake_seconds; /**< time limit for opening a connection */
    guint keepalive_seconds; /**< silence after which a client with keepalive is pinged */
    guint keepalive_count;   /**< unanswered pings after which the client is dropped */
    gboolean has_group;      /**< members of @group may use the read-write socket */
    gid_t group;
    const char *etc_dir; /**< directory of subuid and passwd, copied; NULL: no subordinate uids */
} CstWireOptions;

/** Fills *@ret_options with the defaults. The caller changes individual fields. */
void cst_wire_options_init(CstWireOptions *ret_options);

/**
 * Makes a server and starts its threads, without a socket. Borrows @service until
 * cst_wire_server_free(), and copies @options. Returns NULL with IO if the kernel refuses
 * descriptors, or with GLib's error if no thread can be made.
 */
CstWireServer *cst_wire_server_new(CstService *service, const CstWireOptions *options,
                                   GError **error);

/**
 * Accepts clients from the listening, non-blocking socket @fd, which the server then owns.
 * @read_only: its clients may only read. From any thread.
 */
void cst_wire_server_listen(CstWireServer *server, int fd, gboolean read_only);

/** Serves the connected stream socket @fd, which the server then owns. From any thread. */
void cst_wire_server_adopt(CstWireServer *server, int fd, gboolean read_only);

/** Returns the current number of connections. From any thread. */
guint cst_wire_server_clients(CstWireServer *server);

/**
 * Disconnects all clients, cancels the calls that can be cancelled, waits for the other calls, and
 * frees the server. Closes the listening sockets; the caller removes their files. NULL is accepted.
 */
void cst_wire_server_free(CstWireServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstWireServer, cst_wire_server_free)
