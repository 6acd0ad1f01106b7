/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/socket.h>

/** Proven clients of a server, and unproven ones, which have places of their own. */
#define NBD_PROVEN_MAX   64
#define NBD_UNPROVEN_MAX 64
/** Of these, how many one host may have, so that a place is left for another host. */
#define NBD_PROVEN_PER_HOST   48
#define NBD_UNPROVEN_PER_HOST 32
/** Connections whose threads have not ended yet, replaced ones included. */
#define NBD_CONNECTIONS_MAX 160

/**
 * The network address by which clients are counted: IPv4 whole, also as an IPv6 address
 * (::ffff:a.b.c.d); of IPv6 the /64, because a single host can use all addresses in it.
 */
typedef struct {
    gboolean local; /**< Unix socket: one user's, without a limit by host */
    uint8_t bytes[16];
} NbdHost;

/** A connection, from its acceptance until its thread has ended. The server's lock guards it. */
typedef struct {
    int fd;
    NbdHost host;
    gboolean proven;   /**< verified by TLS, or, where TLS is not demanded, negotiated */
    gboolean replaced; /**< shut down; its thread is about to end */
} NbdGuest;

/** Returns the host of @address, a socket's peer. */
NbdHost nbd_host_of(const struct sockaddr *address);

/**
 * Whether a new connection of @host has a place among @guests (NbdGuest *, oldest first).
 * *ret_replaced is the unproven connection that has to go for it; NULL: none.
 */
gboolean nbd_admit_unproven(const GPtrArray *guests, const NbdHost *host, NbdGuest **ret_replaced);

/** Whether a connection of @host may become one of the proven clients. */
gboolean nbd_admit_proven(const GPtrArray *guests, const NbdHost *host);
