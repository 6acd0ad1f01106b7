/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <schedule/run.h>
#include <schedule/schedule.h>
#include <service/service.h>

/**
 * Schedules of the host, and the records of their runs (store/schedules.h). The commands of the
 * command line execute the runs (schedule-run); the daemon starts it at the due times. All calls
 * access the database only. Any thread.
 *
 * Runs have the rights of this process. So all calls that change a schedule which goes outside of
 * the pools (cst_schedule_goes_outside()), or its records, fail with DENIED for a client of another
 * user (base/log_context.h).
 */

/**
 * Returns the schedules (CstSchedule *) by name: all, or the one with @name, NOT_FOUND if it does
 * not exist. The caller drops the array.
 */
GPtrArray *cst_service_schedules(CstService *service, const char *name, GError **error);
/**
 * Stores a definition. With a zero UUID the schedule is new: it gets a UUID, and elapses from now
 * on. Otherwise the schedule with the UUID is changed. INVALID, EXISTS, NOT_FOUND, LIMIT.
 */
gboolean cst_service_schedule_set(CstService *service, CstSchedule *schedule, GError **error);
/** Removes a schedule and its history. Its snapshots and backups stay. NOT_FOUND, BUSY. */
gboolean cst_service_schedule_delete(CstService *service, const char *name, GError **error);

/** Returns runs (CstScheduleRun *); see cst_schedules_history(). */
GPtrArray *cst_service_schedule_history(CstService *service, const char *name, int64_t before,
                                        guint max, GError **error);
/** Begins a run, see cst_schedules_begin(). run->job must be a job of the caller. */
gboolean cst_service_schedule_begin(CstService *service, CstScheduleRun *run, int64_t handled,
                                    GError **error);
/** Records the end of a run. */
gboolean cst_service_schedule_end(CstService *service, const CstScheduleRun *run, GError **error);

/** Returns copies (CstScheduleCopy *) of a schedule by id; see cst_schedules_copies(). */
GPtrArray *cst_service_schedule_copies(CstService *service, const char *name, int64_t after,
                                       guint max, GError **error);
/** Stores copies; see cst_schedules_set_copies(). */
gboolean cst_service_schedule_set_copies(CstService *service, const char *name,
                                         const GPtrArray *copies, GError **error);
/** Removes records of copies; see cst_schedules_forget_copies(). */
gboolean cst_service_schedule_forget_copies(CstService *service, const int64_t *ids, guint count,
                                            GError **error);

/**
 * Adds an event for each schedule whose newest backup is too old at the time @now, and the end of
 * this state for the other schedules of backups.
 */
gboolean cst_service_schedule_check_backups(CstService *service, int64_t now, GError **error);
