/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The caller's side of a block job (see the header).
 *   begin    the keeper is started, checks the domain and begins the job
 *   wait     receives the state. It asks for the progress, with one question at a time
 *   pivot    BLOCK_SWITCH; the keeper answers with the result
 *   end      BLOCK_END; the keeper answers when the job has ended
 *
 * A thread may receive a packet for another one, and keeps the content in the job for it. The end
 * of this process closes the socket to the keeper, which ends the session then.
 */
#include <hypervisor/job.h>

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/text.h>
#include <base/uuid.h>

#include "block_entry.h"
#include "block_protocol.h"
#include "connection.h"
#include "detached.h"
#include "outcome.h"

#define ANSWER_MS 10000 /* more than the limit of the keeper */
#define POLL_MS   100   /* from one question for the progress to the next */

struct CstHypervisorJob {
    int fd; /* to the keeper */
    char *uuid, *directory;
    char *name; /* of the domain; its UUID until the job has begun */
    char *target;
    gboolean pivots_allowed; /* the job has a destination */
    uint64_t rate;           /* of the task, as it was sent last; bytes per second */
    GMutex changes;          /* one change of the rate, or one pivot, at a time */
    GMutex lock;             /* guards the members below */
    gboolean lost;           /* the connection to the keeper has ended */
    GError *ended;           /* why the session has ended; NULL: it goes on */
    BlockState state;
    CstProgress progress;
    gboolean asked;             /* a question has no answer yet */
    gint64 asked_at;            /* monotonic time of the last question, in microseconds */
    guint begun, rates, pivots; /* answers that were received */
    PauseOutcome outcome;       /* of the last answer to a change of the rate, or to a pivot */
    char *message;              /* its detail */
    CstHypervisorPivotResult result;
    char *naming_reason; /* text of @result, set once */
    gboolean requested;  /* the keeper may have begun a job */
    gboolean closed;     /* the keeper has ended the job, or has not begun it */
};

static const CstHypervisorPivotResult job_result_unknown = {.pivot = CST_HYPERVISOR_PIVOT_UNKNOWN,
                                                            .persistent_unknown = TRUE};

/* --- recovery --------------------------------------------------------------------------------- */

gboolean cst_hypervisor_job_recover(const char *directory, GError **error)
{
    return domain_directory_recover(directory, block_entry_recover, NULL, error);
}

/* Starts a repair of this session after the end of its keeper. */
static void job_recover(const CstHypervisorJob *job)
{
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) dirfd = domain_directory_open(job->directory, 0, &error);

    if (dirfd < 0 || !block_entry_recover(dirfd, job->uuid, NULL, &error))
        cst_log(CST_LOG_WARNING, "cannot end the block job of domain '%s': %s", job->name,
                error->message);
}

/* --- packets ---------------------------------------------------------------------------------- */

/* Sets @ended, if it is not set. The caller holds the lock. */
static void job_set_ended(CstHypervisorJob *job, PauseOutcome outcome, const char *detail)
{
    g_autofree char *reason = pause_outcome_text(outcome, detail);

    if (!job->ended)
        cst_fail(&job->ended, pause_outcome_code(outcome),
                 _("the session of the block job of domain '%s' has ended: %s"), job->name, reason);
}

/* The keeper was killed, or is a repair now. The caller holds the lock. */
static void job_lose_keeper(CstHypervisorJob *job)
{
    job->lost = TRUE;
    if (!job->ended)
        cst_fail(&job->ended, CST_ERROR_FAILED,
                 _("the process of the block job of domain '%s' was killed"), job->name);
    if (!job->closed)
        job_recover(job);
}

static void job_adopt_text(char **text, char **received)
{
    if (!*received)
        return;
    g_free(*text);
    *text = g_steal_pointer(received);
}

/* A pivot that was proven stays so, although a later snapshot may hide the copy. */
static void job_adopt_result(CstHypervisorJob *job, const BlockAnswer *answer)
{
    if (answer->pivot != CST_HYPERVISOR_PIVOTED && job->result.pivot == CST_HYPERVISOR_PIVOTED)
        return;
    if (answer->naming != PAUSE_DONE && !job->naming_reason)
        job->naming_reason = pause_outcome_text(answer->naming, answer->naming_message);
    job->result = (CstHypervisorPivotResult){.pivot = answer->pivot,
                                             .live = answer->live,
                                             .persistent = answer->persistent,
                                             .persistent_unknown = answer->persistent_unknown,
                                             .named = answer->named,
                                             .reason = answer->named ? NULL : job->naming_reason};
}

/* Whether the keeper has no job any more, or begins none. Only then its pivot is certain. */
static gboolean answer_closes(const BlockAnswer *answer, gboolean begun)
{
    if (answer->type == BLOCK_BEGUN)
        return answer->outcome != PAUSE_DONE;
    return answer->type == BLOCK_CLOSED ||
           (answer->type == BLOCK_OVER && !begun && answer->pivot == CST_HYPERVISOR_NOT_PIVOTED);
}

/* The caller holds the lock. */
static void job_adopt_answer(CstHypervisorJob *job, BlockAnswer *answer)
{
    if (answer->type == BLOCK_BEGUN) {
        job_adopt_text(&job->name, &answer->name);
        job_adopt_text(&job->target, &answer->target);
    }
    job->state = answer->state;
    job->progress = (CstProgress){answer->done, answer->total};
    job->closed = job->closed || answer_closes(answer, job->begun > 0);
    job->asked = job->asked && answer->type != BLOCK_STATUS;
    job->begun += answer->type == BLOCK_BEGUN;
    job->rates += answer->type == BLOCK_RATE_SET;
    job->pivots += answer->type == BLOCK_SWITCHED;
    if (answer->type == BLOCK_OVER)
        job_set_ended(job, answer->outcome, answer->message);
    if (answer->type == BLOCK_SWITCHED || answer->type == BLOCK_OVER || job->closed ||
        answer->state == BLOCK_DONE)
        job_adopt_result(job, answer);
    if (answer->type == BLOCK_BEGUN || answer->type == BLOCK_RATE_SET ||
        answer->type == BLOCK_SWITCHED) {
        job->outcome = answer->outcome;
        g_free(job->message);
        job->message = g_steal_pointer(&answer->message);
    }
}

/* Receives all packets that are there. The caller holds the lock. */
static void job_receive(CstHypervisorJob *job)
{
    struct pollfd fd = {.fd = job->fd, .events = POLLIN};
    g_autofree char *packet = g_malloc(PAUSE_PACKET_MAX);

    while (!job->lost && poll(&fd, 1, 0) > 0) {
        g_auto(BlockAnswer) answer = {0};
        size_t len = pause_packet_receive(fd.fd, packet);

        if (len > 0 && block_answer_decode(packet, len, &answer))
            job_adopt_answer(job, &answer);
        else
            job_lose_keeper(job);
    }
}

/*
 * Asks for the progress, if no question is open and the last one is POLL_MS old. An answer wakes
 * the caller at once, so a question without this interval would occupy a processor. The caller
 * holds the lock.
 */
static void job_ask(CstHypervisorJob *job)
{
    gint64 now = g_get_monotonic_time();

    if (job->asked || job->lost || job->begun == 0 ||
        now - job->asked_at < POLL_MS * G_TIME_SPAN_MILLISECOND)
        return;
    job->asked = block_command_send(job->fd, BLOCK_ASK, 0);
    job->asked_at = now;
}

/* Fails if the session has ended. The caller holds the lock. */
static gboolean job_check(const CstHypervisorJob *job, GError **error)
{
    if (!job->ended)
        return TRUE;
    g_propagate_error(error, g_error_copy(job->ended));
    return FALSE;
}

typedef gboolean (*JobIsFunc)(const CstHypervisorJob *job, guint before);

static gboolean job_is_begun(const CstHypervisorJob *job, guint before)
{
    return job->begun > before;
}

static gboolean job_is_waited(const CstHypervisorJob *job, guint before)
{
    return job->state == BLOCK_DONE || (job->state == BLOCK_READY && !job->ended);
}

static gboolean job_has_rate(const CstHypervisorJob *job, guint before)
{
    return job->rates > before;
}

static gboolean job_has_pivot(const CstHypervisorJob *job, guint before)
{
    return job->pivots > before;
}

/* Reports the progress to the task, which may shrink neither. */
static void job_report(const CstProgress *progress, CstTask *task)
{
    uint64_t known = cst_task_progress(task).done;

    if (progress->total > 0)
        cst_task_set_total(task, progress->total);
    if (progress->done > known)
        cst_task_skip(task, progress->done - known);
}

/* Receives and asks. Returns whether the wait ends; FALSE with an error if the session has. */
static gboolean job_step(CstHypervisorJob *job, JobIsFunc is, guint before, CstTask *task,
                         GError **error)
{
    gboolean found;
    CstProgress progress;

    g_mutex_lock(&job->lock);
    job_receive(job);
    found = is(job, before);
    if (!found && job_check(job, error))
        job_ask(job);
    progress = job->progress;
    g_mutex_unlock(&job->lock);
    job_report(&progress, task);
    return found;
}

/* Sends a command. Returns the number of answers before. The caller holds @changes. */
static guint job_send_change(CstHypervisorJob *job, BlockCommand command, uint64_t rate)
{
    guint before;

    g_mutex_lock(&job->lock);
    before = command == BLOCK_RATE ? job->rates : job->pivots;
    block_command_send(job->fd, command, rate);
    g_mutex_unlock(&job->lock);
    return before;
}

/* Applies a change of the task's rate. Does not wait for libvirt. */
static void job_follow_rate(CstHypervisorJob *job, CstTask *task)
{
    uint64_t rate = cst_task_rate(task);

    if (rate == job->rate)
        return;
    job->rate = rate;
    g_mutex_lock(&job->changes);
    job_send_change(job, BLOCK_RATE, rate);
    g_mutex_unlock(&job->changes);
}

/* Waits until @is holds. @limit_ms: 0: no limit. FALSE without an error: the limit has passed. */
static gboolean job_await(CstHypervisorJob *job, JobIsFunc is, guint before, unsigned limit_ms,
                          CstTask *task, GError **error)
{
    gint64 until = g_get_monotonic_time() + limit_ms * G_TIME_SPAN_MILLISECOND;
    g_autoptr(GError) why = NULL;

    while (!job_step(job, is, before, task, &why)) {
        struct pollfd fd = {.fd = job->fd, .events = POLLIN};

        if (!why)
            cst_task_check(task, &why);
        if (why) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        if (limit_ms > 0 && g_get_monotonic_time() >= until)
            return FALSE;
        if (task && job->begun > 0)
            job_follow_rate(job, task);
        poll(&fd, 1, POLL_MS);
    }
    return TRUE;
}

/* Likewise, with TIMEOUT. */
static gboolean job_await_answer(CstHypervisorJob *job, JobIsFunc is, guint before,
                                 unsigned limit_ms, CstTask *task, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (job_await(job, is, before, limit_ms, task, &why))
        return TRUE;
    if (!why)
        return cst_fail(error, CST_ERROR_TIMEOUT,
                        _("the process of the block job of domain '%s' did not answer within %u s"),
                        job->name, limit_ms / 1000);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- begin ------------------------------------------------------------------------------------ */

/* Returns the socket to a new keeper, or -1. */
static int job_start_keeper(CstHypervisor *hypervisor, int dirfd, GError **error)
{
    unsigned limits[BLOCK_LIMIT_LAST];
    g_autofree char *text = NULL;

    memcpy(limits, hypervisor_block_limits, sizeof(limits));
    limits[BLOCK_LIMIT_CHECK] += hypervisor_deadline(hypervisor) * 1000;
    text = detached_limits_format(limits, BLOCK_LIMIT_LAST);
    return detached_connect(
        (const char *const[]){HYPERVISOR_PROGRAM, HYPERVISOR_BLOCK, BLOCK_BEGIN, text, NULL}, dirfd,
        error);
}

/* Sends the request and receives the answer. */
static gboolean job_request(CstHypervisorJob *job, CstHypervisor *hypervisor,
                            const CstHypervisorJobRequest *request, CstTask *task, GError **error)
{
    unsigned limit_ms = hypervisor_block_limits[BLOCK_LIMIT_CHECK] +
                        hypervisor_block_limits[BLOCK_LIMIT_BEGIN] + ANSWER_MS +
                        hypervisor_deadline(hypervisor) * 1000;
    CstHypervisorVolume volumes[BLOCK_VOLUMES_MAX];
    g_autoptr(GBytes) packet = NULL;
    g_autofree char *reason = NULL;
    BlockRequest sent;
    gsize len;
    gconstpointer data;

    block_request_set(request, job->uuid, volumes, &sent);
    packet = block_request_encode(&sent);
    data = g_bytes_get_data(packet, &len);
    if (len > PAUSE_PACKET_MAX)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("the request for a block job of domain '%s' is too long"), job->name);
    job->requested = TRUE;
    send(job->fd, data, len, MSG_NOSIGNAL);
    if (!job_await_answer(job, job_is_begun, 0, limit_ms, task, error))
        return FALSE;
    if (job->outcome == PAUSE_DONE)
        return TRUE;
    if (job->outcome == PAUSE_CHECKED)
        return cst_may_change(error);
    reason = pause_outcome_text(job->outcome, job->message);
    return cst_fail(error, pause_outcome_code(job->outcome),
                    _("cannot begin a block job of domain '%s': %s"), job->name, reason);
}

static gboolean job_check_request(const CstHypervisorJobRequest *request, GError **error)
{
    gboolean copies = request->kind == CST_HYPERVISOR_JOB_COPY;

    if (copies ? !request->destination || !g_path_is_absolute(request->destination) ||
                     !request->destination_format || request->top || request->base
               : request->destination || (request->kind == CST_HYPERVISOR_JOB_PULL && request->top))
        return cst_fail(error, CST_ERROR_INVALID, "%s",
                        _("cannot begin a block job: its kind does not have these images"));
    return TRUE;
}

/* Returns NULL if the request has no UUID. */
static CstHypervisorJob *job_new(const CstHypervisorJobRequest *request, GError **error)
{
    CstHypervisorJob *job;
    char text[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    if (!cst_uuid_parse(request->uuid, &uuid)) {
        cst_fail(error, CST_ERROR_INVALID, _("'%s' is not the UUID of a domain"), request->uuid);
        return NULL;
    }
    job = g_new0(CstHypervisorJob, 1);
    g_mutex_init(&job->lock);
    g_mutex_init(&job->changes);
    job->fd = -1;
    job->result = job_result_unknown;
    job->uuid = g_strdup(cst_uuid_format(&uuid, text));
    job->name = request->name ? cst_text_escape(request->name) : g_strdup(job->uuid);
    job->directory = g_strdup(request->directory);
    job->rate = request->rate;
    job->pivots_allowed = request->kind == CST_HYPERVISOR_JOB_COPY ||
                          (request->kind == CST_HYPERVISOR_JOB_COMMIT && !request->top);
    return job;
}

/* Only one helper process asks libvirt at a time (hypervisor.c). */
static gboolean job_begin(CstHypervisorJob *job, CstHypervisor *hypervisor,
                          const CstHypervisorJobRequest *request, CstTask *task, GError **error)
{
    g_auto(CstFd) dirfd = domain_directory_open(job->directory, 0700, error);
    gboolean ok;

    if (dirfd < 0 || !hypervisor_check_helper(error) ||
        !hypervisor_begin(hypervisor, request->uri, task, error))
        return FALSE;
    job->fd = job_start_keeper(hypervisor, dirfd, error);
    ok = job->fd >= 0 && job_request(job, hypervisor, request, task, error);
    hypervisor_end(hypervisor, request->uri, NULL);
    return ok;
}

CstHypervisorJob *cst_hypervisor_job_begin(CstHypervisor *hypervisor,
                                           const CstHypervisorJobRequest *request, CstTask *task,
                                           CstHypervisorPivot *ret_pivot, GError **error)
{
    CstHypervisorJob *job;
    gboolean ok;

    *ret_pivot = CST_HYPERVISOR_NOT_PIVOTED;
    if (!job_check_request(request, error))
        return NULL;
    job = job_new(request, error);
    if (!job)
        return NULL;
    /* libvirt may need this worker: it looks up the volumes of a domain that it starts. */
    cst_task_set_waiting(task, TRUE);
    ok = job_begin(job, hypervisor, request, task, error);
    cst_task_set_waiting(task, FALSE);
    if (ok)
        return job;
    *ret_pivot = cst_hypervisor_job_end(job);
    return NULL;
}

const char *cst_hypervisor_job_target(const CstHypervisorJob *job)
{
    return job->target;
}

/* --- the job ---------------------------------------------------------------------------------- */

gboolean cst_hypervisor_job_wait(CstHypervisorJob *job, CstTask *task, GError **error)
{
    return job_await(job, job_is_waited, 0, 0, task, error);
}

CstProgress cst_hypervisor_job_progress(CstHypervisorJob *job)
{
    CstProgress progress;

    g_mutex_lock(&job->lock);
    job_receive(job);
    job_ask(job);
    progress = job->progress;
    g_mutex_unlock(&job->lock);
    return progress;
}

gboolean cst_hypervisor_job_set_rate(CstHypervisorJob *job, uint64_t rate, GError **error)
{
    unsigned limit_ms = hypervisor_block_limits[BLOCK_LIMIT_LOOK] +
                        hypervisor_block_limits[BLOCK_LIMIT_LOST] + ANSWER_MS;
    gboolean ok;

    g_mutex_lock(&job->changes);
    ok = job_await_answer(job, job_has_rate, job_send_change(job, BLOCK_RATE, rate), limit_ms, NULL,
                          error);
    if (ok && job->outcome != PAUSE_DONE) {
        g_autofree char *reason = pause_outcome_text(job->outcome, job->message);

        ok = cst_fail(error, pause_outcome_code(job->outcome),
                      _("cannot change the rate of the block job of domain '%s': %s"), job->name,
                      reason);
    }
    g_mutex_unlock(&job->changes);
    return ok;
}

/* Sets the error of a pivot without success. */
static gboolean job_fail_pivot(const CstHypervisorJob *job, CstHypervisorPivot pivot,
                               GError **error)
{
    PauseOutcome outcome = job->outcome == PAUSE_DONE ? PAUSE_JOB_FAILED : job->outcome;
    g_autofree char *reason = pause_outcome_text(outcome, job->message);

    if (pivot == CST_HYPERVISOR_PIVOT_UNKNOWN)
        return cst_fail(error, pause_outcome_code(outcome),
                        _("cannot find out which image domain '%s' uses: %s; compare the source of "
                          "disk '%s' in virsh dumpxml"),
                        job->name, reason, job->target);
    return cst_fail(error, pause_outcome_code(outcome),
                    _("cannot switch domain '%s' to the copy: %s"), job->name, reason);
}

/* Sets the result in any case: unknown without an answer to this pivot. @changes is held. */
static gboolean job_pivot(CstHypervisorJob *job, CstHypervisorPivotResult *ret_result,
                          GError **error)
{
    const unsigned *limits = hypervisor_block_limits;
    unsigned limit_ms = limits[BLOCK_LIMIT_SWITCH] +
                        2 * (limits[BLOCK_LIMIT_TRUTH] + limits[BLOCK_LIMIT_LOOK]) + ANSWER_MS;
    guint before;
    gboolean ok;

    g_mutex_lock(&job->lock);
    if (job->result.pivot != CST_HYPERVISOR_PIVOTED && !job->ended)
        job->result = job_result_unknown;
    g_mutex_unlock(&job->lock);
    before = job_send_change(job, BLOCK_SWITCH, 0);
    ok = job_await_answer(job, job_has_pivot, before, limit_ms, NULL, error);
    g_mutex_lock(&job->lock);
    *ret_result = job->result;
    g_mutex_unlock(&job->lock);
    return ok && (ret_result->pivot == CST_HYPERVISOR_PIVOTED ||
                  job_fail_pivot(job, ret_result->pivot, error));
}

gboolean cst_hypervisor_job_pivot(CstHypervisorJob *job, CstHypervisorPivotResult *ret_result,
                                  GError **error)
{
    gboolean ok;

    *ret_result = (CstHypervisorPivotResult){.pivot = CST_HYPERVISOR_NOT_PIVOTED};
    if (!job->pivots_allowed)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("cannot switch domain '%s': its block job has no copy"), job->name);
    g_mutex_lock(&job->changes);
    ok = job_pivot(job, ret_result, error);
    g_mutex_unlock(&job->changes);
    return ok;
}

/* Waits until the keeper has ended the job. */
static void job_await_closed(CstHypervisorJob *job)
{
    unsigned limit_ms = hypervisor_block_limits[BLOCK_LIMIT_END];
    gint64 until = g_get_monotonic_time() + limit_ms * G_TIME_SPAN_MILLISECOND;
    struct pollfd fd = {.fd = job->fd, .events = POLLIN};

    for (job_receive(job); !job->lost && !job->closed; job_receive(job)) {
        if (g_get_monotonic_time() >= until) {
            cst_log(CST_LOG_WARNING,
                    "the block job of domain '%s' has not ended yet; its process goes on",
                    job->name);
            return;
        }
        poll(&fd, 1, POLL_MS);
    }
}

/* Only the calling thread uses the job. */
CstHypervisorPivot cst_hypervisor_job_end(CstHypervisorJob *job)
{
    CstHypervisorPivot pivot;

    if (!job)
        return CST_HYPERVISOR_NOT_PIVOTED;
    if (job->fd >= 0) {
        block_command_send(job->fd, BLOCK_END, 0);
        job_await_closed(job);
    }
    pivot = job->requested ? job->result.pivot : CST_HYPERVISOR_NOT_PIVOTED;
    if (job->requested && !job->closed && pivot != CST_HYPERVISOR_PIVOTED)
        pivot = CST_HYPERVISOR_PIVOT_UNKNOWN;
    cst_fd_clear(&job->fd);
    g_clear_error(&job->ended);
    g_mutex_clear(&job->lock);
    g_mutex_clear(&job->changes);
    g_free(job->name);
    g_free(job->target);
    g_free(job->message);
    g_free(job->naming_reason);
    g_free(job->uuid);
    g_free(job->directory);
    g_free(job);
    return pivot;
}
