/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

#include <api/api.h>
#include <base/uuid.h>
#include <store/system_token.h>
#include <wire/codec.h>

#include "loop.h"
#include "out.h"
#include "user.h"

typedef enum {
    CLIENT_NEW,     /**< connected */
    CLIENT_OPEN,    /**< CONNECT_OPEN succeeded */
    CLIENT_CLOSING, /**< sends the queued packets, does not read */
    CLIENT_DEAD     /**< the socket is closed */
} ClientState;

typedef enum { CALLBACK_POOL, CALLBACK_SECRET, CALLBACK_OTHER } CallbackKind;

/** An event that a client has registered for. */
typedef struct {
    int id;
    CallbackKind kind;
    int procedure; /**< the procedure that registered it; OTHER callbacks differ by it */
    int event;
    gboolean has_uuid; /**< limited to events of the object with @uuid */
    CstUuid uuid;
} Callback;

/**
 * Calls from clients to the layers above them, all in the loop's thread. server.c sets all members;
 * NULL is not allowed.
 */
typedef struct {
    /**
     * Handles one whole packet of @len bytes, which the caller overwrites afterwards. Returns FALSE
     * if the connection cannot continue; the caller then drops the client.
     */
    gboolean (*packet)(Client *client, const uint8_t *packet, size_t len);
    /**
     * Answers urgent packets (pings) among @packets, which stay queued until a call in flight ends.
     * The last packet may be incomplete. May change packets in place, but not their lengths.
     */
    void (*ahead)(Client *client, uint8_t *packets, size_t len);
    void (*room)(Client *client); /**< bytes were sent: downloads may continue */
    void (*tick)(Client *client); /**< called once a second, for OPEN clients that need the clock */
    void (*gone)(Client *client); /**< the client is DEAD: ends calls, streams, callbacks */
    /** Connections may be accepted again, because a client has left or a second has passed. */
    void (*may_accept)(Loop *loop);
} ClientHooks;

struct Client {
    Source source;
    Loop *loop;
    GList link;
    guint refs;
    uint64_t number; /**< of the connection, from 1 on; its calls are "12.7" in the log */
    int fd;
    uint32_t watched; /**< epoll events that are requested */
    ClientState state;

    uid_t uid;
    pid_t pid;
    User *user;       /**< the user; NULL: the peer could not be identified */
    gboolean counted; /**< counted in the user's connections and in the server's guests */
    gboolean allowed; /**< may use this socket */
    gboolean trusted; /**< root or the daemon's user */
    gboolean read_only;
    char token[CST_SYSTEM_TOKEN_LEN + 1]; /**< system token that the client has presented; "": it
                                               has presented no token */
    CstApiIdentity *identity;             /**< declared by the client; NULL: no identity */
    CstApiSession session;

    GByteArray *in; /**< bytes that are read but not yet handled; NULL: empty. See "reading" in
                         client.c */
    size_t in_room; /**< capacity of @in in bytes */
    size_t in_done; /**< bytes at the front of @in that are handled */
    OutQueue out;
    gboolean in_backlog, in_unsent;

    guint in_flight;
    Lane lanes[WORK_CLASSES];
    size_t call_bytes;   /**< bytes of the packets of calls in flight */
    size_t held;         /**< bytes charged to the user */
    gboolean starved;    /**< not read because its user has used up the budget */
    gboolean parked;     /**< a download waits for room in the out queue */
    gint64 moved;        /**< monotonic µs; last time that bytes were received or sent */
    GHashTable *tasks;   /**< serial -> CstTask of calls in flight; NULL: empty */
    uint64_t next_rate;  /**< rate limit of the next LONG call, in bytes a second; 0: no limit */
    gboolean dry_run;    /**< calls from now on are dry runs (CALL_MODE) */
    GHashTable *streams; /**< serial -> Stream; NULL: empty */
    size_t upload_bytes; /**< bytes received and not yet written to the volume */

    GPtrArray *callbacks; /**< of Callback; NULL: empty */
    int next_callback;

    gboolean keepalive;
    gboolean timed;     /**< counted in Loop.timed */
    gint64 born, heard; /**< monotonic µs; heard: of the last data received */
    guint pings;
};

/**
 * Serves the connected socket @fd in @loop. The client owns @fd. The caller has counted it in
 * n_clients. If the connection is refused, closes @fd, reverses the count and returns NULL.
 */
Client *client_new(Loop *loop, int fd, gboolean read_only);
/**
 * Acquires a reference. Returns @client. In the loop's thread only, because the count is not
 * atomic.
 */
Client *client_ref(Client *client);
/** Releases a reference; the last one frees the struct. In the loop's thread only. */
void client_unref(Client *client);

/** Stops handling packets, and drops the connection once all queued packets are sent. */
void client_close(Client *client);
/**
 * Ends the connection now. Ends its calls and streams, and drops the queued packets. @why is for
 * the log and may be NULL. Does nothing for a DEAD client. The struct lives until the end of the
 * round.
 */
void client_drop(Client *client, const char *why);

/**
 * Schedules the sending of client->out at the end of this round. Call it after adding to the queue.
 */
void client_sends(Client *client);
/**
 * Resumes reading if its cause to stop is gone. Pending packets are handled in the next round, and
 * the socket is read again.
 */
void client_resume(Client *client);
/** Handles the pending packets in client->in, PACKETS_PER_TURN at most. */
void client_continue(Client *client);
/**
 * Sends as much of the queue as the socket accepts. Drops a CLOSING client whose queue is empty.
 */
void client_flush(Client *client);
/** Returns whether the client's socket may be read now. */
gboolean client_may_read(const Client *client);

/* clients.c */

/** Serves all clients after a round of the loop: pending packets, unsent bytes, timeouts. */
void clients_round(Loop *loop);
/** Drops all clients of @loop. */
void clients_drop(Loop *loop, const char *why);
/** Updates Loop.timed. Call it after a change of any input of needs_clock() (client.c). */
void client_update_timed(Client *client);

/** Minimum room in client->in for one read. */
#define CLIENT_READ_MIN (64u * 1024u)

/** Bytes of unread replies above which the client is not read and its calls are not started. */
#define OUT_HIGH (4u * 1024u * 1024u)

/**
 * Returns whether the client has uploads or downloads, including finished ones still in the table.
 */
static inline gboolean client_has_streams(const Client *client)
{
    return client->streams && g_hash_table_size(client->streams) > 0;
}

/** Returns whether a download may queue another chunk. */
gboolean client_has_room(const Client *client);

/**
 * Queues a packet: @header, and @args encoded by @func (both may be NULL: no payload). If the
 * encoding fails, an error is queued instead. Does nothing for a DEAD client.
 */
void client_send(Client *client, const CstWireHeader *header, xdrproc_t func, const void *args);
/**
 * Queues an error reply to @header, whose status it sets. The client sees @domain as the source of
 * the error.
 */
void client_send_error(Client *client, const CstWireHeader *header, CstWireDomain domain,
                       const GError *error);
