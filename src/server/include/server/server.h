/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct CstService CstService;

/**
 * The server side of libvirt's RPC: sockets, packets, streams and events in front of a service.
 *
 * One thread (or a few) moves bytes and answers what needs memory only; worker threads run what may
 * wait for storage, so replies may arrive in another order than their calls. A client that does not
 * read its replies is not read from either; one that does not read its events is dropped.
 */
typedef struct CstWireServer CstWireServer;

typedef struct {
    gboolean session;        /**< answers /session instead of /system */
    guint io_threads;        /**< threads that move bytes */
    guint workers;           /**< calls that run at once, of each class (quick, long); above it
                                  only the first of a trusted client or of another user */
    guint max_threads;       /**< most calls of each class that run or wait for others */
    guint max_user_threads;  /**< of these, of one user who is not trusted */
    guint max_wait_seconds;  /**< longest wait of a call for others' work; 0: no limit */
    guint stream_workers;    /**< most streams that wait for the disk at once */
    guint max_clients;       /**< more wait in the listen queue; a tenth, but at least 32 or half,
                                  is for root and the daemon's user */
    guint idle_seconds;      /**< connections are scarce: who is silent for longer is dropped */
    size_t max_user_bytes;   /**< held for one user who is not trusted; then he isn't read from */
    guint stall_seconds;     /**< such a user's client that reads nothing for longer is dropped */
    guint max_user_clients;  /**< of one user who is not trusted */
    guint max_requests;      /**< of one client in flight; then no further call is handled */
    guint max_running;       /**< of one client and class; the rest waits its turn */
    guint max_streams;       /**< of one client */
    gsize max_events;        /**< bytes of events that a client may leave unread */
    guint handshake_seconds; /**< until a connection must be open */
    guint keepalive_seconds; /**< silence after which a client that asked for it is pinged */
    guint keepalive_count;   /**< pings without an answer; then it is dropped */
    gboolean has_group;      /**< members of @group may use the read-write socket */
    gid_t group;
    const char *etc_dir; /**< directory of subuid and passwd, copied; NULL: no subordinate uids */
} CstWireOptions;

/** Fills *@ret_options with the defaults; the caller changes what it needs. */
void cst_wire_options_init(CstWireOptions *ret_options);

/**
 * Makes a server and starts its threads; there is no socket yet. @service is borrowed until
 * cst_wire_server_free(), @options is copied. NULL with IO when the kernel refuses descriptors or
 * threads.
 */
CstWireServer *cst_wire_server_new(CstService *service, const CstWireOptions *options,
                                   GError **error);

/**
 * Accepts clients from the listening, non-blocking socket @fd, which it takes over. @read_only:
 * their calls may change nothing. From any thread.
 */
void cst_wire_server_listen(CstWireServer *server, int fd, gboolean read_only);

/** Serves the connected stream socket @fd, which it takes over. From any thread. */
void cst_wire_server_adopt(CstWireServer *server, int fd, gboolean read_only);

/** Returns the number of connections at this moment. From any thread. */
guint cst_wire_server_clients(CstWireServer *server);

/**
 * Disconnects all clients, cancels calls that can be cancelled, waits for the rest, and frees the
 * server. Closes the listening sockets; their names are the caller's to remove. NULL is accepted.
 */
void cst_wire_server_free(CstWireServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstWireServer, cst_wire_server_free)
