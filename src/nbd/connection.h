/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <nbd/server.h>

#include "budget.h"
#include "proto.h"
#include "tls.h"

/** One client: what was agreed with it, and how bytes get to it and from it. */

/* Received before it was asked for, so that many short requests cost one call. */
typedef struct {
    size_t at, len; /* what is left of @data */
    uint8_t data[16384];
} NbdAhead;

typedef struct {
    int fd;                     /* borrowed */
    const CstNbdTls *tls;       /* that is demanded; NULL: none */
    NbdSession *session;        /* once it has begun */
    const CstNbdExport *export; /* borrowed */
    uint64_t size;
    NbdBudget *budget; /* the server's; borrowed */
    /**
     * Makes the client a proven one. FALSE: there is no place for it, and the connection ends.
     * NULL: none is counted.
     */
    gboolean (*prove)(gpointer client);
    gpointer client;     /* argument of @prove */
    const char *failure; /* why TLS has failed, a static text; NULL: it has not */
    gboolean structured; /* replies to reads come in chunks */
    uint64_t contexts;   /* bits of those that were chosen, by their indexes */
    gboolean zeroes;     /* the client wants the padding of old times */
    /* NULL while negotiating: what comes before TLS must not count behind it. */
    NbdAhead *ahead;
} NbdConnection;

/**
 * Reads exactly @len bytes, in one thread at a time. FALSE when the client has gone, or was sent
 * away, or the server stops.
 */
gboolean nbd_receive(NbdConnection *connection, void *data, size_t len);
/** Sends two pieces, the second of which may be empty. FALSE as above. */
gboolean nbd_send(NbdConnection *connection, const void *head, size_t head_len, const void *data,
                  size_t len);

/** Sets the options of a TCP listener @fd, which the sockets of its clients inherit. */
void nbd_tune_tcp(int fd);

/** The export's transmission flags, for this client. */
uint16_t nbd_transmission_flags(const NbdConnection *connection);

/**
 * Returns how many contexts the export has. Index 0 is "base:allocation"; behind it stand the
 * bitmaps.
 */
guint nbd_context_count(const CstNbdExport *export);
/** What the wire calls a context. */
static inline uint32_t nbd_context_id(guint index)
{
    return index + 1;
}

/** Agrees with a client; FALSE: it has gone, or breaks the rules: there is nothing to serve. */
gboolean nbd_negotiate(NbdConnection *connection);
/** Serves requests until the client disconnects, breaks the rules, or the socket is shut down. */
void nbd_transmit(NbdConnection *connection);
