/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>
#include <schedule/run.h>
#include <schedule/schedule.h>

/**
 * Schedules of the server's host. All calls fail with NO_SUPPORT by a stock server, and with
 * NOT_FOUND if there is no schedule of that name.
 */

/** Returns schedules (CstSchedule *) by name: all (NULL), or the one with @name. */
GPtrArray *cst_conn_schedules(CstConn *conn, const char *name, GError **error);
/**
 * Stores a definition: a new one if its UUID is zero, else it replaces the one with this UUID.
 * Fails with INVALID, and with EXISTS if another schedule has its name.
 */
gboolean cst_conn_schedule_set(CstConn *conn, const CstSchedule *schedule, GError **error);
/** Removes a schedule and its history. Its snapshots and backups stay. */
gboolean cst_conn_schedule_delete(CstConn *conn, const char *name, GError **error);

/**
 * Returns runs (CstScheduleRun *), the newest first, at most @max: of schedule @name (NULL: of
 * all).
 */
GPtrArray *cst_conn_schedule_history(CstConn *conn, const char *name, guint max, GError **error);
/**
 * Records the begin of a run, and sets run->id. Uses its schedule, planned, began, manual and job,
 * which is the number of a job of this process. @handled: the time up to which the schedule is done
 * now; 0: unchanged. BUSY if it runs already.
 */
gboolean cst_conn_schedule_begin(CstConn *conn, CstScheduleRun *run, int64_t handled,
                                 GError **error);
/** Records the end of a run. */
gboolean cst_conn_schedule_end(CstConn *conn, const CstScheduleRun *run, GError **error);

/** Returns the copies (CstScheduleCopy *) of a schedule, the newest first. */
GPtrArray *cst_conn_schedule_copies(CstConn *conn, const char *name, GError **error);
/** Stores copies, and sets their ids. A copy with an id replaces the record with this id. */
gboolean cst_conn_schedule_set_copies(CstConn *conn, const char *name, const GPtrArray *copies,
                                      GError **error);
/** Removes the records of @copies; the copies themselves stay. */
gboolean cst_conn_schedule_forget_copies(CstConn *conn, const GPtrArray *copies, GError **error);
