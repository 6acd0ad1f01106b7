/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

#include "client.h"

/**
 * Posts a copy of @event to each loop whose clients have callbacks. The service calls it as a
 * subscriber, from any thread. @server is the CstWireServer.
 */
void event_post(const CstEvent *event, gpointer server);

/** Removes all callbacks of @client. */
void callbacks_clear(Client *client);
