/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clock of schedules. A thread looks every few seconds whether the database has changed, and
 * reads the schedules only then, or when one is due. So a clock that is set, and a schedule of
 * another process, count within that time. Each run has a thread that waits for its process.
 *
 * A daemon without schedules has no database, and looks only whether there is one.
 */
#include "schedules.h"

#include <unistd.h>

#include <base/child.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/task.h>
#include <schedule/calendar.h>
#include <service/schedules.h>
#include <store/schedules.h>

#define LOOK_S     5
#define RETRY_S    60  /* after a database that could not be read, or a run that did not begin */
#define RUNS_MAX   8   /* at a time; further ones wait */
#define ZONE_S     60  /* between two calculations: the zone of the host may change */
#define BACKUPS_S  600 /* between two checks of the age of backups */
#define OUTPUT_MAX (1u << 20)

struct DaemonSchedules {
    CstService *service;
    CstPaths *paths;
    char *program;
    GThread *thread;
    GMutex lock; /* guards the fields below */
    GCond changed;
    gboolean stop;
    gboolean look;       /* a run has ended, so that another one may begin */
    GHashTable *running; /* name of a schedule to its CstTask */

    /* Of the thread: */
    char *seen;              /* cst_schedules_stamp() at the last look; NULL: before the first */
    GHashTable *attempts;    /* name of a schedule to its last Attempt */
    int64_t next;            /* when the next schedule is due, or CST_CALENDAR_NEVER */
    int64_t backups_checked; /* time of the last check of the age of backups */
};

/* --- a run ------------------------------------------------------------------------------------ */

typedef struct {
    DaemonSchedules *schedules;
    char *name;
    CstTask *task;
} Run;

/* The failure of a run is in its history. The log has it, too, for a failure to begin. */
static void run_log(const Run *run, const CstChildResult *result)
{
    g_auto(GStrv) lines = g_strsplit(result->err, "\n", -1);

    for (char **line = lines; *line; line++)
        if (**line)
            cst_log(result->status == 0 ? CST_LOG_INFO : CST_LOG_WARNING, "schedule '%s': %s",
                    run->name, *line);
}

/* The lock is the last access to @schedules, which may be freed after it. */
static void run_end(Run *run)
{
    DaemonSchedules *schedules = run->schedules;

    g_mutex_lock(&schedules->lock);
    g_hash_table_remove(schedules->running, run->name);
    schedules->look = TRUE;
    g_cond_broadcast(&schedules->changed);
    g_mutex_unlock(&schedules->lock);
    cst_task_unref(run->task);
    g_free(run->name);
    g_free(run);
}

static gpointer run_main(gpointer data)
{
    Run *run = data;
    DaemonSchedules *schedules = run->schedules;
    const char *root = schedules->paths->root ? schedules->paths->root : "/";
    /* Never the server of the environment or of client.conf. */
    const char *argv[] = {schedules->program,
                          "--no-input",
                          schedules->paths->session ? "--connect" : "--root",
                          schedules->paths->session ? "storage:///session" : root,
                          "schedule-run",
                          "--due",
                          run->name,
                          NULL};
    const CstChild child = {.argv = argv, .output_limit = OUTPUT_MAX, .ends_with_us = TRUE};
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    if (cst_child_run(&child, run->task, &result, &error))
        run_log(run, &result);
    else
        cst_log(CST_LOG_WARNING, _("schedule '%s': %s"), run->name, error->message);
    run_end(run);
    return NULL;
}

/*
 * Starts the process of a run unless one is under way. The end of a run causes the next look.
 * Returns FALSE if it is under way, or has to wait for another one.
 */
static gboolean schedules_start_run(DaemonSchedules *schedules, const char *name)
{
    Run *run;
    GThread *thread;

    g_mutex_lock(&schedules->lock);
    if (schedules->stop || g_hash_table_contains(schedules->running, name) ||
        g_hash_table_size(schedules->running) >= RUNS_MAX) {
        g_mutex_unlock(&schedules->lock);
        return FALSE;
    }
    run = g_new0(Run, 1);
    *run = (Run){schedules, g_strdup(name), cst_task_new()};
    g_hash_table_insert(schedules->running, g_strdup(name), run->task);
    g_mutex_unlock(&schedules->lock);
    thread = g_thread_try_new("schedule", run_main, run, NULL);
    if (thread)
        g_thread_unref(thread);
    else {
        cst_log(CST_LOG_WARNING, _("schedule '%s': cannot create a thread"), name);
        run_end(run);
    }
    return TRUE;
}

/* --- the clock -------------------------------------------------------------------------------- */

static int64_t seconds_now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/* Adds the events of backups that are too old. A clock that was put back causes a check, too. */
static void schedules_check_backups(DaemonSchedules *schedules, int64_t now)
{
    g_autoptr(GError) error = NULL;

    if (now >= schedules->backups_checked && now < schedules->backups_checked + BACKUPS_S)
        return;
    schedules->backups_checked = now;
    if (!cst_service_schedule_check_backups(schedules->service, now, &error))
        cst_log(CST_LOG_WARNING, _("the age of backups is unknown: %s"), error->message);
}

/*
 * A run that does not begin leaves its time due: another run is under way, the disk is full, or the
 * program is missing. The same time is not tried again before the delay has passed.
 */
typedef struct {
    int64_t due;
    gint64 began; /* monotonic time */
} Attempt;

/*
 * Starts the run of time @due. Keeps its attempt in @attempts. Returns the seconds until the next
 * attempt; 0: it was started, or is under way.
 */
static int64_t schedules_attempt(DaemonSchedules *schedules, const char *name, int64_t due,
                                 GHashTable *attempts)
{
    const Attempt *last = g_hash_table_lookup(schedules->attempts, name);
    Attempt *attempt = g_new0(Attempt, 1);
    gint64 now = g_get_monotonic_time();
    gint64 wait = last && last->due == due ? last->began + RETRY_S * G_USEC_PER_SEC - now : 0;

    *attempt = last ? *last : (Attempt){0};
    if (wait <= 0 && schedules_start_run(schedules, name))
        *attempt = (Attempt){due, now};
    g_hash_table_insert(attempts, g_strdup(name), attempt);
    return wait > 0 ? wait / G_USEC_PER_SEC + 1 : 0;
}

static GHashTable *attempts_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

/* Starts the runs that are due, and sets the next time. */
static void schedules_run_due(DaemonSchedules *schedules)
{
    int64_t now = seconds_now();
    g_autoptr(GHashTable) attempts = attempts_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = cst_service_schedules(schedules->service, NULL, &error);

    schedules->next = CST_CALENDAR_NEVER;
    if (error) {
        cst_log(CST_LOG_WARNING, _("the schedules cannot be read: %s"), error->message);
        schedules->next = now + RETRY_S;
        return;
    }
    for (guint i = 0; rows && i < rows->len; i++) {
        const CstSchedule *schedule = rows->pdata[i];
        int64_t next, wait = 0, due = cst_schedule_due(schedule, now, NULL, &next);

        if (due != CST_CALENDAR_NEVER)
            wait = schedules_attempt(schedules, schedule->name, due, attempts);
        if (wait > 0)
            next = next == CST_CALENDAR_NEVER ? now + wait : MIN(next, now + wait);
        if (next != CST_CALENDAR_NEVER &&
            (schedules->next == CST_CALENDAR_NEVER || next < schedules->next))
            schedules->next = MIN(next, now + ZONE_S);
    }
    g_hash_table_unref(schedules->attempts);
    schedules->attempts = g_steal_pointer(&attempts);
    schedules_check_backups(schedules, now);
}

/* Whether the database was modified since the last call. */
static gboolean database_has_changed(DaemonSchedules *schedules)
{
    char *stamp = cst_schedules_stamp(schedules->paths);
    gboolean changed = g_strcmp0(stamp, schedules->seen) != 0;

    g_free(schedules->seen);
    schedules->seen = stamp;
    return changed;
}

/* Returns the time until the next look. */
static gint64 schedules_wait_us(const DaemonSchedules *schedules)
{
    gint64 now = g_get_real_time();

    if (schedules->next == CST_CALENDAR_NEVER || schedules->next - now / G_USEC_PER_SEC > LOOK_S)
        return LOOK_S * G_TIME_SPAN_SECOND;
    return MAX(schedules->next * G_USEC_PER_SEC - now, 0) + G_TIME_SPAN_MILLISECOND;
}

static gpointer schedules_main(gpointer data)
{
    DaemonSchedules *schedules = data;

    g_mutex_lock(&schedules->lock);
    while (!schedules->stop) {
        gboolean look = schedules->look;
        gint64 until;

        schedules->look = FALSE;
        g_mutex_unlock(&schedules->lock);
        if (database_has_changed(schedules) || look ||
            (schedules->next != CST_CALENDAR_NEVER && schedules->next <= seconds_now()))
            schedules_run_due(schedules);
        g_mutex_lock(&schedules->lock);
        until = g_get_monotonic_time() + schedules_wait_us(schedules);
        if (!schedules->stop && !schedules->look)
            g_cond_wait_until(&schedules->changed, &schedules->lock, until);
    }
    g_mutex_unlock(&schedules->lock);
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

/* Returns the path of `cistern`: in the directory of this program, or in the directory bin of its
 * parent. */
static char *find_program(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = g_path_get_dirname(self ? self : "/usr/sbin/cisternd");
    g_autofree char *sibling = g_build_filename(dir, "cistern", NULL);
    g_autofree char *parent = g_path_get_dirname(dir);

    if (access(sibling, X_OK) == 0)
        return g_steal_pointer(&sibling);
    return g_build_filename(parent, "bin", "cistern", NULL);
}

DaemonSchedules *daemon_schedules_start(CstService *service, const CstPaths *paths)
{
    DaemonSchedules *schedules = g_new0(DaemonSchedules, 1);

    schedules->service = service;
    schedules->paths = cst_paths_copy(paths);
    schedules->program = find_program();
    schedules->next = CST_CALENDAR_NEVER;
    schedules->running = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    schedules->attempts = attempts_new();
    g_mutex_init(&schedules->lock);
    g_cond_init(&schedules->changed);
    schedules->thread = g_thread_try_new("schedules", schedules_main, schedules, NULL);
    if (!schedules->thread)
        cst_log(CST_LOG_ERROR, "%s", _("schedules do not run: cannot create a thread"));
    return schedules;
}

void daemon_schedules_stop(DaemonSchedules *schedules)
{
    GHashTableIter iter;
    gpointer task;

    if (!schedules)
        return;
    g_mutex_lock(&schedules->lock);
    schedules->stop = TRUE;
    g_cond_broadcast(&schedules->changed);
    g_hash_table_iter_init(&iter, schedules->running);
    while (g_hash_table_iter_next(&iter, NULL, &task))
        cst_task_cancel(task);
    while (g_hash_table_size(schedules->running) > 0)
        g_cond_wait(&schedules->changed, &schedules->lock);
    g_mutex_unlock(&schedules->lock);
    if (schedules->thread)
        g_thread_join(schedules->thread);
    g_hash_table_unref(schedules->running);
    g_hash_table_unref(schedules->attempts);
    g_mutex_clear(&schedules->lock);
    g_cond_clear(&schedules->changed);
    cst_paths_free(schedules->paths);
    g_free(schedules->seen);
    g_free(schedules->program);
    g_free(schedules);
}
