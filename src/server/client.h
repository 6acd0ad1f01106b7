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
    CLIENT_CLOSING, /**< sends what is queued, reads nothing */
    CLIENT_DEAD     /**< no socket any more */
} ClientState;

typedef enum { CALLBACK_POOL, CALLBACK_SECRET, CALLBACK_OTHER } CallbackKind;

/** An event that a client has registered for. */
typedef struct {
    int id;
    CallbackKind kind;
    int procedure; /**< the registering one; OTHER callbacks differ by it */
    int event;
    gboolean has_uuid; /**< only events of the object with @uuid */
    CstUuid uuid;
} Callback;

/**
 * Calls from clients to the layers above them, all in the loop's thread. server.c fills them in;
 * none may be NULL.
 */
typedef struct {
    /**
     * Handles one whole packet of @len bytes, which the caller overwrites afterwards. FALSE when
     * the connection cannot go on; the caller drops the client.
     */
    gboolean (*packet)(Client *client, const uint8_t *packet, size_t len);
    /**
     * Handles what cannot wait (pings) among @packets, which stay queued behind calls in flight.
     * The last of them may not be whole. May change them in place, not their lengths.
     */
    void (*ahead)(Client *client, uint8_t *packets, size_t len);
    void (*room)(Client *client); /**< bytes were sent: downloads may go on */
    void (*tick)(Client *client); /**< once a second, for OPEN clients that need the clock */
    void (*gone)(Client *client); /**< the client is DEAD: ends calls, streams, callbacks */
    /** Connections may be accepted again: a client has left, or a second has passed. */
    void (*may_accept)(Loop *loop);
} ClientHooks;

struct Client {
    Source source;
    Loop *loop;
    GList link;
    guint refs;
    uint64_t number; /**< of the connection, from 1 on; its calls are "12.7" in the log */
    int fd;
    uint32_t watched; /**< epoll events asked for */
    ClientState state;

    uid_t uid;
    pid_t pid;
    User *user;       /**< the user; NULL: the peer could not be identified */
    gboolean counted; /**< in the user's connections, and in the server's guests */
    gboolean allowed; /**< may use this socket */
    gboolean trusted; /**< root or the daemon's user */
    gboolean read_only;
    char token[CST_SYSTEM_TOKEN_LEN + 1]; /**< system token that it has presented; "": none */
    CstApiSession session;

    GByteArray *in; /**< read but not yet handled; NULL: nothing. See "reading" in client.c */
    size_t in_room; /**< bytes that @in has without moving */
    size_t in_done; /**< bytes at its front that are handled */
    OutQueue out;
    gboolean in_backlog, in_unsent;

    guint in_flight;
    Lane lanes[WORK_CLASSES];
    size_t call_bytes;   /**< of the packets of calls in flight */
    size_t held;         /**< bytes charged to the user */
    gboolean starved;    /**< not read from because its user holds too much */
    gboolean parked;     /**< a download waits for room in the out queue */
    gint64 moved;        /**< monotonic µs; when bytes came in or went out last */
    GHashTable *tasks;   /**< serial -> CstTask of calls in flight; NULL: none */
    uint64_t next_rate;  /**< limit of the next call that may be long, bytes a second; 0: none */
    gboolean dry_run;    /**< calls from now on are dry runs (CALL_MODE) */
    GHashTable *streams; /**< serial -> Stream; NULL: none */
    size_t upload_bytes; /**< received and not yet written */

    GPtrArray *callbacks; /**< of Callback; NULL: none */
    int next_callback;

    gboolean keepalive;
    gboolean timed;     /**< counted in Loop.timed */
    gint64 born, heard; /**< monotonic µs; heard: of its last packet or answer */
    guint pings;
};

/**
 * Serves the connected socket @fd in @loop, which it takes over; the caller has counted it in
 * n_clients. NULL, with @fd closed and the count taken back, when the connection is refused.
 */
Client *client_new(Loop *loop, int fd, gboolean read_only);
/** Takes a reference. Returns @client. In the loop's thread only: the count is not atomic. */
Client *client_ref(Client *client);
/** Drops a reference; the last one frees the struct. In the loop's thread only. */
void client_unref(Client *client);

/** Handles no more packets; drops the connection when what is queued has been sent. */
void client_close(Client *client);
/**
 * Ends the connection now: its calls and streams end, what is queued is dropped. @why is for the
 * log and may be NULL. Does nothing for a DEAD client. The struct lives until the end of the round.
 */
void client_drop(Client *client, const char *why);

/** Has client->out sent at the end of this round. Call it after adding to the queue. */
void client_sends(Client *client);
/**
 * Call it when something that stopped the reading may be over: packets that wait are handled in the
 * next round, and the socket is read again.
 */
void client_resume(Client *client);
/** Handles packets that were read before, PACKETS_PER_TURN at most. */
void client_continue(Client *client);
/**
 * Sends what is queued, as much as the socket takes; drops a CLOSING client that has nothing left.
 */
void client_flush(Client *client);
/** Whether more may be read from the client's socket now. */
gboolean client_may_read(const Client *client);

/* clients.c */

/** Serves all clients after a round of the loop: packets that wait, bytes to be sent, timeouts. */
void clients_round(Loop *loop);
/** Drops all clients of @loop. */
void clients_drop(Loop *loop, const char *why);
/** Updates Loop.timed. Call it after a change of anything in needs_clock() (client.c). */
void client_update_timed(Client *client);

/** Least room for a read into what is kept of a packet. */
#define CLIENT_READ_MIN (64u * 1024u)

/** Bytes of unread replies above which no call is started and nothing is read for the client. */
#define OUT_HIGH (4u * 1024u * 1024u)

/** Whether the client has uploads or downloads, also ones that are over. */
static inline gboolean client_has_streams(const Client *client)
{
    return client->streams && g_hash_table_size(client->streams) > 0;
}

/** Whether a download may queue another chunk. */
gboolean client_has_room(const Client *client);

/**
 * Queues a packet: @header, and @args encoded by @func (both may be NULL: no payload). What cannot
 * be encoded is replaced by an error. Does nothing for a DEAD client.
 */
void client_send(Client *client, const CstWireHeader *header, xdrproc_t func, const void *args);
/**
 * Queues an error reply to @header, of which it sets the status. @domain is what the client sees as
 * the source of the error.
 */
void client_send_error(Client *client, const CstWireHeader *header, CstWireDomain domain,
                       const GError *error);
