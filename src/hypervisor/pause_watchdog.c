/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The watchdog of a pause. It decides and a worker calls libvirt (pause_worker.c), so no hanging
 * call can keep it from resuming the domain.
 *
 *   begin     CHECK. The caller may take any time until it requests the suspension
 *   suspend   PING; entry "freezing", FREEZE, entry "frozen"; entry "suspending", SUSPEND, entry
 *             "suspended"
 *   resume    entry "resuming", RESUME; VERIFY; entry "thawing", THAW; the entry is removed
 *   With keep_running the domain is neither suspended nor resumed
 *   undo      as resume without VERIFY, repeated with growing pauses until libvirt confirms it, or
 *             until the domain has ended
 *
 * The undo begins when the caller or the worker ends, when a limit passes, and when a step fails. A
 * worker that does not answer is killed, and a new worker continues the undo.
 *
 * libvirt may execute a call after its client was killed, within CST_HYPERVISOR_LATE_S. Until then
 * a domain that runs is no proof that the suspension failed, so the undo goes on (@late_until). The
 * same holds for a freeze. An agent that hangs executes the freeze when it answers again. So a thaw
 * is owed from the entry "freezing" on, until a thaw has succeeded. The domain runs during that
 * time, and the caller does not wait for it.
 */
#include "pause_watchdog.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>

#include "detached.h"
#include "pause_entry.h"
#include "pause_link.h"
#include "pause_steps.h"
#include "qmp_uri.h"

#define START_MS       10000 /* for the request of the caller */
#define LATE_RETRY_MAX 2000  /* ms between two repairs, while libvirt may make a late change */

typedef struct {
    PauseLink link;
    PauseRequest request;
    PauseEntry entry;
    PauseAnswer answer;                /* the last one to the caller; its facts are kept */
    gboolean frozen;                   /* the freeze has succeeded */
    gboolean refused;                  /* the agent has refused the freeze */
    gint64 paused_until, frozen_until; /* limits; monotonic microseconds, 0: no limit */
    gboolean end_awaited;              /* by the caller */
    gboolean keeps_entry;              /* the entry is damaged */
} Watchdog;

/* --- the entry -------------------------------------------------------------------------------- */

/* Writes the entry before an undo, which a failure does not prevent. */
static void watchdog_note(Watchdog *watchdog, PauseEntryStep step)
{
    watchdog->entry.step = step;
    pause_entry_write(PAUSE_DIRECTORY_FD, &watchdog->entry, NULL);
}

/* Writes the entry before or after a change. A failure ends the pause, with its answer. */
static gboolean watchdog_announce(Watchdog *watchdog, PauseEntryStep step)
{
    g_autoptr(GError) error = NULL;

    watchdog->entry.step = step;
    if (pause_entry_write(PAUSE_DIRECTORY_FD, &watchdog->entry, &error))
        return TRUE;
    pause_answer_set(&watchdog->answer, PAUSE_FAILED, error->message);
    return FALSE;
}

static gboolean watchdog_owes(const Watchdog *watchdog)
{
    return watchdog->entry.suspended || watchdog->entry.thaw_owed;
}

/*
 * Whether libvirt may still make a change whose worker was killed: the suspension, or the freeze if
 * the pause ended with it.
 */
static gboolean watchdog_may_be_late(const Watchdog *watchdog)
{
    return g_get_monotonic_time() < watchdog->entry.domain.late_until;
}

static gboolean watchdog_may_freeze_late(const Watchdog *watchdog)
{
    return watchdog_may_be_late(watchdog) && !watchdog->entry.suspended;
}

/* Whether a step has no answer from libvirt. */
static gboolean outcome_is_open(PauseOutcome outcome)
{
    return outcome == PAUSE_TIMEOUT || outcome == PAUSE_LOST;
}

/*
 * Writes the entry and runs a step that changes the domain. Until libvirt has answered, the change
 * may be late. Returns FALSE if the step did not begin.
 */
static gboolean watchdog_change(Watchdog *watchdog, PauseEntryStep written, PauseStep step,
                                PauseAnswer *ret_answer)
{
    gboolean late = pause_steps_of(watchdog->request.uri)->may_be_late;
    gint64 *until = &watchdog->entry.domain.late_until;
    unsigned limit = watchdog->link.limits[PAUSE_LIMIT_LATE];

    *until = late ? pause_time_in(limit) : 0;
    if (!watchdog_announce(watchdog, written)) {
        *until = 0;
        return FALSE;
    }
    pause_link_step(&watchdog->link, step, ret_answer);
    *until = late && outcome_is_open(ret_answer->outcome) ? pause_time_in(limit) : 0;
    return TRUE;
}

/* --- suspend ---------------------------------------------------------------------------------- */

/* Copies the outcome of a step to the answer for the caller. */
static gboolean watchdog_adopt(Watchdog *watchdog, const PauseAnswer *step)
{
    pause_answer_set(&watchdog->answer, step->outcome, step->message);
    watchdog->answer.monitor = step->monitor;
    return step->outcome == PAUSE_DONE;
}

/* Returns the gap without a question to the agent. */
static PauseGap watchdog_known_gap(const Watchdog *watchdog)
{
    if (watchdog->answer.stood)
        return PAUSE_GAP_STOOD;
    if (qmp_uri_matches(watchdog->request.uri))
        return PAUSE_GAP_MONITOR;
    if (!watchdog->request.freeze)
        return PAUSE_GAP_NOT_REQUESTED;
    if (watchdog->answer.agent == CST_DOMAIN_AGENT_NONE)
        return PAUSE_GAP_NO_AGENT;
    return watchdog->answer.agent == CST_DOMAIN_AGENT_CONNECTED ? PAUSE_GAP_NONE
                                                                : PAUSE_GAP_DISCONNECTED;
}

/* Whether the pause must end. Other failures of the agent are gaps. */
static gboolean outcome_ends_pause(PauseOutcome outcome)
{
    return outcome_is_open(outcome) || outcome == PAUSE_FROZEN || outcome == PAUSE_ENDED;
}

/* Returns FALSE if the pause must end. */
static gboolean watchdog_send_freeze(Watchdog *watchdog)
{
    g_auto(PauseAnswer) step = {.id = -1};

    watchdog->entry.thaw_owed = TRUE;
    watchdog->frozen_until = pause_time_in(watchdog->link.limits[PAUSE_LIMIT_FROZEN]);
    if (!watchdog_change(watchdog, PAUSE_ENTRY_FREEZING, PAUSE_STEP_FREEZE, &step)) {
        watchdog->entry.thaw_owed = FALSE;
        return FALSE;
    }
    if (step.outcome == PAUSE_FROZEN)
        watchdog->entry.thaw_owed = FALSE;
    if (outcome_ends_pause(step.outcome))
        return watchdog_adopt(watchdog, &step);
    watchdog->frozen = step.outcome == PAUSE_DONE;
    watchdog->refused = step.outcome == PAUSE_REFUSED;
    watchdog->answer.frozen = step.frozen;
    if (!watchdog->frozen) {
        watchdog->frozen_until = 0;
        pause_answer_set_gap(&watchdog->answer, PAUSE_GAP_FREEZE, step.message);
    } else if (step.frozen == 0) {
        pause_answer_set_gap(&watchdog->answer, PAUSE_GAP_EMPTY, NULL);
    }
    return watchdog_announce(watchdog, PAUSE_ENTRY_FROZEN);
}

/* Freezes the file systems if possible. Returns FALSE if the pause must end. */
static gboolean watchdog_freeze(Watchdog *watchdog)
{
    g_auto(PauseAnswer) step = {.id = -1};

    watchdog->answer.gap = watchdog_known_gap(watchdog);
    if (watchdog->answer.gap != PAUSE_GAP_NONE)
        return TRUE;
    pause_link_step(&watchdog->link, PAUSE_STEP_PING, &step);
    if (step.outcome == PAUSE_DONE)
        return watchdog_send_freeze(watchdog);
    if (outcome_ends_pause(step.outcome))
        return watchdog_adopt(watchdog, &step);
    pause_answer_set_gap(&watchdog->answer, PAUSE_GAP_PING, step.message);
    return TRUE;
}

/* The worker has not called virDomainSuspend() if it has answered with such an outcome. */
static gboolean outcome_is_before_call(PauseOutcome outcome)
{
    return outcome == PAUSE_ENDED || outcome == PAUSE_STOPPED || outcome == PAUSE_IO_ERROR;
}

/* Sets the answer. Returns FALSE if the pause must be undone. */
static gboolean watchdog_suspend(Watchdog *watchdog)
{
    g_auto(PauseAnswer) step = {.id = -1};

    if (watchdog->link.worker < 0) {
        pause_answer_set(&watchdog->answer, PAUSE_LOST, NULL);
        return FALSE;
    }
    if (!watchdog_freeze(watchdog))
        return FALSE;
    if (watchdog->request.keep_running) {
        pause_answer_set(&watchdog->answer, PAUSE_DONE, NULL);
        return TRUE;
    }
    if (watchdog->answer.stood) {
        pause_link_step(&watchdog->link, PAUSE_STEP_HOLDS, &step);
        return watchdog_adopt(watchdog, &step);
    }
    watchdog->entry.suspended = TRUE;
    watchdog->paused_until = pause_time_in(watchdog->link.limits[PAUSE_LIMIT_PAUSED]);
    if (!watchdog_change(watchdog, PAUSE_ENTRY_SUSPENDING, PAUSE_STEP_SUSPEND, &step)) {
        watchdog->entry.suspended = FALSE;
        return FALSE;
    }
    if (outcome_is_before_call(step.outcome))
        watchdog->entry.suspended = FALSE;
    return watchdog_adopt(watchdog, &step) && watchdog_announce(watchdog, PAUSE_ENTRY_SUSPENDED);
}

/* --- resume ----------------------------------------------------------------------------------- */

static void watchdog_forget_domain(Watchdog *watchdog)
{
    watchdog->entry.suspended = watchdog->entry.thaw_owed = FALSE;
}

/*
 * Resumes the domain and sets the outcome of the step. A domain that does not stand needs no
 * resumption, unless libvirt may suspend it late.
 */
static void watchdog_resume(Watchdog *watchdog, PauseAnswer *ret_step)
{
    watchdog_note(watchdog, PAUSE_ENTRY_RESUMING);
    pause_link_step(&watchdog->link, PAUSE_STEP_RESUME, ret_step);
    if (ret_step->outcome == PAUSE_ENDED)
        watchdog_forget_domain(watchdog);
    else if (ret_step->outcome == PAUSE_DONE ||
             (ret_step->outcome == PAUSE_INTERRUPTED && !watchdog_may_be_late(watchdog)))
        watchdog->entry.suspended = FALSE;
    if (ret_step->outcome == PAUSE_DONE) {
        watchdog->entry.domain.late_until = 0;
        watchdog->answer.paused_us = ret_step->paused_us;
    }
}

/*
 * Thaws the file systems and records why they were not frozen during the whole pause. An agent that
 * has refused the freeze may refuse the thaw, too.
 */
static void watchdog_thaw(Watchdog *watchdog)
{
    g_auto(PauseAnswer) step = {.id = -1};
    gboolean done;

    watchdog_note(watchdog, PAUSE_ENTRY_THAWING);
    pause_link_step(&watchdog->link, PAUSE_STEP_THAW, &step);
    done = step.outcome == PAUSE_DONE || (step.outcome == PAUSE_REFUSED && watchdog->refused);
    if (step.outcome == PAUSE_ENDED)
        watchdog_forget_domain(watchdog);
    else if (done && !watchdog_may_freeze_late(watchdog))
        watchdog->entry.thaw_owed = FALSE;
    if (watchdog->answer.gap != PAUSE_GAP_NONE)
        return;
    watchdog->answer.thawed = step.thawed;
    watchdog->answer.frozen_us = step.frozen_us;
    if (step.outcome != PAUSE_DONE)
        pause_answer_set_gap(&watchdog->answer, PAUSE_GAP_THAW, step.message);
    else if (step.thawed != watchdog->answer.frozen)
        pause_answer_set_gap(&watchdog->answer, PAUSE_GAP_THAWED, NULL);
}

/* Thaws file systems that were frozen. A thaw that failed is still owed. */
static void watchdog_end_freeze(Watchdog *watchdog)
{
    if (watchdog->frozen && watchdog->entry.thaw_owed)
        watchdog_thaw(watchdog);
}

/* Ends a pause that the caller has held, and sets the answer. */
static void watchdog_release(Watchdog *watchdog)
{
    g_auto(PauseAnswer) step = {.id = -1};
    g_auto(PauseAnswer) verified = {.id = -1};

    if (watchdog->request.keep_running) {
        watchdog_end_freeze(watchdog);
        return;
    }
    if (watchdog->answer.stood) {
        pause_link_step(&watchdog->link, PAUSE_STEP_HOLDS, &step);
        watchdog_adopt(watchdog, &step);
        return;
    }
    watchdog_resume(watchdog, &step);
    if (watchdog_adopt(watchdog, &step)) {
        pause_link_step(&watchdog->link, PAUSE_STEP_VERIFY, &verified);
        watchdog_adopt(watchdog, &verified);
    }
    watchdog_end_freeze(watchdog);
}

/* --- undo ------------------------------------------------------------------------------------- */

/* Connects a new worker, unless there is one. Returns FALSE if that fails, or if it has ended. */
static gboolean watchdog_attach(Watchdog *watchdog)
{
    g_auto(PauseAnswer) step = {.id = -1};

    if (watchdog->link.worker >= 0)
        return TRUE;
    if (!pause_link_start_worker(&watchdog->link, watchdog->entry.domain.id))
        return FALSE;
    pause_link_step(&watchdog->link, PAUSE_STEP_ATTACH, &step);
    if (step.outcome == PAUSE_DONE)
        return TRUE;
    if (step.outcome == PAUSE_ENDED)
        watchdog_forget_domain(watchdog);
    pause_link_kill_worker(&watchdog->link);
    return FALSE;
}

/* Answers a command of the caller after the pause. */
static void watchdog_serve(Watchdog *watchdog, PauseCommand command)
{
    if (command == PAUSE_END)
        watchdog->end_awaited = TRUE;
    if (command == PAUSE_SUSPEND || command == PAUSE_RESUME)
        pause_link_reply(&watchdog->link, &watchdog->answer);
}

/* Answers the commands of the caller until @until. */
static void watchdog_rest(Watchdog *watchdog, gint64 until)
{
    PauseCommand command;

    while ((command = pause_link_await(&watchdog->link, until)) != PAUSE_TIME_OVER)
        watchdog_serve(watchdog, command);
}

static void watchdog_undo_once(Watchdog *watchdog)
{
    g_auto(PauseAnswer) step = {.id = -1};

    if (!watchdog_attach(watchdog))
        return;
    if (watchdog->entry.suspended)
        watchdog_resume(watchdog, &step);
    if (watchdog->entry.thaw_owed && watchdog->link.worker >= 0)
        watchdog_thaw(watchdog);
}

/*
 * Resumes and thaws the domain until libvirt has confirmed both, or the domain has ended. The first
 * repetition follows at once, because the worker of the pause may have been killed.
 */
static void watchdog_undo(Watchdog *watchdog)
{
    const unsigned *limits = watchdog->link.limits;
    unsigned rest_ms = 0;

    while (watchdog_owes(watchdog)) {
        watchdog_undo_once(watchdog);
        if (!watchdog_owes(watchdog))
            break;
        watchdog_rest(watchdog, pause_time_in(rest_ms));
        rest_ms =
            rest_ms ? MIN(2 * rest_ms, limits[PAUSE_LIMIT_RETRY_MAX]) : limits[PAUSE_LIMIT_RETRY];
        if (watchdog_may_be_late(watchdog))
            rest_ms = MIN(rest_ms, LATE_RETRY_MAX);
    }
}

/* --- the process ------------------------------------------------------------------------------ */

/* A reply may have shown that the caller has ended. */
static PauseCommand watchdog_await_caller(Watchdog *watchdog, gint64 until)
{
    return watchdog->link.caller < 0 ? PAUSE_CALLER_ENDED
                                     : pause_link_await(&watchdog->link, until);
}

static gint64 watchdog_limit(const Watchdog *watchdog)
{
    if (!watchdog->frozen_until)
        return watchdog->paused_until;
    if (!watchdog->paused_until)
        return watchdog->frozen_until;
    return MIN(watchdog->paused_until, watchdog->frozen_until);
}

/*
 * Records that a pause has ended before its caller ended it. A domain that was not suspended has
 * only lost its freeze, so that is no failure.
 */
static void watchdog_lose(Watchdog *watchdog, PauseOutcome outcome)
{
    if (!watchdog->request.keep_running)
        pause_answer_set(&watchdog->answer, outcome, NULL);
    else if (watchdog->answer.gap == PAUSE_GAP_NONE)
        pause_answer_set_gap(&watchdog->answer,
                             outcome == PAUSE_LOST ? PAUSE_GAP_LOST : PAUSE_GAP_EXPIRED, NULL);
}

/* Waits until the caller has made its copies, and ends the pause. */
static void watchdog_hold(Watchdog *watchdog)
{
    switch (watchdog_await_caller(watchdog, watchdog_limit(watchdog))) {
    case PAUSE_RESUME:
        watchdog_release(watchdog);
        pause_link_reply(&watchdog->link, &watchdog->answer);
        break;
    case PAUSE_END: watchdog->end_awaited = TRUE; break;
    case PAUSE_WORKER_ENDED: watchdog_lose(watchdog, PAUSE_LOST); break;
    default: watchdog_lose(watchdog, PAUSE_EXPIRED); break;
    }
}

/* Ends the worker, removes the entry and releases the lock. */
static void watchdog_unlock(Watchdog *watchdog)
{
    pause_link_quit_worker(&watchdog->link);
    if (watchdog->link.lock < 0)
        return;
    if (!watchdog->keeps_entry)
        domain_entry_remove(PAUSE_DIRECTORY_FD, watchdog->request.uuid);
    domain_entry_unlock(PAUSE_DIRECTORY_FD, watchdog->request.uuid, watchdog->link.lock);
    watchdog->link.lock = -1;
}

/* Waits until the caller ends the pause. */
static void watchdog_finish(Watchdog *watchdog)
{
    watchdog_unlock(watchdog);
    while (watchdog->link.caller >= 0 && !watchdog->end_awaited)
        watchdog_serve(watchdog, pause_link_await(&watchdog->link, 0));
    pause_link_reply(&watchdog->link, &watchdog->answer);
}

/* Receives the request and locks the entry. Returns FALSE with an answer, or without a caller. */
static gboolean watchdog_accept(Watchdog *watchdog)
{
    g_autoptr(GError) error = NULL;
    size_t len = pause_link_receive(&watchdog->link, pause_time_in(START_MS));

    if (len == 0 || !pause_request_decode(watchdog->link.packet, len, &watchdog->request) ||
        !domain_uuid_is_canonical(watchdog->request.uuid)) {
        pause_answer_set(&watchdog->answer, PAUSE_FAILED, NULL);
        return FALSE;
    }
    watchdog->entry.domain.uri = g_strdup(watchdog->request.uri);
    watchdog->entry.domain.uuid = g_strdup(watchdog->request.uuid);
    watchdog->link.lock = domain_entry_lock(PAUSE_DIRECTORY_FD, watchdog->request.uuid, &error);
    if (watchdog->link.lock >= 0)
        return TRUE;
    if (cst_error_code(error) == CST_ERROR_BUSY)
        pause_answer_set(&watchdog->answer, PAUSE_LOCKED, NULL);
    else
        pause_answer_set(&watchdog->answer, PAUSE_FAILED, error->message);
    return FALSE;
}

/*
 * Adopts an entry of processes that have ended. Returns FALSE with an answer if there is an entry.
 * A damaged entry is kept.
 */
static gboolean watchdog_adopt_entry(Watchdog *watchdog)
{
    PauseEntry left = {0};
    g_autoptr(GError) error = NULL;
    gboolean found = pause_entry_read(PAUSE_DIRECTORY_FD, watchdog->request.uuid, &left, &error);

    if (!found) {
        pause_entry_clear(&left);
        if (cst_error_code(error) == CST_ERROR_NOT_FOUND)
            return TRUE;
        watchdog->keeps_entry = TRUE;
        pause_answer_set(&watchdog->answer, PAUSE_FAILED, error->message);
        return FALSE;
    }
    left.domain.late_until =
        MIN(left.domain.late_until, pause_time_in(watchdog->link.limits[PAUSE_LIMIT_LATE]));
    pause_entry_clear(&watchdog->entry);
    watchdog->entry = left;
    g_free(watchdog->request.uri);
    watchdog->request.uri = g_strdup(left.domain.uri);
    pause_answer_set(&watchdog->answer, PAUSE_LOCKED, NULL);
    return FALSE;
}

/* Sets the answer to the request. */
static gboolean watchdog_check(Watchdog *watchdog)
{
    if (!pause_link_start_worker(&watchdog->link, -1)) {
        pause_answer_set(&watchdog->answer, PAUSE_LOST, NULL);
        return FALSE;
    }
    pause_link_step(&watchdog->link, PAUSE_STEP_CHECK, &watchdog->answer);
    watchdog->entry.domain.name = g_strdup(watchdog->answer.name);
    watchdog->entry.domain.id = watchdog->answer.id;
    return watchdog->answer.outcome == PAUSE_DONE;
}

/* Waits without a limit, because the domain is unchanged. */
static PauseCommand watchdog_await_suspend(Watchdog *watchdog)
{
    PauseCommand command;

    do
        command = watchdog_await_caller(watchdog, 0);
    while (command == PAUSE_WORKER_ENDED);
    watchdog->end_awaited = command == PAUSE_END;
    return command;
}

static void watchdog_run_pause(Watchdog *watchdog)
{
    gboolean ready =
        watchdog_accept(watchdog) && watchdog_adopt_entry(watchdog) && watchdog_check(watchdog);
    gboolean suspended;

    /* After a refusal the caller may request the next pause at once. */
    if (!ready && !watchdog_owes(watchdog))
        watchdog_unlock(watchdog);
    pause_link_reply(&watchdog->link, &watchdog->answer);
    if (ready && watchdog_await_suspend(watchdog) == PAUSE_SUSPEND) {
        suspended = watchdog_suspend(watchdog);
        pause_link_reply(&watchdog->link, &watchdog->answer);
        if (suspended)
            watchdog_hold(watchdog);
    }
    watchdog_undo(watchdog);
    watchdog_finish(watchdog);
}

/* Undoes a pause whose processes have ended. Another process may have done so. */
static void watchdog_run_repair(Watchdog *watchdog, const char *uuid)
{
    watchdog->request.uuid = g_strdup(uuid);
    if (!domain_uuid_is_canonical(uuid) ||
        !domain_entry_holds(PAUSE_DIRECTORY_FD, uuid, PAUSE_LOCK_FD))
        return;
    watchdog->link.lock = PAUSE_LOCK_FD;
    watchdog_adopt_entry(watchdog);
    watchdog_undo(watchdog);
    watchdog_finish(watchdog);
}

void pause_watchdog_main(int argc, char **argv)
{
    Watchdog watchdog = {.link = {.caller = -1, .worker = -1, .lock = -1},
                         .answer = {.id = -1},
                         .entry = {.domain = {.id = -1}}};
    gboolean repairs = argc == 5 && strcmp(argv[2], PAUSE_REPAIR) == 0;
    gboolean begins = argc == 4 && strcmp(argv[2], PAUSE_BEGIN) == 0;

    if ((!repairs && !begins) || !pause_limits_parse(argv[3], watchdog.link.limits))
        _exit(EXIT_FAILURE);
    detached_fork(PAUSE_SOCKET_FD, repairs);
    watchdog.link.request = &watchdog.request;
    watchdog.link.packet = g_malloc(PAUSE_PACKET_MAX);
    if (begins) {
        watchdog.link.caller = PAUSE_SOCKET_FD;
        watchdog_run_pause(&watchdog);
    } else {
        watchdog_run_repair(&watchdog, argv[4]);
    }
    _exit(EXIT_SUCCESS);
}
