/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "provider.h"
#include "uri.h"

/** The provider that speaks libvirt's RPC to cisternd or to a stock libvirtd. */
extern const CstConnOps cst_remote_ops;

/**
 * Connects and opens @uri->name. @asked is what the user typed; NULL: cst_conn_uri() asks the
 * server. *ret_reached: somebody listened there, whatever came of it.
 */
gpointer cst_remote_open(const CstConnUri *uri, const char *asked, gboolean read_only,
                         gboolean *ret_reached, GError **error);
