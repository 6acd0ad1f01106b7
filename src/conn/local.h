/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/paths.h>

#include "transport.h"

/** The embedded transport: calls to the service in this process. */
extern const CstTransport cst_local_transport;
/** Starts a service for the root of @paths. Returns the transport's object. */
gpointer cst_local_open(const CstPaths *paths, GError **error);
