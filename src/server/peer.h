/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/**
 * Fills in who is at the other end of @client and whether it may use this socket: root and the
 * daemon's own user may use any, members of the configured group the read-write one, everybody the
 * read-only one. Takes a reference of the user and counts the connection. FALSE when the socket
 * names no peer, or when a user who is not trusted has too many connections; the caller then calls
 * peer_forget() and drops the client.
 */
gboolean peer_identify(Client *client);
/** Takes the connection out of the counts. May be called more than once, and after a failure. */
void peer_forget(Client *client);
