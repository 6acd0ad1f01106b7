/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transport.h"
#include "uri.h"

/** The remote transport: libvirt's RPC, to cisternd or to a stock libvirtd. */
extern const CstTransport cst_remote_transport;

/**
 * Connects to uri->socket, directly or over ssh, authenticates and opens uri->name. Returns the
 * transport's object. *ret_reached: a server accepted the connection, even if opening then failed.
 */
gpointer cst_remote_open(const CstConnUri *uri, gboolean read_only, gboolean *ret_reached,
                         GError **error);
