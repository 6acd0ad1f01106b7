/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

#include <base/uuid.h>
#include <wire/codec.h>

#include "loop.h"
#include "out.h"

typedef enum {
    CLIENT_NEW,     /**< connected */
    CLIENT_OPEN,    /**< CONNECT_OPEN succeeded */
    CLIENT_CLOSING, /**< says goodbye: sends what waits, reads nothing */
    CLIENT_DEAD     /**< no socket any more */
} ClientState;

/** The driver that a connection names; they differ in little more than their words. */
typedef enum { DRIVER_STORAGE, DRIVER_SECRET, DRIVER_QEMU } Driver;

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

struct Client {
    Source source;
    Loop *loop;
    GList link;
    guint refs;
    int fd;
    uint32_t watched; /**< epoll events asked for */
    ClientState state;

    uid_t uid;
    pid_t pid;
    gboolean counted; /**< in the server's table of users */
    gboolean allowed; /**< may use this socket */
    gboolean trusted; /**< root or the daemon's user */
    gboolean read_only;
    Driver driver;
    char *uri; /**< as CONNECT_GET_URI tells it; NULL until open */

    GByteArray *in; /**< read but not yet handled; NULL: nothing */
    size_t in_done; /**< bytes at its front that are handled */
    OutQueue out;
    gboolean in_backlog, in_unsent;

    guint in_flight;
    guint running;       /**< of these, at the workers */
    GQueue waiting;      /**< calls that wait for their turn */
    GHashTable *tasks;   /**< serial -> CstTask of running calls; NULL: none */
    uint64_t next_rate;  /**< limit of the next call that may be long, bytes a second; 0: none */
    GHashTable *streams; /**< serial -> Stream; NULL: none */
    size_t upload_bytes; /**< received and not yet written */

    GPtrArray *callbacks; /**< of Callback; NULL: none */
    int next_callback;

    gboolean keepalive;
    gint64 born, heard; /**< monotonic µs */
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
/** Time-outs and keepalive; once a second. */
void client_tick(Client *client, gint64 now);
/** Keeps Loop.timed right; after a change of state or keepalive. */
void client_set_timed(Client *client, gboolean was_timed);
gboolean client_is_timed(const Client *client);

/** Queues a packet. */
void client_send(Client *client, const CstWireHeader *header, xdrproc_t func, const void *args);
void client_send_error(Client *client, const CstWireHeader *header, CstWireDomain domain,
                       const GError *error);
