/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transport.h"
#include "uri.h"

/** Calls by libvirt's RPC, to cisternd or to a stock libvirtd. */
extern const CstTransport cst_remote_transport;

/**
 * Connects and opens @uri->name. *ret_reached: somebody listened there, whatever came of it.
 */
gpointer cst_remote_open(const CstConnUri *uri, gboolean read_only, gboolean *ret_reached,
                         GError **error);
