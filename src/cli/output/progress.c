/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs long work in a thread, while this thread shows the progress: a bar on a terminal, a line
 * every few seconds elsewhere, JSON events with --json. Work shorter than QUIET_US shows no
 * progress.
 *
 * The lock guards whether the work has finished. Otherwise the threads share only the task, which
 * is thread-safe. The first SIGINT or SIGTERM cancels the task. The command then fails with the
 * error of the work.
 *
 * If the work has not ended GIVE_UP_US after the signal, it hangs in storage. The program then
 * exits without it, and leaves the state on disk that a crash would leave. A signal wakes a thread
 * that blocks in a system call, such as open(), read() or write() of a FIFO. The thread then finds
 * its task cancelled.
 */
#include "core/ctl.h"

#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>
#include <base/units.h>

#include "core/interrupt.h"
#include "job.h"
#include "progress.h"
#include "report.h"
#include "sheet.h"
#include "width.h"

#define TICK_US    100000                /* between two checks of the task */
#define BAR_US     200000                /* between two updates of the bar */
#define EVENT_US   G_USEC_PER_SEC        /* between two JSON events */
#define LINE_US    (10 * G_USEC_PER_SEC) /* between two lines without a terminal */
#define QUIET_US   500000                /* shorter work shows no progress */
#define GIVE_UP_US (10 * G_USEC_PER_SEC) /* from a signal until the work is considered hanging */

typedef struct {
    CliTaskFunc func;
    CliReadyFunc ready; /**< called once the total is known; NULL: show progress */
    gpointer data;
    CstTask *task;
    GError *error;
    gboolean ok;
    gboolean dry_run;
    GMutex lock;
    GCond done;
    gboolean finished; /**< guarded by lock */
    gboolean started;  /**< guarded by lock; thread is set */
    pthread_t thread;
} Work;

/** The display of progress during one run. */
typedef struct {
    CliCtl *ctl;
    const char *label;
    CstTask *task;
    gint64 started, shown;
    gint64 interval;
    gboolean bar;
    gboolean drawn; /**< a bar is on the screen and must be erased */
} View;

static gpointer work_thread(gpointer data)
{
    Work *work = data;

    g_mutex_lock(&work->lock);
    work->thread = pthread_self();
    work->started = TRUE;
    g_mutex_unlock(&work->lock);
    cst_dry_run_set(work->dry_run);
    work->ok = work->func(work->task, work->data, &work->error);
    g_mutex_lock(&work->lock);
    work->finished = TRUE;
    g_cond_signal(&work->done);
    g_mutex_unlock(&work->lock);
    return NULL;
}

static char *plain_size(double bytes)
{
    const char *unit;
    double value = cst_units_pretty((uint64_t)bytes, &unit);

    return g_strdup_printf("%.1f %s", value, unit);
}

void cli_progress_compute(CstProgress progress, double seconds, CliProgressFigures *ret)
{
    ret->percent = progress.total ? 100.0 * (double)progress.done / (double)progress.total : 0.0;
    ret->percent = MIN(ret->percent, 100.0);
    ret->rate = seconds > 0 ? (double)progress.done / seconds : 0.0;
    ret->eta_s = -1;
    if (progress.total && ret->rate > 0)
        ret->eta_s = progress.total > progress.done
                         ? (double)(progress.total - progress.done) / ret->rate
                         : 0.0;
}

char *cli_progress_text(const char *label, CstProgress progress, const CliProgressFigures *figures,
                        int columns)
{
    g_autofree char *done = plain_size((double)progress.done);
    g_autofree char *rate = plain_size(figures->rate);
    g_autoptr(GString) tail = g_string_new(NULL);
    g_autoptr(GString) bar = g_string_new(NULL);
    int room;

    if (progress.total)
        g_string_append_printf(tail, " %3.0f%%", figures->percent);
    g_string_append_printf(tail, "  %s  %s/s", done, rate);
    if (figures->eta_s >= 0 && figures->eta_s < 360000)
        g_string_append_printf(tail, _("  %d:%02d:%02d left"), (int)figures->eta_s / 3600,
                               (int)figures->eta_s / 60 % 60, (int)figures->eta_s % 60);
    room = columns - (int)cli_text_width(label) - (int)cli_text_width(tail->str) - 4;
    if (progress.total && room >= 10) {
        int full = (int)(figures->percent * MIN(room, 40) / 100.0);

        for (int i = 0; i < MIN(room, 40); i++)
            g_string_append_c(bar, i < full ? '#' : '.');
        return g_strdup_printf("%s [%s]%s", label, bar->str, tail->str);
    }
    return g_strdup_printf("%s%s", label, tail->str);
}

static CliFact number_or_null(const char *key, gboolean is_known, uint64_t number)
{
    return is_known ? cli_fact_number(key, NULL, TRUE, number) : cli_fact_nullable(key, NULL, NULL);
}

static void show_json(const View *view, CstProgress progress, const CliProgressFigures *figures)
{
    const CliFact facts[] = {
        cli_fact_text("event", NULL, "progress"),
        cli_fact_text("command", NULL, view->ctl->current->command->name),
        cli_fact_number("done", NULL, TRUE, progress.done),
        number_or_null("total", progress.total != 0, progress.total),
        cli_fact_number("rate", NULL, TRUE, (uint64_t)figures->rate),
        number_or_null("eta_s", figures->eta_s >= 0, (uint64_t)figures->eta_s),
    };

    cli_sheet_print_json(view->ctl, view->ctl->err, facts, G_N_ELEMENTS(facts));
}

static void progress_show_line(View *view)
{
    CstProgress progress = cst_task_progress(view->task);
    gint64 now = g_get_monotonic_time();
    CliProgressFigures figures;
    g_autofree char *label = NULL, *text = NULL;

    cli_progress_compute(progress, (double)(now - view->started) / G_USEC_PER_SEC, &figures);
    view->shown = now;
    if (view->ctl->settings.json) {
        show_json(view, progress, &figures);
        return;
    }
    label = cst_text_escape(view->label);
    text = cli_progress_text(label, progress, &figures,
                             view->bar ? cli_terminal_columns(view->ctl->err) : G_MAXINT);
    fprintf(view->ctl->err, view->bar ? "\r%s\033[K" : "%s\n", text);
    view->drawn = view->bar;
}

static void view_init(View *view, CliCtl *ctl, const char *label, CstTask *task)
{
    *view = (View){.ctl = ctl, .label = label, .task = task};
    view->bar =
        !ctl->settings.json && isatty(fileno(ctl->err)) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
    view->interval = ctl->settings.json ? EVENT_US : view->bar ? BAR_US : LINE_US;
    view->started = view->shown = g_get_monotonic_time();
}

/*
 * End the program, because the work's thread blocks in a system call. Called with the work's lock
 * held.
 */
static void exit_work_stuck(CliCtl *ctl)
{
    g_autoptr(GError) error = NULL;

    cst_fail(
        &error, CST_ERROR_CANCELLED,
        _("cancelled by request; the storage has not answered since, and the call into it ends "
          "once it does"));
    cli_report(ctl, error);
    _exit(cli_exit_status(ctl, error));
}

static void progress_watch_work(View *view, Work *work)
{
    gint64 interrupted_at = 0;
    gboolean silent = work->ready || view->ctl->settings.quiet || view->ctl->background >= 0;
    gboolean announced = FALSE;

    g_mutex_lock(&work->lock);
    while (!work->finished) {
        gint64 now = g_get_monotonic_time();

        if (view->ctl->show_progress)
            view->ctl->show_progress(view->ctl, cst_task_progress(work->task));
        if (!silent && now - view->started >= QUIET_US && now - view->shown >= view->interval)
            progress_show_line(view);
        if (work->ready && !announced && cst_task_progress(work->task).total > 0) {
            work->ready(view->ctl, work->data);
            announced = TRUE;
        }
        if (cli_interrupted() && !interrupted_at)
            interrupted_at = now;
        if (interrupted_at && now - interrupted_at >= GIVE_UP_US)
            exit_work_stuck(view->ctl);
        /*
         * Repeated at each tick, because the thread may enter a blocking call right after it was
         * woken.
         */
        if (work->started && cst_task_cancelled(work->task))
            cli_interrupt_wake(work->thread);
        g_cond_wait_until(&work->done, &work->lock, now + TICK_US);
    }
    g_mutex_unlock(&work->lock);
    if (view->drawn)
        fprintf(view->ctl->err, "\r\033[K");
}

static gboolean read_rate(CliCtl *ctl, CstTask *task, GError **error)
{
    uint64_t rate = 0;

    if (!cli_args_size(ctl->current, "rate-limit", 1, &rate, error))
        return FALSE;
    cst_task_set_rate(task, rate);
    return TRUE;
}

static void work_through(CliCtl *ctl, const char *label, Work *work)
{
    GThread *thread;
    View view;

    g_mutex_init(&work->lock);
    g_cond_init(&work->done);
    view_init(&view, ctl, label, work->task);
    cli_interrupt_begin_task(work->task);
    cli_job_enter(ctl, work->task);
    thread = g_thread_new("task", work_thread, work);
    progress_watch_work(&view, work);
    g_thread_join(thread);
    cli_job_leave(ctl);
    cli_interrupt_end();
    g_mutex_clear(&work->lock);
    g_cond_clear(&work->done);
}

static gboolean progress_run_work(CliCtl *ctl, const char *label, CliTaskFunc func,
                                  CliReadyFunc ready, gpointer data, GError **error)
{
    g_autoptr(CstTask) task = cst_task_new();
    Work work = {
        .func = func, .ready = ready, .data = data, .task = task, .dry_run = cst_dry_run()};
    /* A command that does the work itself detaches with its own process (output/job.h). */
    gboolean detach =
        cli_args_has(ctl->current, "detach") && !(ctl->current->command->flags & CLI_CMD_WORKS);

    if (!read_rate(ctl, task, error) || (detach && !cst_conn_set_detach(ctl->conn, TRUE, error)))
        return FALSE;
    work_through(ctl, label, &work);
    if (detach) {
        cst_conn_set_detach(ctl->conn, FALSE, NULL);
        ctl->detached = work.ok ? 0 : cst_task_job(task);
    }
    if (!work.ok)
        g_propagate_error(error, work.error);
    return work.ok;
}

gboolean cli_run_task(CliCtl *ctl, const char *label, CliTaskFunc func, gpointer data,
                      GError **error)
{
    return progress_run_work(ctl, label, func, NULL, data, error);
}

gboolean cli_run_service(CliCtl *ctl, CliTaskFunc func, CliReadyFunc ready, gpointer data,
                         GError **error)
{
    return progress_run_work(ctl, "", func, ready, data, error);
}
