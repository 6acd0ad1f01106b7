/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

#include "client.h"

/**
 * Subscriber of the service: hands @event to every loop with callbacks. From any thread; @event is
 * copied.
 */
void event_post(const CstEvent *event, gpointer server);

/** Removes all callbacks of @client. */
void callbacks_clear(Client *client);
