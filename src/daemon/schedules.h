/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>
#include <store/paths.h>

/**
 * Starts the runs of schedules at their times. Each run is a process of `cistern schedule-run`,
 * which connects to this daemon.
 */
typedef struct DaemonSchedules DaemonSchedules;

/** Starts the thread that waits for due times. @service is borrowed. @paths is copied. */
DaemonSchedules *daemon_schedules_start(CstService *service, const CstPaths *paths);
/** Ends the runs under way, and waits for their processes. NULL is accepted. */
void daemon_schedules_stop(DaemonSchedules *schedules);
