/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/**
 * Identifies the peer of @client and decides whether it may use this socket. Root and the daemon's
 * own user may use any socket, members of the configured group the read-write one, and every user
 * the read-only one. Acquires a reference of the user and counts the connection. Returns FALSE if
 * the kernel reports no peer, or if an untrusted user has too many connections. The caller then
 * calls peer_forget() and drops the client.
 */
gboolean peer_identify(Client *client);
/** Removes the connection from the counts. May be called more than once, and after a failure. */
void peer_forget(Client *client);
