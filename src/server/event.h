/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

#include "client.h"

/** The service's subscriber: hands the event to every loop that has somebody to tell. */
void event_post(const CstEvent *event, gpointer server);

/** The client doesn't want to hear of any event any more. */
void callbacks_clear(Client *client);
