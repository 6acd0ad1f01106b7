/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** Maximum of requests in flight of a connection, and of the bytes that they hold. */
#define NBD_FLIGHT_MAX   64
#define NBD_FLIGHT_BYTES (64U << 20)
/** Bytes reserved for each connection, so that it need not wait for another one. */
#define NBD_RESERVED_BYTES (2U << 20)
/** Bytes above the reserved ones, for all connections of a server together. */
#define NBD_COMMON_BYTES (192U << 20)

/** Memory that the connections of a server share. */
typedef struct {
    GMutex lock; /* guards @common */
    GCond cond;  /* signalled when bytes are released */
    uint64_t common;
} NbdBudget;

void nbd_budget_init(NbdBudget *budget);
void nbd_budget_clear(NbdBudget *budget);

/** The requests in flight of one connection. */
typedef struct {
    NbdBudget *budget;
    GMutex lock; /* guards the fields below */
    GCond cond;  /* signalled when a request is done */
    guint requests;
    uint64_t bytes;    /* bytes that the requests hold */
    uint64_t reserved; /* part of @bytes that the budget does not count */
} NbdFlight;

void nbd_flight_init(NbdFlight *flight, NbdBudget *budget);
void nbd_flight_clear(NbdFlight *flight);

/**
 * Counts a request that will hold @bytes (at most NBD_PAYLOAD_MAX), and waits until there is room
 * for it. Call it before the memory is allocated. Return: the bytes that the budget has counted.
 * The connection's thread only.
 */
uint64_t nbd_flight_begin(NbdFlight *flight, uint64_t bytes);
/** Ends a request. @common is the return value of nbd_flight_begin(). From any thread. */
void nbd_flight_end(NbdFlight *flight, uint64_t bytes, uint64_t common);
