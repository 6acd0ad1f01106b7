/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of requests in flight. A client that sends requests and does not read replies makes
 * the server hold their data. Therefore a request is charged before its data is read or memory is
 * allocated. If the limit is reached, the connection's thread stops reading, and the client's own
 * buffers fill.
 *
 * There are two limits. A connection may have NBD_FLIGHT_BYTES and NBD_FLIGHT_MAX requests. All
 * connections of a server share NBD_COMMON_BYTES. The first NBD_RESERVED_BYTES of a connection are
 * not charged to the shared bytes. Thus clients that do not read never block the short requests of
 * another client. A server holds at most NBD_COMMON_BYTES plus NBD_RESERVED_BYTES for each client.
 */
#include "budget.h"

#include <base/test_point.h>

void nbd_budget_init(NbdBudget *budget)
{
    *budget = (NbdBudget){0};
    g_mutex_init(&budget->lock);
    g_cond_init(&budget->cond);
}

void nbd_budget_clear(NbdBudget *budget)
{
    g_mutex_clear(&budget->lock);
    g_cond_clear(&budget->cond);
}

void nbd_flight_init(NbdFlight *flight, NbdBudget *budget)
{
    *flight = (NbdFlight){.budget = budget};
    g_mutex_init(&flight->lock);
    g_cond_init(&flight->cond);
}

void nbd_flight_clear(NbdFlight *flight)
{
    g_mutex_clear(&flight->lock);
    g_cond_clear(&flight->cond);
}

/* Counts the request. Return: whether @bytes are within the connection's reserved bytes. */
static gboolean flight_count(NbdFlight *flight, uint64_t bytes)
{
    gboolean own;

    g_mutex_lock(&flight->lock);
    while (flight->requests >= NBD_FLIGHT_MAX ||
           (flight->bytes > 0 && flight->bytes + bytes > NBD_FLIGHT_BYTES)) {
        CST_TEST_POINT("nbd.flight.wait");
        g_cond_wait(&flight->cond, &flight->lock);
    }
    flight->requests++;
    flight->bytes += bytes;
    own = flight->reserved + bytes <= NBD_RESERVED_BYTES;
    if (own)
        flight->reserved += bytes;
    g_mutex_unlock(&flight->lock);
    return own;
}

uint64_t nbd_flight_begin(NbdFlight *flight, uint64_t bytes)
{
    NbdBudget *budget = flight->budget;

    if (flight_count(flight, bytes))
        return 0;
    g_mutex_lock(&budget->lock);
    while (budget->common + bytes > NBD_COMMON_BYTES) {
        CST_TEST_POINT("nbd.budget.wait");
        g_cond_wait(&budget->cond, &budget->lock);
    }
    budget->common += bytes;
    g_mutex_unlock(&budget->lock);
    return bytes;
}

void nbd_flight_end(NbdFlight *flight, uint64_t bytes, uint64_t common)
{
    NbdBudget *budget = flight->budget;

    if (common > 0) {
        g_mutex_lock(&budget->lock);
        budget->common -= common;
        g_cond_broadcast(&budget->cond);
        g_mutex_unlock(&budget->lock);
    }
    g_mutex_lock(&flight->lock);
    flight->requests--;
    flight->bytes -= bytes;
    flight->reserved -= bytes - common;
    g_cond_signal(&flight->cond);
    g_mutex_unlock(&flight->lock);
}
