/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/socket.h>

/**
 * Maximum of proven clients of a server, and of unproven ones. Unproven clients take no place of a
 * proven one.
 */
#define NBD_PROVEN_MAX   64
#define NBD_UNPROVEN_MAX 64
/** The same for one host, so that a place is left for another host. */
#define NBD_PROVEN_PER_HOST   48
#define NBD_UNPROVEN_PER_HOST 32
/** Maximum of connections whose threads have not ended, including replaced ones. */
#define NBD_CONNECTIONS_MAX 160

/**
 * The network address by which clients are counted. IPv4 is counted by the whole address, also in
 * IPv6 form (::ffff:a.b.c.d). IPv6 is counted by the /64, because a single host can use all
 * addresses in it.
 */
typedef struct {
    gboolean local; /**< Unix socket: of one user, without a limit by host */
    uint8_t bytes[16];
} NbdHost;

/** A connection, from its acceptance until its thread has ended. Guarded by the server's lock. */
typedef struct {
    int fd;
    NbdHost host;
    gboolean proven;   /**< verified by TLS; without TLS: negotiated */
    gboolean replaced; /**< shut down; its thread is about to end */
} NbdGuest;

/** Returns the host of @address, a socket's peer. */
NbdHost nbd_host_of(const struct sockaddr *address);

/**
 * Returns whether a new connection of @host may be accepted, given @guests (NbdGuest *, oldest
 * first). *ret_replaced is the unproven connection to close for it; NULL: no connection has to be
 * closed.
 */
gboolean nbd_admit_unproven(const GPtrArray *guests, const NbdHost *host, NbdGuest **ret_replaced);

/** Returns whether a connection of @host may become a proven client. */
gboolean nbd_admit_proven(const GPtrArray *guests, const NbdHost *host);
