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
    CLIENT_CLOSING, /**< says goodbye: sends what waits, reads nothing */
    CLIENT_DEAD     /**< no socket any more */
} ClientState;

typedef enum { CALLBACK_POOL, CALLBACK_SECRET, CALLBACK_OTHER } CallbackKind;

/** An event that a client wants to hear of. */
typedef struct {
    int id;
    CallbackKind kind;
    int procedure; /**< that registered it; kinds of OTHER differ by it */
    int event;
    gboolean has_uuid; /**< only of this object */
    CstUuid uuid;
} Callback;

/** What the layers above clients do for one; server.c fills it in, because it knows them all. */
typedef struct {
    /** A whole packet; FALSE: the connection can't go on. */
    gboolean (*packet)(Client *client, const uint8_t *packet, size_t len);
    /** Packets that have to wait, the last of which may not be whole: what can't wait in them. */
    void (*ahead)(Client *client, uint8_t *packets, size_t len);
    void (*room)(Client *client); /**< there may be room to send again */
    void (*tick)(Client *client); /**< once a second, of open ones that need the clock */
    void (*gone)(Client *client); /**< its calls, streams and registrations end */
    /** Connections may be accepted again: there is one less, or a second has passed. */
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
    User *user;       /**< who it is; NULL: nobody could be told */
    gboolean counted; /**< in the user's connections, and in the server's guests */
    gboolean allowed; /**< may use this socket */
    gboolean trusted; /**< root or the daemon's user */
    gboolean read_only;
    char token[CST_SYSTEM_TOKEN_LEN + 1]; /**< system token it has shown; "": none */
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
    gboolean dry_run;    /**< the calls from now on are (CALL_MODE) */
    GHashTable *streams; /**< serial -> Stream; NULL: none */
    size_t upload_bytes; /**< received and not yet written */

    GPtrArray *callbacks; /**< of Callback; NULL: none */
    int next_callback;

    gboolean keepalive;
    gboolean timed;     /**< counted in Loop.timed */
    gint64 born, heard; /**< monotonic µs; heard: of its last packet or answer */
    guint pings;
};

/** Takes @fd over. NULL (and @fd closed) when the connection is refused at once. */
Client *client_new(Loop *loop, int fd, gboolean read_only);
Client *client_ref(Client *client);
void client_unref(Client *client);

/** Says goodbye after what waits has been sent. */
void client_close(Client *client);
/** Cuts the connection off now. */
void client_drop(Client *client, const char *why);

/** Something was added to client->out: send it at the end of this round. */
void client_sends(Client *client);
/** Something that stopped the reading may be over: look at the packets that wait, read on. */
void client_resume(Client *client);
/** Handles packets read before; a limited number. */
void client_continue(Client *client);
void client_flush(Client *client);
/** Whether its socket is read now. */
gboolean client_may_read(const Client *client);

/* clients.c */

/** Their turns after a round of the loop: packets that wait, what is to be sent, time-outs. */
void clients_round(Loop *loop);
void clients_drop(Loop *loop, const char *why);
/** Keeps Loop.timed right; after a change of what the clock may be needed for. */
void client_update_timed(Client *client);

/** Bytes that are read at once, and kept of a packet that is not whole, at least. */
#define CLIENT_READ_MIN (64u * 1024u)

/** Replies that wait to be read; above this nothing more is started or read for the client. */
#define OUT_HIGH (4u * 1024u * 1024u)

static inline gboolean client_has_streams(const Client *client)
{
    return client->streams && g_hash_table_size(client->streams) > 0;
}

/** Whether a download may add to what waits to be sent. */
gboolean client_has_room(const Client *client);

/** Queues a packet. */
void client_send(Client *client, const CstWireHeader *header, xdrproc_t func, const void *args);
void client_send_error(Client *client, const CstWireHeader *header, CstWireDomain domain,
                       const GError *error);
