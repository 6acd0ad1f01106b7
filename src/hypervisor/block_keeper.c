/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper of a block job.
 *
 *   begin    the lock; the checks; the entry with @late_until; the call of libvirt; the disk is
 *            compared with the volume again; the entry
 *   watch    a look at the job after an event of libvirt and at each tick; the commands. After a
 *            lost connection the keeper connects again, and the job of the disk goes on
 *   pivot    the entry with @switching; virDomainBlockJobAbort(PIVOT); looks until the definition
 *            of the domain shows the result; the entry
 *   close    the job is aborted and has ended; the entry is removed
 *
 * The close begins when the caller ends, and when the session cannot go on.
 *
 * Each call of libvirt has a time limit (backup_guard.c). When it passes, and when libvirt does not
 * confirm the end of the job, the keeper becomes a repair with the same lock (block_session.c). A
 * repair of a pivot gets the socket of the caller, and answers it.
 */
#include "block_keeper.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>

#include "backup_guard.h"
#include "block_session.h"
#include "detached.h"

#define START_MS 10000 /* for the request of the caller */
#define EVENT_MS 1000  /* until the event of a job that has ended */

typedef struct {
    BlockSession session;
    BlockRequest request;
    BlockPlan plan;
    gboolean sent;           /* the job may exist */
    gboolean tick, readable; /* events of the loop */
    gboolean over;           /* the session ends */
    gint64 gone_since;       /* looks have found no job; monotonic microseconds, 0: there is one */
    gboolean uncertain;      /* the domain has ended during a pivot */
} BlockKeeper;

/* Always returns FALSE. */
static gboolean block_keeper_fail_step(BlockKeeper *keeper, const PauseAnswer *step)
{
    return block_session_fail(&keeper->session, step->outcome, step->message);
}

/* Always returns FALSE. */
static gboolean block_keeper_fail_error(BlockKeeper *keeper, const GError *error)
{
    PauseOutcome outcome = cst_error_code(error) == CST_ERROR_DENIED ? PAUSE_DENIED : PAUSE_FAILED;

    return block_session_fail(&keeper->session, outcome, error->message);
}

static gboolean block_keeper_write_entry(BlockKeeper *keeper)
{
    g_autoptr(GError) error = NULL;

    if (!block_entry_write(BLOCK_DIRECTORY_FD, &keeper->session.entry, &error))
        return block_keeper_fail_error(keeper, error);
    keeper->session.has_entry = TRUE;
    return TRUE;
}

static gint64 block_keeper_late(const BlockKeeper *keeper)
{
    return g_get_monotonic_time() +
           keeper->session.limits[BLOCK_LIMIT_LATE] * G_TIME_SPAN_MILLISECOND;
}

/* --- begin ------------------------------------------------------------------------------------ */

static gboolean block_keeper_receive_request(BlockKeeper *keeper)
{
    struct pollfd caller = {.fd = keeper->session.caller, .events = POLLIN};
    g_autofree char *packet = g_malloc(PAUSE_PACKET_MAX);
    BlockRequest *request = &keeper->request;
    size_t len = 0;

    if (poll(&caller, 1, START_MS) > 0)
        len = pause_packet_receive(caller.fd, packet);
    return (len > 0 && block_request_decode(packet, len, request) &&
            domain_uuid_is_canonical(request->domain.uuid)) ||
           block_session_fail(&keeper->session, PAUSE_FAILED, NULL);
}

static gboolean block_keeper_acquire_lock(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;
    g_autoptr(GError) error = NULL;

    session->lock = domain_entry_lock(BLOCK_DIRECTORY_FD, session->entry.domain.uuid, &error);
    if (session->lock >= 0)
        return TRUE;
    if (cst_error_code(error) == CST_ERROR_BUSY)
        return block_session_fail(session, PAUSE_CHANGED, NULL);
    return block_keeper_fail_error(keeper, error);
}

/* An entry of processes that have ended is repaired, and the caller gets an answer. */
static gboolean block_keeper_check_entry(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;
    g_auto(BlockEntry) left = {0};
    g_autoptr(GError) error = NULL;

    if (block_entry_read(BLOCK_DIRECTORY_FD, session->entry.domain.uuid, &left, &error)) {
        block_session_fail(session, PAUSE_CHANGED, NULL);
        block_session_reply(session, BLOCK_BEGUN);
        backup_guard_repair();
    }
    return cst_error_code(error) == CST_ERROR_NOT_FOUND || block_keeper_fail_error(keeper, error);
}

/* The events are registered first, so that each change is known. */
static gboolean block_keeper_check_domain(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;
    g_auto(PauseAnswer) step = {.id = -1};
    gboolean ok;

    backup_guard_set(session->limits[BLOCK_LIMIT_CHECK]);
    ok = block_job_connect(&session->job, &step) &&
         block_job_check(&session->job, &keeper->request, &session->entry, &keeper->plan, &step);
    backup_guard_set(0);
    session->answer.name = g_strdup(session->entry.domain.name);
    session->answer.target = g_strdup(session->entry.target);
    return ok || block_keeper_fail_step(keeper, &step);
}

/* Whether the caller has neither ended nor ended the session. It sends no other packet before. */
static gboolean block_keeper_caller_waits(const BlockKeeper *keeper)
{
    struct pollfd caller = {.fd = keeper->session.caller, .events = POLLIN};

    return poll(&caller, 1, 0) == 0;
}

/* Begins the job. Until libvirt has answered, the job may begin late. */
static gboolean block_keeper_send_begin(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;
    g_auto(PauseAnswer) step = {.id = -1};
    gboolean begun;

    session->entry.domain.late_until = block_keeper_late(keeper);
    if (!block_keeper_caller_waits(keeper) || !block_keeper_write_entry(keeper))
        return FALSE;
    keeper->sent = TRUE;
    begun = block_job_begin(&session->job, &keeper->plan, keeper->request.rate, &step);
    if (step.outcome == PAUSE_LOST)
        return block_keeper_fail_step(keeper, &step);
    session->entry.domain.late_until = 0;
    keeper->sent = begun;
    if (!begun)
        return block_keeper_fail_step(keeper, &step);
    return block_keeper_write_entry(keeper) &&
           (block_job_verify(&session->job, &keeper->request.domain.volumes[0], &step) ||
            block_keeper_fail_step(keeper, &step));
}

/* Sets the answer to the request. A failure before the begin is sent leaves no job. */
static gboolean block_keeper_begin(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;
    gboolean ok;

    session->answer.pivot = CST_HYPERVISOR_NOT_PIVOTED;
    if (!block_keeper_receive_request(keeper))
        return FALSE;
    session->entry.domain.uri = g_strdup(keeper->request.domain.uri);
    session->entry.domain.uuid = g_strdup(keeper->request.domain.uuid);
    if (!block_keeper_acquire_lock(keeper))
        return FALSE;
    block_session_guard(session, 0);
    if (!block_keeper_check_entry(keeper) || !block_keeper_check_domain(keeper))
        return FALSE;
    if (keeper->request.dry_run)
        return block_session_fail(session, PAUSE_CHECKED, NULL);
    block_session_set_pivot(session, CST_HYPERVISOR_PIVOT_UNKNOWN);
    backup_guard_set(session->limits[BLOCK_LIMIT_BEGIN]);
    ok = block_keeper_send_begin(keeper);
    backup_guard_set(0);
    return ok;
}

/* --- watch ------------------------------------------------------------------------------------ */

/* Ends the session with the outcome of the step. */
static void block_keeper_end_session(BlockKeeper *keeper, const PauseAnswer *step)
{
    block_keeper_fail_step(keeper, step);
    block_session_reply(&keeper->session, BLOCK_OVER);
    keeper->over = TRUE;
}

/* After a restart of libvirt the job goes on. The next look reads its state. */
static void block_keeper_reconnect(BlockKeeper *keeper)
{
    g_auto(PauseAnswer) step = {.id = -1};

    if (block_session_reconnect(&keeper->session, &step))
        keeper->session.job.event = TRUE;
    else
        block_keeper_end_session(keeper, &step);
}

/*
 * The job has ended without a pivot of this session. The entry is removed, so that a later job of
 * another program is not aborted.
 */
static void block_keeper_adopt_end(BlockKeeper *keeper, const BlockView *view)
{
    BlockSession *session = &keeper->session;
    g_auto(PauseAnswer) step = {.id = -1};

    keeper->sent = FALSE;
    domain_entry_remove(BLOCK_DIRECTORY_FD, session->entry.domain.uuid);
    backup_guard_set(session->limits[BLOCK_LIMIT_LOOK]);
    block_session_adopt_pivot(session, view);
    backup_guard_set(0);
    if (!view->complete) {
        pause_answer_set(&step, session->job.cancelled ? PAUSE_JOB_ENDED : PAUSE_JOB_FAILED, NULL);
        block_keeper_end_session(keeper, &step);
        return;
    }
    session->answer.state = BLOCK_DONE;
    session->answer.done = session->answer.total;
    block_session_reply(session, BLOCK_STATUS);
}

static void block_keeper_adopt_view(BlockKeeper *keeper, const BlockView *view)
{
    BlockAnswer *answer = &keeper->session.answer;
    gint64 now = g_get_monotonic_time();

    if (view->phase == BLOCK_PHASE_ABSENT) {
        /* The event follows the end. After a lost connection it never comes. */
        if (keeper->gone_since == 0)
            keeper->gone_since = now;
        if (view->complete || keeper->session.job.finished ||
            now - keeper->gone_since >= EVENT_MS * G_TIME_SPAN_MILLISECOND)
            block_keeper_adopt_end(keeper, view);
        return;
    }
    keeper->gone_since = 0;
    if (view->total > 0) {
        answer->done = view->done;
        answer->total = view->total;
    }
    if (answer->state == BLOCK_RUNS && view->phase == BLOCK_PHASE_READY) {
        answer->state = BLOCK_READY;
        block_session_reply(&keeper->session, BLOCK_STATUS);
    }
}

static void block_keeper_look(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;
    g_auto(PauseAnswer) step = {.id = -1};
    BlockView view = {0};
    gboolean ok;

    session->job.event = FALSE;
    backup_guard_set(session->limits[BLOCK_LIMIT_LOOK]);
    ok = block_job_look(&session->job, &view, &step);
    backup_guard_set(0);
    if (ok)
        block_keeper_adopt_view(keeper, &view);
    else if (step.outcome == PAUSE_LOST)
        block_keeper_reconnect(keeper);
    else
        block_keeper_end_session(keeper, &step);
}

static void block_keeper_set_rate(BlockKeeper *keeper, uint64_t rate)
{
    BlockSession *session = &keeper->session;
    g_auto(PauseAnswer) step = {.id = -1};

    backup_guard_set(session->limits[BLOCK_LIMIT_LOOK]);
    if (session->answer.state != BLOCK_DONE)
        block_job_set_rate(&session->job, rate, &step);
    backup_guard_set(0);
    block_keeper_fail_step(keeper, &step);
    block_session_reply(session, BLOCK_RATE_SET);
    block_session_fail(session, PAUSE_DONE, NULL);
    if (step.outcome == PAUSE_LOST)
        block_keeper_reconnect(keeper);
}

/* --- pivot ------------------------------------------------------------------------------------ */

/*
 * Sends the pivot and finds its result. After an error of libvirt the result is that of the next
 * look, because libvirt does not pivot any more.
 */
static void block_keeper_send_switch(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;
    g_auto(PauseAnswer) step = {.id = -1};
    gint64 until =
        g_get_monotonic_time() + session->limits[BLOCK_LIMIT_TRUTH] * G_TIME_SPAN_MILLISECOND;
    BlockView view = {0};

    backup_guard_set(session->limits[BLOCK_LIMIT_SWITCH]);
    block_job_switch(&session->job, &step);
    backup_guard_set(0);
    block_keeper_fail_step(keeper, &step);
    if (step.outcome != PAUSE_LOST)
        session->entry.domain.late_until = 0;
    block_session_find_pivot(session, until, &view);
    if (session->answer.pivot == CST_HYPERVISOR_PIVOT_UNKNOWN && view.phase != BLOCK_PHASE_ABSENT)
        return;
    session->answer.state = BLOCK_RUNS;
    if (view.phase == BLOCK_PHASE_ABSENT)
        session->answer.state = BLOCK_DONE;
    else if (view.phase == BLOCK_PHASE_READY)
        session->answer.state = BLOCK_READY;
}

/* Returns whether the job has ended, or the domain. */
static gboolean block_keeper_switch_is_over(const BlockKeeper *keeper)
{
    const BlockAnswer *answer = &keeper->session.answer;

    return answer->state == BLOCK_DONE || answer->outcome == PAUSE_ENDED;
}

/* The answer to a pivot that is not certain precedes the repair, which finds the result. */
static void block_keeper_switch_ready(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;

    session->answer.pivot = CST_HYPERVISOR_NOT_PIVOTED;
    session->answer.persistent = session->answer.persistent_unknown = FALSE;
    session->entry.switching = TRUE;
    session->entry.domain.late_until = block_keeper_late(keeper);
    if (block_keeper_write_entry(keeper)) {
        backup_guard_keep_caller(TRUE);
        block_keeper_send_switch(keeper);
        backup_guard_keep_caller(FALSE);
        keeper->over = block_keeper_switch_is_over(keeper);
        keeper->uncertain = session->answer.pivot == CST_HYPERVISOR_PIVOT_UNKNOWN;
    }
    block_session_reply(session, BLOCK_SWITCHED);
    if (keeper->uncertain && !keeper->over)
        backup_guard_repair();
    session->entry.switching = FALSE;
    session->entry.domain.late_until = 0;
    block_keeper_write_entry(keeper);
}

static void block_keeper_switch(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;

    if (session->answer.state == BLOCK_READY) {
        block_keeper_switch_ready(keeper);
    } else {
        if (session->answer.state == BLOCK_RUNS || !session->entry.destination) {
            session->answer.pivot = CST_HYPERVISOR_NOT_PIVOTED;
            session->answer.persistent_unknown = FALSE;
            block_session_fail(session, PAUSE_NOT_READY, NULL);
        }
        block_session_reply(session, BLOCK_SWITCHED);
    }
    block_session_fail(session, PAUSE_DONE, NULL);
}

/* --- the loop --------------------------------------------------------------------------------- */

/* Implements virEventHandleCallback. */
static void block_keeper_on_socket(int watch, int fd, int events, void *data)
{
    ((BlockKeeper *)data)->readable = TRUE;
}

/* Implements virEventTimeoutCallback. */
static void block_keeper_on_tick(int timer, void *data)
{
    ((BlockKeeper *)data)->tick = TRUE;
}

static gboolean block_keeper_add_events(BlockKeeper *keeper)
{
    return virEventAddHandle(keeper->session.caller,
                             VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP,
                             block_keeper_on_socket, keeper, NULL) >= 0 &&
           virEventAddTimeout((int)keeper->session.limits[BLOCK_LIMIT_TICK], block_keeper_on_tick,
                              keeper, NULL) >= 0;
}

/* A caller that has ended sends no packet. */
static void block_keeper_run_command(BlockKeeper *keeper)
{
    g_autofree char *packet = g_malloc(PAUSE_PACKET_MAX);
    size_t len = pause_packet_receive(keeper->session.caller, packet);
    BlockCommand command = BLOCK_END;
    uint64_t rate = 0;

    if (!block_command_decode(packet, len, &command, &rate))
        command = BLOCK_END;
    switch (command) {
    case BLOCK_ASK: block_session_reply(&keeper->session, BLOCK_STATUS); break;
    case BLOCK_RATE: block_keeper_set_rate(keeper, rate); break;
    case BLOCK_SWITCH: block_keeper_switch(keeper); break;
    default: keeper->over = TRUE; break;
    }
}

/* A job that is done is not looked at any more. */
static void block_keeper_run_events(BlockKeeper *keeper)
{
    if (virEventRunDefaultImpl() < 0) {
        keeper->over = TRUE;
        block_session_fail(&keeper->session, PAUSE_FAILED, "virEventRunDefaultImpl");
        block_session_reply(&keeper->session, BLOCK_OVER);
        return;
    }
    if (keeper->readable)
        block_keeper_run_command(keeper);
    keeper->readable = FALSE;
    if (!keeper->over && (keeper->tick || keeper->session.job.event) &&
        keeper->session.answer.state != BLOCK_DONE)
        block_keeper_look(keeper);
    keeper->tick = FALSE;
}

/* Returns when the session ends. */
static void block_keeper_watch(BlockKeeper *keeper)
{
    if (!block_keeper_add_events(keeper)) {
        block_session_fail(&keeper->session, PAUSE_FAILED, NULL);
        block_session_reply(&keeper->session, BLOCK_OVER);
        return;
    }
    while (!keeper->over)
        block_keeper_run_events(keeper);
}

/* Sets the result of the session. A domain that has ended has its persistent definition only. */
static void block_keeper_conclude(BlockKeeper *keeper, const BlockView *view, PauseOutcome outcome)
{
    BlockSession *session = &keeper->session;
    BlockAnswer *answer = &session->answer;

    if (outcome != PAUSE_ENDED) {
        block_session_adopt_pivot(session, view);
        /* libvirt has executed the abort, so that there was no pivot. */
        if (session->job.aborted && answer->pivot == CST_HYPERVISOR_PIVOT_UNKNOWN)
            block_session_set_pivot(session, CST_HYPERVISOR_NOT_PIVOTED);
    } else if (answer->pivot == CST_HYPERVISOR_PIVOT_UNKNOWN && !keeper->uncertain) {
        answer->pivot = block_session_adopt_persistent(session);
    }
}

static void block_keeper_close(BlockKeeper *keeper)
{
    BlockSession *session = &keeper->session;
    g_auto(PauseAnswer) step = {.id = -1};
    BlockView view = {0};

    backup_guard_set(session->limits[BLOCK_LIMIT_CLOSE]);
    if (keeper->sent && !block_job_end(&session->job, &view, &step))
        backup_guard_repair();
    if (keeper->sent)
        block_keeper_conclude(keeper, &view, step.outcome);
    backup_guard_set(0);
    block_session_remove(session);
}

static void block_keeper_run(BlockKeeper *keeper)
{
    gboolean begun = block_keeper_begin(keeper);

    if (begun)
        block_session_reply(&keeper->session, BLOCK_BEGUN);
    if (begun)
        block_keeper_watch(keeper);
    else if (!keeper->sent)
        block_session_set_pivot(&keeper->session, CST_HYPERVISOR_NOT_PIVOTED);
    block_keeper_close(keeper);
    /* After a refusal the caller may request the next job at once. */
    block_session_reply(&keeper->session, begun ? BLOCK_CLOSED : BLOCK_BEGUN);
}

void block_keeper_main(int argc, char **argv)
{
    BlockKeeper keeper = {0};
    gboolean answers = argc == 6 && strcmp(argv[2], BLOCK_ANSWER) == 0;
    gboolean repairs = answers || (argc == 6 && strcmp(argv[2], BLOCK_REPAIR) == 0);
    gboolean begins = argc == 4 && strcmp(argv[2], BLOCK_BEGIN) == 0;
    guint64 round = 0;

    block_session_init(&keeper.session);
    if ((!repairs && !begins) ||
        !detached_limits_parse(argv[3], keeper.session.limits, BLOCK_LIMIT_LAST) ||
        (repairs && !g_ascii_string_to_unsigned(argv[5], 10, 0, G_MAXINT, &round, NULL)))
        _exit(EXIT_FAILURE);
    detached_fork(answers ? BACKUP_GUARD_CALLER_FD : BLOCK_SOCKET_FD, repairs);
    /* A session's daemon that the keeper started would end with it. */
    g_setenv("LIBVIRT_AUTOSTART", "0", TRUE);
    if (begins) {
        keeper.session.caller = BLOCK_SOCKET_FD;
        block_keeper_run(&keeper);
    } else {
        block_repair_run(&keeper.session, argv[4], (unsigned)round, answers);
    }
    _exit(EXIT_SUCCESS);
}
