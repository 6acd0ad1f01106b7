/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session of a block job: the answers, the connection, the result of a pivot, and the repair.
 *
 * A repair follows a keeper that was killed, or whose call of libvirt hangs. It reads the entry.
 * Before a pivot it aborts the job. After a pivot it waits until the definition of the domain shows
 * the result, and aborts the job only if libvirt cannot pivot any more. It repeats that as a new
 * program, with growing pauses, until libvirt confirms that the job has ended, or until the domain
 * has ended. libvirt may act for a client that was killed, within CST_HYPERVISOR_LATE_S
 * (@late_until of the entry). Until then neither a missing job nor a missing pivot is certain.
 */
#include "block_session.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>

#include "backup_guard.h"
#include "block_name.h"
#include "connection.h"
#include "detached.h"

#define POLL_MS 20 /* between two looks at a pivot */

void block_session_init(BlockSession *session)
{
    session->caller = session->lock = -1;
    session->entry.domain.id = session->job.link.id = -1;
    session->job.entry = &session->entry;
    session->answer.pivot = CST_HYPERVISOR_PIVOT_UNKNOWN;
    session->answer.persistent_unknown = TRUE;
}

/* Returns a copy of the descriptor above those of a repair, or -1. */
static int descriptor_raise(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, BACKUP_GUARD_CALLER_FD + 1);
}

/* Returns the answer to the caller when a time limit passes. */
static GBytes *session_encode_timeout(CstHypervisorPivot pivot)
{
    const BlockAnswer answer = {.type = BLOCK_OVER,
                                .outcome = PAUSE_TIMEOUT,
                                .pivot = pivot,
                                .persistent_unknown = pivot == CST_HYPERVISOR_PIVOT_UNKNOWN};

    return block_answer_encode(&answer);
}

void block_session_guard(BlockSession *session, unsigned round)
{
    g_autoptr(GBytes) packet = session_encode_timeout(session->answer.pivot);
    const char *const argv[] = {HYPERVISOR_PROGRAM,
                                HYPERVISOR_BLOCK,
                                BLOCK_REPAIR,
                                detached_limits_format(session->limits, BLOCK_LIMIT_LAST),
                                session->entry.domain.uuid,
                                g_strdup_printf("%u", round + 1),
                                NULL};

    backup_guard_init_program(argv, packet, BLOCK_ANSWER, descriptor_raise(session->lock),
                              descriptor_raise(session->caller));
}

void block_session_set_pivot(BlockSession *session, CstHypervisorPivot pivot)
{
    g_autoptr(GBytes) packet = session_encode_timeout(pivot);

    session->answer.pivot = pivot;
    session->answer.persistent_unknown = pivot == CST_HYPERVISOR_PIVOT_UNKNOWN;
    backup_guard_set_packet(packet);
}

/* --- answers ---------------------------------------------------------------------------------- */

void block_session_reply(BlockSession *session, BlockMessage type)
{
    g_autoptr(GBytes) packet = NULL;
    gconstpointer data;
    gsize len;

    session->answer.type = type;
    packet = block_answer_encode(&session->answer);
    data = g_bytes_get_data(packet, &len);
    if (session->caller >= 0)
        send(session->caller, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

gboolean block_session_fail(BlockSession *session, PauseOutcome outcome, const char *message)
{
    char *copy = g_strdup(message);

    session->answer.outcome = outcome;
    g_free(session->answer.message);
    session->answer.message = copy;
    return FALSE;
}

void block_session_remove(BlockSession *session)
{
    if (session->has_entry)
        domain_entry_remove(BLOCK_DIRECTORY_FD, session->entry.domain.uuid);
    if (session->lock >= 0)
        domain_entry_unlock(BLOCK_DIRECTORY_FD, session->entry.domain.uuid, session->lock);
    session->lock = -1;
}

/* --- the connection --------------------------------------------------------------------------- */

gboolean block_session_reconnect(BlockSession *session, PauseAnswer *step)
{
    const unsigned *limits = session->limits;
    gint64 until = g_get_monotonic_time() + limits[BLOCK_LIMIT_LOST] * G_TIME_SPAN_MILLISECOND;
    gboolean connected;

    do {
        backup_guard_set(limits[BLOCK_LIMIT_CHECK]);
        connected = block_job_connect(&session->job, step);
        backup_guard_set(0);
        if (connected || step->outcome == PAUSE_ENDED)
            return connected;
        poll(NULL, 0, (int)limits[BLOCK_LIMIT_RETRY]);
    } while (g_get_monotonic_time() < until);
    pause_answer_set(step, PAUSE_LOST, NULL);
    return FALSE;
}

/* Looks at the job, with a time limit. Opens another connection if it was lost. */
static gboolean session_look(BlockSession *session, BlockView *ret_view, PauseAnswer *step)
{
    gboolean ok;

    backup_guard_set(session->limits[BLOCK_LIMIT_LOOK]);
    ok = (session->job.link.domain || block_job_connect(&session->job, step)) &&
         block_job_look(&session->job, ret_view, step);
    if (!ok && step->outcome != PAUSE_ENDED)
        block_job_connect(&session->job, step);
    backup_guard_set(0);
    return ok;
}

/* --- the result of a pivot -------------------------------------------------------------------- */

/* Sets the outcome of the attempt in the answer. */
static void session_set_naming(BlockSession *session, PauseOutcome outcome, const char *message)
{
    session->answer.naming = outcome;
    g_free(session->answer.naming_message);
    session->answer.naming_message = g_strdup(message);
}

/*
 * There is one attempt only, because the call may hang. During a pivot the entry shows it to the
 * repair. An entry that was removed is not written again.
 */
static void session_name_copy(BlockSession *session)
{
    g_auto(PauseAnswer) step = {.id = -1}, again = {.id = -1};
    g_autoptr(GError) error = NULL;

    session->entry.naming = TRUE;
    if (session->entry.switching &&
        !block_entry_write(BLOCK_DIRECTORY_FD, &session->entry, &error)) {
        session_set_naming(session, PAUSE_FAILED, error->message);
        return;
    }
    block_name_set(&session->job, &step);
    if (step.outcome == PAUSE_LOST)
        block_job_connect(&session->job, &again);
    session_set_naming(session, step.outcome, step.message);
}

CstHypervisorPivot block_session_adopt_persistent(BlockSession *session)
{
    const BlockEntry *entry = &session->entry;
    BlockAnswer *answer = &session->answer;
    CstHypervisorPivot found = block_job_find_persistent(&session->job, &answer->named), again;

    if (entry->kind == CST_HYPERVISOR_JOB_COPY && entry->pool && !entry->naming && !answer->named &&
        (found == CST_HYPERVISOR_PIVOTED || answer->pivot == CST_HYPERVISOR_PIVOTED)) {
        session_name_copy(session);
        again = block_job_find_persistent(&session->job, &answer->named);
        /* The path and the volume are both the copy. So a second read that fails is no loss. */
        if (again == CST_HYPERVISOR_PIVOT_UNKNOWN && found == CST_HYPERVISOR_PIVOTED)
            answer->named = answer->naming == PAUSE_DONE;
        else
            found = again;
    }
    answer->persistent = found == CST_HYPERVISOR_PIVOTED;
    answer->persistent_unknown = found == CST_HYPERVISOR_PIVOT_UNKNOWN;
    return found;
}

/* Without a pivot both definitions are unchanged. */
void block_session_adopt_pivot(BlockSession *session, const BlockView *view)
{
    BlockAnswer *answer = &session->answer;

    answer->pivot = view->pivot;
    answer->live = view->pivot == CST_HYPERVISOR_PIVOTED;
    answer->persistent = answer->persistent_unknown = FALSE;
    if (view->pivot != CST_HYPERVISOR_NOT_PIVOTED)
        block_session_adopt_persistent(session);
}

/* Whether the view shows the result. libvirt may pivot late while it shows a job that runs. */
static gboolean view_is_certain(const BlockView *view, gint64 late_until)
{
    return view->phase == BLOCK_PHASE_ABSENT ||
           (view->phase != BLOCK_PHASE_ENDS && g_get_monotonic_time() >= late_until);
}

/* A domain that has ended has no job. Its persistent definition has the result, if there is one. */
static void session_find_pivot_of_ended(BlockSession *session)
{
    BlockAnswer *answer = &session->answer;

    answer->live = FALSE;
    backup_guard_set(session->limits[BLOCK_LIMIT_LOOK]);
    answer->pivot = block_session_adopt_persistent(session);
    backup_guard_set(0);
    if (answer->pivot != CST_HYPERVISOR_PIVOTED)
        answer->pivot = CST_HYPERVISOR_PIVOT_UNKNOWN;
}

void block_session_find_pivot(BlockSession *session, gint64 until, BlockView *ret_view)
{
    session->answer.pivot = CST_HYPERVISOR_PIVOT_UNKNOWN;
    session->answer.persistent_unknown = TRUE;
    ret_view->phase = BLOCK_PHASE_RUNS;
    do {
        g_auto(PauseAnswer) step = {.id = -1};

        if (session_look(session, ret_view, &step)) {
            if (view_is_certain(ret_view, session->entry.domain.late_until)) {
                backup_guard_set(session->limits[BLOCK_LIMIT_LOOK]);
                block_session_adopt_pivot(session, ret_view);
                backup_guard_set(0);
                return;
            }
        } else if (step.outcome == PAUSE_ENDED) {
            block_session_fail(session, PAUSE_ENDED, NULL);
            session_find_pivot_of_ended(session);
            ret_view->phase = BLOCK_PHASE_ABSENT;
            return;
        }
        poll(NULL, 0, POLL_MS);
    } while (g_get_monotonic_time() < until);
}

/* --- repair ----------------------------------------------------------------------------------- */

/* Returns FALSE if the job may be pivoted later. */
static gboolean block_repair_pivot(BlockSession *session)
{
    gint64 until =
        g_get_monotonic_time() + session->limits[BLOCK_LIMIT_TRUTH] * G_TIME_SPAN_MILLISECOND;
    BlockView view = {0};

    block_session_find_pivot(session, until, &view);
    if (session->answer.outcome != PAUSE_ENDED)
        block_session_fail(session, PAUSE_TIMEOUT, NULL);
    block_session_reply(session, BLOCK_SWITCHED);
    return session->answer.pivot != CST_HYPERVISOR_PIVOT_UNKNOWN ||
           view.phase == BLOCK_PHASE_ABSENT;
}

/* Returns FALSE if the job may exist, or may begin late. */
static gboolean block_repair_end(BlockSession *session)
{
    g_auto(PauseAnswer) step = {.id = -1};
    BlockView view = {0};

    if (!session->job.link.domain && !block_job_connect(&session->job, &step))
        return step.outcome == PAUSE_ENDED;
    if (!block_job_end(&session->job, &view, &step))
        return FALSE;
    return step.outcome == PAUSE_ENDED || session->job.aborted ||
           g_get_monotonic_time() >= session->entry.domain.late_until;
}

/* Reads the entry. Another process may have ended the session. */
static gboolean block_repair_adopt(BlockSession *session, const char *uuid)
{
    gint64 late_max =
        g_get_monotonic_time() + session->limits[BLOCK_LIMIT_LATE] * G_TIME_SPAN_MILLISECOND;
    g_autoptr(GError) error = NULL;

    if (!domain_uuid_is_canonical(uuid) ||
        !domain_entry_holds(BLOCK_DIRECTORY_FD, uuid, BLOCK_LOCK_FD))
        return FALSE;
    if (!block_entry_read(BLOCK_DIRECTORY_FD, uuid, &session->entry, &error)) {
        if (cst_error_code(error) == CST_ERROR_NOT_FOUND)
            domain_entry_unlock(BLOCK_DIRECTORY_FD, uuid, BLOCK_LOCK_FD);
        return FALSE;
    }
    session->lock = BLOCK_LOCK_FD;
    session->has_entry = TRUE;
    /* The process before this one has not returned from the attempt. */
    if (session->entry.naming)
        session_set_naming(session, PAUSE_TIMEOUT, NULL);
    session->job.link.id = session->entry.domain.id;
    session->entry.domain.late_until = MIN(session->entry.domain.late_until, late_max);
    return TRUE;
}

void block_repair_run(BlockSession *session, const char *uuid, unsigned round, gboolean answers)
{
    if (!block_repair_adopt(session, uuid))
        return;
    if (answers)
        session->caller = BACKUP_GUARD_CALLER_FD;
    block_session_guard(session, round);
    detached_rest(round, session->limits[BLOCK_LIMIT_RETRY], session->limits[BLOCK_LIMIT_RETRY_MAX],
                  session->entry.domain.late_until);
    backup_guard_keep_caller(answers);
    if (session->entry.switching && !block_repair_pivot(session)) {
        backup_guard_keep_caller(FALSE);
        backup_guard_repair();
    }
    backup_guard_keep_caller(FALSE);
    /* The job was begun long ago, and its pivot has a result. */
    if (session->entry.switching)
        session->entry.domain.late_until = 0;
    backup_guard_set(session->limits[BLOCK_LIMIT_CLOSE]);
    if (!block_repair_end(session))
        backup_guard_repair();
    backup_guard_set(0);
    block_session_remove(session);
    block_session_reply(session, BLOCK_CLOSED);
}
