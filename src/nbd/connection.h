/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <nbd/server.h>

#include "budget.h"
#include "proto.h"
#include "status.h"
#include "tls.h"

/** A client: the negotiated state, and sending and receiving. */

/* Bytes received in advance, so that many short requests need one call. */
typedef struct {
    size_t at, len; /* the unread part of @data */
    uint8_t data[16384];
} NbdAhead;

typedef struct {
    int fd;                     /* borrowed */
    const CstNbdTls *tls;       /* TLS is required; NULL: not required */
    NbdSession *session;        /* the TLS session; NULL: not started */
    const CstNbdExport *export; /* borrowed */
    uint64_t size;
    NbdBudget *budget; /* the server's; borrowed */
    NbdStatus *status; /* as @budget; NULL: other programs may change the blob */
    /**
     * Makes the client a proven one. Returns FALSE if there is no place for it; the connection then
     * ends. NULL: clients are not counted.
     */
    gboolean (*prove)(gpointer client);
    gpointer client;     /* argument of @prove */
    const char *failure; /* why TLS has failed, a static text; NULL: no failure */
    gboolean structured; /* replies to reads are structured */
    uint64_t contexts;   /* bits of the selected contexts, by index */
    gboolean zeroes;     /* the client expects the zero padding of the old handshake */
    /* NULL while negotiating: bytes received before TLS must not be used after its start. */
    NbdAhead *ahead;
} NbdConnection;

/**
 * Reads exactly @len bytes. Call it from one thread at a time. Returns FALSE if the client has
 * disconnected or the socket was shut down.
 */
gboolean nbd_receive(NbdConnection *connection, void *data, size_t len);
/** Sends two buffers, the second of which may be empty. Returns FALSE on failure. */
gboolean nbd_send(NbdConnection *connection, const void *head, size_t head_len, const void *data,
                  size_t len);

/** Sets the options of a TCP listener @fd, which the sockets of its clients inherit. */
void nbd_tune_tcp(int fd);

/** Returns the export's transmission flags for this client. */
uint16_t nbd_transmission_flags(const NbdConnection *connection);

/**
 * Returns the number of contexts of the export. Index 0 is "base:allocation"; the bitmaps follow.
 */
guint nbd_context_count(const CstNbdExport *export);
/** Returns the id of a context on the wire. */
static inline uint32_t nbd_context_id(guint index)
{
    return index + 1;
}

/**
 * Negotiates with a client. Returns FALSE if it disconnects or violates the protocol, and before a
 * transmission without an export.
 */
gboolean nbd_negotiate(NbdConnection *connection);
/** Serves requests until the client disconnects, breaks the rules, or the socket is shut down. */
void nbd_transmit(NbdConnection *connection);
