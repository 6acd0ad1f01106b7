/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/** Samples the use of all active pools every five minutes (service/usage.h). */
typedef struct DaemonUsage DaemonUsage;

/** Starts the thread. @service must live until the stop. */
DaemonUsage *daemon_usage_start(CstService *service);
/** Cancels a sample under way, and waits for the thread. NULL is accepted. */
void daemon_usage_stop(DaemonUsage *usage);
