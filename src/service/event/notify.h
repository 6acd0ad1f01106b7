/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/events.h>

#include "core/service.h"

/** Starts the senders of the rules of @service. Returns NULL without rules. */
Notifier *notifier_start(CstService *service);
/** Cancels the messages under way, and joins the threads. NULL is accepted. */
void notifier_stop(Notifier *notifier);
