/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <schedule/run.h>
#include <schedule/schedule.h>
#include <store/paths.h>

/**
 * The database DATA/schedules.db: schedules, the history of their runs, and the copies that they
 * made. Each change is durable on return. A handle belongs to one thread; several handles and
 * processes may use the database at a time. Errors: IO, NO_SPACE.
 */
typedef struct CstSchedules CstSchedules;

/** Maximum number of schedules, so that a list fits into a reply. */
#define CST_SCHEDULES_MAX 1000
/** Number of runs of a schedule that the history keeps. */
#define CST_SCHEDULE_RUNS_KEPT 2000

/** Opens the database, and creates it when it does not exist. The caller frees the handle. */
CstSchedules *cst_schedules_open(const CstPaths *paths, GError **error);
/**
 * Like cst_schedules_open(), but returns NULL without an error if the database does not exist, so
 * that a host without schedules gets no database.
 */
CstSchedules *cst_schedules_open_existing(const CstPaths *paths, GError **error);
/**
 * Returns a text that differs after each change of the database. The caller frees it. Does not open
 * the database.
 */
char *cst_schedules_stamp(const CstPaths *paths);
/** NULL is accepted. */
void cst_schedules_close(CstSchedules *schedules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSchedules, cst_schedules_close)

/** Returns all schedules (CstSchedule *) by name. The caller drops the array. */
GPtrArray *cst_schedules_list(CstSchedules *schedules, GError **error);
/** Returns a schedule by its name; NOT_FOUND names it. The caller frees it. */
CstSchedule *cst_schedules_find(CstSchedules *schedules, const char *name, GError **error);
/** Stores a new schedule; EXISTS if its name is in use, LIMIT with CST_SCHEDULES_MAX. */
gboolean cst_schedules_add(CstSchedules *schedules, const CstSchedule *schedule, GError **error);
/**
 * Replaces the definition of the schedule with the UUID of @schedule, except created. handled is
 * replaced only if the calendar expression changes, so that a new one has no missed times.
 * NOT_FOUND; EXISTS if another one has its name.
 */
gboolean cst_schedules_change(CstSchedules *schedules, const CstSchedule *schedule, GError **error);
/** Removes a schedule, its history and the records of its copies. The copies stay. NOT_FOUND. */
gboolean cst_schedules_remove(CstSchedules *schedules, const char *name, GError **error);

/* --- runs ------------------------------------------------------------------------------------ */

/** The jobs of the runs under way. */
typedef struct {
    /** Whether the job @number runs. Must not use the database. */
    gboolean (*runs)(uint64_t number, gpointer data);
    gpointer data;
    GPtrArray *interrupted; /**< gets the name (char *) of a schedule for each run that is marked */
} CstScheduleJobs;

/**
 * Begins a run: records it, and the time that it handles. BUSY, naming the job, if a run of the
 * schedule is under way, or if one has handled this time since. The record of a run whose job has
 * ended becomes INTERRUPTED.
 * @handled: the time up to which the schedule is done afterwards; 0: unchanged. Sets run->id,
 * run->began and run->state from the caller's values.
 */
gboolean cst_schedules_begin(CstSchedules *schedules, CstScheduleRun *run, int64_t handled,
                             const CstScheduleJobs *jobs, GError **error);
/** Records the end of the run @run->id. NOT_FOUND if it does not run. */
gboolean cst_schedules_end(CstSchedules *schedules, const CstScheduleRun *run, GError **error);
/**
 * Marks the runs under way whose job has ended as INTERRUPTED, so that no dead run appears as
 * running. The planned time of such a run is due again, once.
 */
gboolean cst_schedules_mark_interrupted(CstSchedules *schedules, const CstScheduleJobs *jobs,
                                        GError **error);
/**
 * Returns runs (CstScheduleRun *), the newest first: of schedule @name (NULL: of all), with an id
 * below @before (0: all), at most @max. The caller drops the array.
 */
GPtrArray *cst_schedules_history(CstSchedules *schedules, const char *name, int64_t before,
                                 guint max, GError **error);

/* --- copies ---------------------------------------------------------------------------------- */

/**
 * Returns copies (CstScheduleCopy *) of schedule @name by id: at most @max, with an id above
 * @after.
 */
GPtrArray *cst_schedules_copies(CstSchedules *schedules, const char *name, int64_t after, guint max,
                                GError **error);
/**
 * Stores the copies of schedule @name, all or no copy. A copy with an id replaces the record of the
 * schedule with this id, NOT_FOUND without one. Sets the id of new ones.
 */
gboolean cst_schedules_set_copies(CstSchedules *schedules, const char *name,
                                  const GPtrArray *copies, GError **error);
/** Removes the records with these ids, all or no record. */
gboolean cst_schedules_forget_copies(CstSchedules *schedules, const int64_t *ids, guint count,
                                     GError **error);
/**
 * Changes the records of copies of a volume that has a new name or pool now. Succeeds without a
 * database.
 */
gboolean cst_schedules_rename_volume(const CstPaths *paths, const char *pool, const char *volume,
                                     const char *new_pool, const char *new_volume, GError **error);
