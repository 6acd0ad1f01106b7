/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/uuid.h>
#include <schedule/retention.h>

/**
 * A schedule: an action on volumes at times of a calendar expression, and the copies of it that are
 * kept. This module decides and calculates only; it accesses no storage and no clock.
 */

typedef enum {
    CST_SCHEDULE_SNAPSHOT,
    CST_SCHEDULE_BACKUP,
    CST_SCHEDULE_COPY,
    CST_SCHEDULE_PROVE,
    CST_SCHEDULE_CHECK,
    CST_SCHEDULE_TRASH_EMPTY,
    CST_SCHEDULE_ROTATE_CHECK,
    CST_SCHEDULE_CONSOLIDATE,
    CST_SCHEDULE_ACTION_LAST
} CstScheduleAction;

/** Returns the word of an action: "snapshot", …; not translated. NULL for other numbers. */
const char *cst_schedule_action_word(int action);
/** Parses such a word. Returns FALSE without an error for other texts. */
gboolean cst_schedule_action_parse(const char *word, CstScheduleAction *ret_action);
/** Whether runs of the action make copies (snapshots, backups) that retention removes. */
gboolean cst_schedule_action_makes(CstScheduleAction action);

/** Maximum number of copies of one rule, and of --keep-min. */
#define CST_SCHEDULE_KEEP_MAX 10000
/** Maximum length of a name in bytes, so that a name with a time is valid in all pools. */
#define CST_SCHEDULE_NAME_MAX 64
/** Maximum number of selectors of a schedule. */
#define CST_SCHEDULE_SELECTORS_MAX 256
/** Maximum length of a calendar expression, and of all selectors and options, in bytes. */
#define CST_SCHEDULE_EVERY_MAX 256
#define CST_SCHEDULE_TEXT_MAX  8192
/** A time up to which a schedule is done may be so many seconds in the future (a clock was set). */
#define CST_SCHEDULE_AHEAD_S 86400

typedef struct {
    char *name;
    CstUuid uuid; /**< its identity: a new schedule of the same name does not own its copies */
    char *every;  /**< calendar expression */
    CstScheduleAction action;
    GStrv on;      /**< selectors (selector.h), never NULL */
    GStrv options; /**< "NAME=VALUE", sorted by name, never NULL */
    CstRetention keep;
    uint32_t keep_min; /**< the newest so many are kept in any case */
    gboolean paused;
    int64_t created; /**< seconds since the epoch */
    int64_t handled; /**< the time up to which elapsed times are done */
} CstSchedule;

/** Returns an empty schedule, which the caller frees. */
CstSchedule *cst_schedule_new(void);
/** NULL is accepted. */
void cst_schedule_free(CstSchedule *schedule);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSchedule, cst_schedule_free)

/** Names of options, and whether an action needs them. */
typedef struct {
    const char *name;
    unsigned takes;   /**< bit 1 << CstScheduleAction: the action takes the option */
    unsigned needs;   /**< likewise: the action needs it */
    gboolean outside; /**< it names a file or host outside of the pools */
} CstScheduleOption;
/** Returns the table of options, which ends with a row without a name. */
const CstScheduleOption *cst_schedule_options(void);
/** Returns the value of an option, borrowed; NULL: not set. */
const char *cst_schedule_option(const CstSchedule *schedule, const char *name);
/**
 * Whether runs access files or hosts outside of the pools. They run with the rights of the daemon,
 * so only its own user may define such a schedule.
 */
gboolean cst_schedule_goes_outside(const CstSchedule *schedule);
/** Sets an option, or removes it if @value is NULL. */
void cst_schedule_set_option(CstSchedule *schedule, const char *name, const char *value);

/**
 * Checks the name, the calendar expression, the selectors, the options and the numbers. Fails with
 * INVALID, naming the part that is wrong.
 */
gboolean cst_schedule_check(const CstSchedule *schedule, GError **error);

/**
 * Returns the latest time in (schedule->handled, @now] at which the schedule elapses;
 * CST_CALENDAR_NEVER: none, or the schedule is paused. So many missed times are made good by one
 * run. If the clock was put back, times that are handled already do not elapse again. A handled
 * time that is more than a day ahead came from a wrong clock, and does not count. *ret_next (may be
 * NULL): the next time after @now that is not handled.
 */
int64_t cst_schedule_due(const CstSchedule *schedule, int64_t now, GTimeZone *zone,
                         int64_t *ret_next);

/** A run may begin this time after its planned time. */
#define CST_SCHEDULE_LATE_S 3600

/**
 * Whether a backup of time @newest is too old at @now: two later runs of the schedule should have
 * begun. @newest: 0 if there is no backup; the creation of the schedule counts then. FALSE for a
 * paused schedule, and for one with another action.
 */
gboolean cst_schedule_backup_is_old(const CstSchedule *schedule, int64_t newest, int64_t now);

/**
 * Decides which copies of one volume to keep, as cst_retention_decide() does. The newest keep_min
 * ones are kept. Without a rule all are kept.
 */
GPtrArray *cst_schedule_decide(const CstSchedule *schedule, const gint64 *times, guint count,
                               GTimeZone *zone);

/** Returns the name of a copy of @time, in UTC: "NAME-20261201T010000Z". The caller frees it. */
char *cst_schedule_copy_name(const CstSchedule *schedule, int64_t time);

/** A run of a simulation, and the copies of a volume after it. All times are seconds. */
typedef struct {
    int64_t time;
    const gint64 *kept; /**< times of the copies after the run, the newest first */
    guint n_kept;
    const gint64 *pruned; /**< times of the copies that the run removed, the newest first */
    guint n_pruned;
} CstScheduleStep;

/** Receives a step of a simulation. Returns FALSE to end it. */
typedef gboolean (*CstScheduleStepFunc)(const CstScheduleStep *step, gpointer data);

/**
 * Calls @func for each run in (@from, @until], with the decisions that the runs will make.
 * @existing: times of the @count copies of a volume that exist at @from, in any order.
 */
void cst_schedule_simulate(const CstSchedule *schedule, const gint64 *existing, guint count,
                           int64_t from, int64_t until, GTimeZone *zone, CstScheduleStepFunc func,
                           gpointer data);
