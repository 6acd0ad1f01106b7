/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/paths.h>

#include "transport.h"

/** Calls to the service in this process. */
extern const CstTransport cst_local_transport;
gpointer cst_local_open(const CstPaths *paths, GError **error);
