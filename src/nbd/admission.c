/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Places for clients. An attacker can open connections and never negotiate, so unproven connections
 * take no place of a proven client. A new connection replaces the oldest unproven one of its own
 * host if that host has reached its limit. If all unproven places are in use, it replaces the
 * oldest one of the host with the most unproven connections. Thus a host with few connections loses
 * a connection last.
 */
#include "admission.h"

#include <netinet/in.h>
#include <string.h>

NbdHost nbd_host_of(const struct sockaddr *address)
{
    NbdHost host = {.local = TRUE};

    if (address->sa_family == AF_INET) {
        host.local = FALSE;
        /* The form ::ffff:a.b.c.d, as reported by a socket of both families for IPv4. */
        memset(host.bytes + 10, 0xff, 2);
        memcpy(host.bytes + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)address)->sin6_addr;

        host.local = FALSE;
        memcpy(host.bytes, in6, IN6_IS_ADDR_V4MAPPED(in6) ? 16 : 8);
    }
    return host;
}

static gboolean host_is_equal(const NbdHost *a, const NbdHost *b)
{
    return a->local == b->local && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Counts the proven or unproven guests of @host; NULL: of all hosts. */
static guint guest_count(const GPtrArray *guests, gboolean proven, const NbdHost *host)
{
    guint count = 0;

    for (guint i = 0; i < guests->len; i++) {
        const NbdGuest *guest = g_ptr_array_index(guests, i);

        count += !guest->replaced && guest->proven == proven &&
                 (!host || host_is_equal(&guest->host, host));
    }
    return count;
}

/*
 * Return: the oldest unproven guest of @host, or (NULL) of the host with the most unproven guests.
 */
static NbdGuest *oldest_unproven(const GPtrArray *guests, const NbdHost *host)
{
    NbdGuest *found = NULL;
    guint most = 0;

    for (guint i = 0; i < guests->len; i++) {
        NbdGuest *guest = g_ptr_array_index(guests, i);
        guint count;

        if (guest->proven || guest->replaced || (host && !host_is_equal(&guest->host, host)))
            continue;
        count = guest_count(guests, FALSE, &guest->host);
        if (count > most) {
            found = guest;
            most = count;
        }
    }
    return found;
}

gboolean nbd_admit_unproven(const GPtrArray *guests, const NbdHost *host, NbdGuest **ret_replaced)
{
    *ret_replaced = NULL;
    /* Without a place as a proven client, do not start the handshake. */
    if (guests->len >= NBD_CONNECTIONS_MAX || !nbd_admit_proven(guests, host))
        return FALSE;
    if (!host->local && guest_count(guests, FALSE, host) >= NBD_UNPROVEN_PER_HOST)
        *ret_replaced = oldest_unproven(guests, host);
    else if (guest_count(guests, FALSE, NULL) >= NBD_UNPROVEN_MAX)
        *ret_replaced = oldest_unproven(guests, NULL);
    return TRUE;
}

gboolean nbd_admit_proven(const GPtrArray *guests, const NbdHost *host)
{
    return guest_count(guests, TRUE, NULL) < NBD_PROVEN_MAX &&
           (host->local || guest_count(guests, TRUE, host) < NBD_PROVEN_PER_HOST);
}
