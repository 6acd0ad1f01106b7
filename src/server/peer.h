/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/**
 * Who is at the other end, and may it be here: root and the daemon's own user everywhere, members
 * of the configured group on the read-write socket, anybody on the read-only one. FALSE: too many
 * connections of one user who is none of these, or a socket that does not tell.
 */
gboolean peer_identify(Client *client);
void peer_forget(Client *client);
