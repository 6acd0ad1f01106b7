/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/schedules.h>

#include "core/command.h"
#include "core/ctl.h"

/** Completes names of schedules. */
void cli_complete_schedules(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** Row of an option table: the name of a schedule. */
#define SCHEDULE(flags_)                                                       \
    {                                                                          \
        .name = "schedule", .kind = CLI_OPT_STRING, .flags = (flags_),         \
        .help = N_("name of the schedule"), .complete = cli_complete_schedules \
    }

/** Returns the schedule that the command line names, or NULL with NOT_FOUND. */
CstSchedule *cli_schedule(CliCtl *ctl, const CliArgs *args, GError **error);

/* --- select.c -------------------------------------------------------------------------------- */

/** Volumes that get their copies at one moment. */
typedef struct {
    char *machine;   /* the domain of libvirt that they are disks of; NULL: no domain */
    GPtrArray *vols; /* of CstVolRef * */
} ScheduleGroup;

/* --- work.c ---------------------------------------------------------------------------------- */

/** A run under way, and its result. */
typedef struct {
    CliCtl *ctl;
    const CstSchedule *schedule;
    CstScheduleRun run;
    GString *problems; /* a sentence for each failure */
    guint failed;      /* objects for which the action failed */
    guint unfit;       /* objects that cannot have snapshots, such as a raw file on ext4 */
    guint skipped;     /* objects for which it was not possible */
    guint done;        /* objects for which it succeeded */
    GTimeZone *zone;
    /* CstScheduleCopy *: copies of the same time, from a run that was killed; NULL: not loaded */
    GPtrArray *earlier;
} ScheduleWork;

/**
 * Returns the volumes that the schedule selects, as ScheduleGroup *. Running domains make a group;
 * other volumes are alone. A selector without a volume is in the message of the run. Fails if a
 * pool or machine does not exist or is not active, and with NOT_FOUND if no selector has a volume.
 */
GPtrArray *schedule_select(ScheduleWork *work, GError **error);

/** Adds a sentence about an object to the message of the run. */
void schedule_add_problem(ScheduleWork *work, const char *object, const char *text);
/** Adds a failure with its object. Frees @error. */
void schedule_add_failure(ScheduleWork *work, const char *object, GError *error);
/** Adds a failure like schedule_add_failure(), but fails with @why if the run was cancelled. */
gboolean schedule_fail_object(ScheduleWork *work, const char *object, GError *why, GError **error);
/**
 * Adds an object that cannot have snapshots. Frees @error. It is no failure, because a pool may
 * have such volumes, too.
 */
void schedule_add_unfit(ScheduleWork *work, const char *object, GError *error);
/** Fails with UNSUPPORTED if no object of the run can have snapshots. */
gboolean schedule_end_unfit(const ScheduleWork *work, GError **error);
/** Adds the reason why an object was left out. */
void schedule_add_skip(ScheduleWork *work, const char *object, const char *reason);

/* --- snapshots.c ----------------------------------------------------------------------------- */

/** Makes the copies @name of a group, and counts it in @work. @data: of the caller. */
typedef gboolean (*ScheduleGroupFunc)(ScheduleWork *work, const ScheduleGroup *group,
                                      const char *name, gpointer data, GError **error);
/**
 * Calls @make for each group that has room for copies. Failures of single groups are in @work.
 * Fails if the run was cancelled.
 */
gboolean schedule_each_group(ScheduleWork *work, const GPtrArray *groups, ScheduleGroupFunc make,
                             gpointer data, GError **error);
/** Takes the snapshots @name of a group, and records them. On failure there is no record. */
gboolean schedule_group_snapshot(ScheduleWork *work, const ScheduleGroup *group, const char *name,
                                 GError **error);
/** The action "snapshot". Failures of single groups are in @work. */
gboolean schedule_run_snapshots(ScheduleWork *work, GError **error);
/** Removes the snapshots that the schedule made and that no rule keeps. */
gboolean schedule_prune_snapshots(ScheduleWork *work, GError **error);
/**
 * Removes the snapshots at @place (CstScheduleCopy) that the rules of @schedule do not keep. @conn:
 * a connection to the host that has them.
 */
gboolean schedule_prune_place(ScheduleWork *work, CstConn *conn, const char *place,
                              const CstSchedule *schedule, GError **error);

/** Checks the values of the options of a snapshot. @schedule may have any action. */
gboolean schedule_values_check(const CstSchedule *schedule, GError **error);

/* --- copies.c -------------------------------------------------------------------------------- */

/** The action "copy". Failures of single volumes are in @work. */
gboolean schedule_run_copy(ScheduleWork *work, GError **error);
/**
 * Removes old snapshots at the other host by the rules, and here all but the newest one, which is
 * the base of the next run.
 */
gboolean schedule_prune_copies(ScheduleWork *work, GError **error);

/* --- backups.c ------------------------------------------------------------------------------- */

/** The actions that are a command of this program: backup, prove, check, trash-empty. */
gboolean schedule_run_backup(ScheduleWork *work, GError **error);
gboolean schedule_prune_backups(ScheduleWork *work, GError **error);
gboolean schedule_run_prove(ScheduleWork *work, GError **error);
gboolean schedule_run_check(ScheduleWork *work, GError **error);
gboolean schedule_run_trash_empty(ScheduleWork *work, GError **error);
/** The action "rotate-check": a secret with a value that is too old is a failure. */
gboolean schedule_run_rotate_check(ScheduleWork *work, GError **error);

/* --- chains.c -------------------------------------------------------------------------------- */

/** The action "consolidate". Failures of single volumes are in @work. */
gboolean schedule_run_consolidate(ScheduleWork *work, GError **error);
/** Checks the option keep-layers. USAGE. */
gboolean schedule_keep_layers_check(const CstSchedule *schedule, GError **error);

/* --- the rows of commands -------------------------------------------------------------------- */

extern const CliCommand cli_schedule_create_command;
extern const CliCommand cli_schedule_edit_command;
extern const CliCommand cli_schedule_delete_command;
extern const CliCommand cli_schedule_history_command;
extern const CliCommand cli_schedule_info_command;
extern const CliCommand cli_schedule_list_command;
extern const CliCommand cli_schedule_pause_command;
extern const CliCommand cli_schedule_resume_command;
extern const CliCommand cli_schedule_run_command;
extern const CliCommand cli_schedule_simulate_command;
