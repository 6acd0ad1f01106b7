/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session: commands to a target, over a connection that may be lost and established again.
 *
 * All libiscsi calls are made in the session's thread. Callers put requests into the queue and
 * wait. The thread sends up to DEPTH of them, serves the connection, and returns answers. A request
 * belongs to the thread from the queue to its end. The end always comes: by an answer, or by the
 * rules of the header. After the latter the connection is dropped, and with it libiscsi's reference
 * to the request's buffer. So a caller waits only for the thread.
 *
 * libiscsi may lose a command after a failure (a protocol error in an answer). So pending commands
 * are also in a list of the session. The commands left in the list when the connection is dropped
 * are lost and queued again.
 *
 * The lock guards the queue, the epoch, the completion of requests and the requests to the thread.
 * The context and the list of pending commands are private to the thread.
 */
#include "initiator.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>

/* Maximum number of pending commands. */
#define DEPTH 32
/* Delay before a busy target is tried again. */
#define BUSY_US (100 * G_TIME_SPAN_MILLISECOND)
/* Maximum of consecutive unit attentions. Each login causes one for each LUN. */
#define ATTENTIONS_MAX 8
/* Number of times that a command is sent, each time over another connection. */
#define LOSSES_MAX 3
/* Limits for a command, in time-outs: at a target that answers pings, and at one that does not. */
#define ALIVE_TIMEOUTS 12
#define DEAD_TIMEOUTS  6
/* A session that is idle for this long logs out. */
#define IDLE_US (60 * G_TIME_SPAN_SECOND)
/* Time limit of a logout. */
#define LOGOUT_US (1 * G_TIME_SPAN_SECOND)

struct CstIscsiBatch {
    guint left;
    GError *error;
};

struct CstIscsi {
    CstIscsiTarget target; /* copied */
    uint32_t isid;
    gint leaving; /* atomic: end all waiting, and log out */
    gint closing; /* atomic: also end the thread */

    GMutex lock;
    GCond cond;
    GThread *thread; /* NULL: not started yet */
    int wake;        /* an eventfd, written to wake the thread */
    GQueue queue;    /* of CstIscsiRequest */
    uint64_t epoch;

    /* private to the thread */
    const IscsiLib *lib;
    struct iscsi_context *context; /* NULL: not logged in */
    GQueue sent;                   /* of Sent */
    guint portal;
    gint64 heard_at;  /* time of the last data from the target, or of the first pending command */
    gint64 pinged_at; /* 0: no pending ping */
    gint64 idle_since;
};

/* A pending command, the user data of libiscsi's callbacks. */
typedef struct {
    CstIscsi *iscsi;
    CstIscsiRequest *request;
    struct scsi_task *task;
} Sent;

/* --- requests --------------------------------------------------------------------------------- */

/* Consumes @error. The batch keeps the first error. */
static void request_finish(CstIscsi *iscsi, CstIscsiRequest *request, CstIscsiOutcome outcome,
                           GError *error)
{
    CstIscsiBatch *batch = request->batch;

    request->outcome = outcome;
    g_mutex_lock(&iscsi->lock);
    if (error && !batch->error)
        batch->error = g_steal_pointer(&error);
    if (--batch->left == 0)
        g_cond_broadcast(&iscsi->cond);
    g_mutex_unlock(&iscsi->lock);
    g_clear_error(&error);
}

static void queue_again(CstIscsi *iscsi, CstIscsiRequest *request, gint64 not_before)
{
    request->not_before = not_before;
    g_mutex_lock(&iscsi->lock);
    g_queue_push_head(&iscsi->queue, request);
    g_mutex_unlock(&iscsi->lock);
}

void cst_iscsi_next_epoch(CstIscsi *iscsi)
{
    g_mutex_lock(&iscsi->lock);
    iscsi->epoch++;
    g_mutex_unlock(&iscsi->lock);
}

uint64_t cst_iscsi_epoch(CstIscsi *iscsi)
{
    uint64_t epoch;

    g_mutex_lock(&iscsi->lock);
    epoch = iscsi->epoch;
    g_mutex_unlock(&iscsi->lock);
    return epoch;
}

static gint64 patience_of(const CstIscsi *iscsi)
{
    return iscsi->target.timeout_ms * G_TIME_SPAN_MILLISECOND;
}

static GError *late_error(const CstIscsi *iscsi)
{
    return g_error_new(CST_ERROR, CST_ERROR_UNREACHABLE, _("target '%s' did not answer in time"),
                       iscsi->target.target);
}

/* Handles a request after the loss of its connection. */
static void request_handle_loss(CstIscsi *iscsi, CstIscsiRequest *request)
{
    if (++request->losses < LOSSES_MAX && !g_atomic_int_get(&iscsi->leaving) &&
        g_get_monotonic_time() - request->queued_at < DEAD_TIMEOUTS * patience_of(iscsi))
        queue_again(iscsi, request, 0);
    else
        request_finish(iscsi, request, CST_ISCSI_LOST, late_error(iscsi));
}

/* --- answers (in callbacks of libiscsi) ------------------------------------------------------- */

/* Begins a new epoch. Requests of an older epoch are refused before they are sent. */
static void request_queue_in_new_epoch(CstIscsi *iscsi, CstIscsiRequest *request)
{
    cst_iscsi_next_epoch(iscsi);
    if (++request->attentions <= ATTENTIONS_MAX)
        queue_again(iscsi, request, 0);
    else
        request_finish(iscsi, request, CST_ISCSI_ANSWERED, NULL);
}

static gboolean is_busy(const CstIscsiRequest *request)
{
    return request->sense.status == CST_SCSI_BUSY ||
           request->sense.status == CST_SCSI_TASK_SET_FULL ||
           request->sense.status == CST_SCSI_ACA_ACTIVE ||
           request->sense.status == CST_SCSI_TASK_ABORTED;
}

static void request_answer(CstIscsi *iscsi, CstIscsiRequest *request)
{
    const CstScsiSense *sense = &request->sense;
    gint64 now = g_get_monotonic_time();

    if (sense->status == CST_SCSI_CHECK_CONDITION && sense->key == CST_SENSE_UNIT_ATTENTION)
        request_queue_in_new_epoch(iscsi, request);
    else if (is_busy(request) && now - request->queued_at < DEAD_TIMEOUTS * patience_of(iscsi))
        queue_again(iscsi, request, now + BUSY_US);
    else
        request_finish(iscsi, request, CST_ISCSI_ANSWERED, NULL);
}

static void command_done(struct iscsi_context *context, int status, void *command, void *data)
{
    Sent *sent = data;
    CstIscsi *iscsi = sent->iscsi;
    CstIscsiRequest *request = sent->request;
    struct scsi_task *task = sent->task;
    size_t residual = task->residual_status == SCSI_RESIDUAL_UNDERFLOW ? task->residual : 0;

    /* Cancelled, timed out, or a protocol error. The request stays in the list. */
    if (status < 0 || status > 0xff)
        return;
    request->sense = (CstScsiSense){.status = (uint8_t)status};
    if (status == SCSI_STATUS_CHECK_CONDITION) {
        request->sense.key = (uint8_t)task->sense.key & 0xf;
        request->sense.ascq = (uint16_t)task->sense.ascq;
    }
    request->got = request->command.length - (uint32_t)MIN(residual, request->command.length);
    g_queue_remove(&iscsi->sent, sent);
    iscsi->lib->scsi_free_scsi_task(task);
    g_free(sent);
    request_answer(iscsi, request);
}

static void ping_done(struct iscsi_context *context, int status, void *command, void *data)
{
    CstIscsi *iscsi = data;

    if (status == SCSI_STATUS_GOOD)
        iscsi->pinged_at = 0;
}

/* --- the connection --------------------------------------------------------------------------- */

/* Frees the connection and handles pending commands as lost. */
static void connection_drop(CstIscsi *iscsi)
{
    Sent *sent;

    iscsi->lib->iscsi_destroy_context(g_steal_pointer(&iscsi->context));
    while ((sent = g_queue_pop_tail(&iscsi->sent))) {
        CstIscsiRequest *request = sent->request;

        iscsi->lib->scsi_free_scsi_task(sent->task);
        g_free(sent);
        request_handle_loss(iscsi, request);
    }
}

static void session_logout(CstIscsi *iscsi)
{
    iscsi_log_out(iscsi->lib, g_steal_pointer(&iscsi->context), g_get_monotonic_time() + LOGOUT_US);
}

/* Fails all queued requests with @why. */
static void fail_queue(CstIscsi *iscsi, const GError *why)
{
    CstIscsiRequest *request;
    GQueue failed;

    /* Empties the queue in one step, because later requests must not fail with it. */
    g_mutex_lock(&iscsi->lock);
    failed = iscsi->queue;
    g_queue_init(&iscsi->queue);
    g_mutex_unlock(&iscsi->lock);
    CST_TEST_POINT("iscsi.queue.failed");
    while ((request = g_queue_pop_head(&failed)))
        request_finish(iscsi, request, CST_ISCSI_LOST, g_error_copy(why));
}

static void connect_anywhere(CstIscsi *iscsi)
{
    IscsiLogin how = {.target = &iscsi->target,
                      .type = ISCSI_SESSION_NORMAL,
                      .isid = iscsi->isid,
                      .closing = &iscsi->leaving};
    g_autoptr(GError) why = NULL;

    iscsi->lib = iscsi_lib(&why);
    if (iscsi->lib)
        iscsi->context = iscsi_log_in_anywhere(&how, &iscsi->portal, &why);
    if (!iscsi->context) {
        fail_queue(iscsi, why);
        return;
    }
    cst_iscsi_next_epoch(iscsi);
    iscsi->heard_at = iscsi->idle_since = g_get_monotonic_time();
    iscsi->pinged_at = 0;
}

/* Drops the connection. The next login begins at the next portal. */
static void lose_portal(CstIscsi *iscsi)
{
    guint count = g_strv_length((char **)iscsi->target.portals);

    cst_log(CST_LOG_INFO, "the session with target '%s' at '%s' is lost", iscsi->target.target,
            iscsi->target.portals[iscsi->portal]);
    iscsi->portal = (iscsi->portal + 1) % count;
    connection_drop(iscsi);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* FALSE: the connection accepts no more commands. */
static gboolean send_request(CstIscsi *iscsi, CstIscsiRequest *request)
{
    const CstScsiCommand *command = &request->command;
    int direction = command->direction == CST_SCSI_READ    ? SCSI_XFER_READ
                    : command->direction == CST_SCSI_WRITE ? SCSI_XFER_WRITE
                                                           : SCSI_XFER_NONE;
    struct scsi_task *task = iscsi->lib->scsi_create_task(command->cdb_len, (uint8_t *)command->cdb,
                                                          direction, (int)command->length);
    Sent *sent = g_new(Sent, 1);
    gboolean whole = task != NULL;

    *sent = (Sent){iscsi, request, task};
    if (task && command->direction == CST_SCSI_READ && command->length) {
        /* A short answer of the target must not reveal old memory content. */
        memset(request->buf, 0, command->length);
        whole =
            iscsi->lib->scsi_task_add_data_in_buffer(task, (int)command->length, request->buf) == 0;
    } else if (task && command->length) {
        whole = iscsi->lib->scsi_task_add_data_out_buffer(task, (int)command->length,
                                                          request->buf) == 0;
    }
    request->sent_at = g_get_monotonic_time();
    /* Without pending commands no data is expected, so the time starts with this one. */
    if (g_queue_is_empty(&iscsi->sent))
        iscsi->heard_at = request->sent_at;
    g_queue_push_tail(&iscsi->sent, sent);
    return whole && iscsi->lib->iscsi_scsi_command_async(iscsi->context, request->lun, task,
                                                         command_done, NULL, sent) == 0;
}

/* Returns the next request, or NULL. *ret_again: the latest time of the next try. */
static CstIscsiRequest *take_request(CstIscsi *iscsi, gint64 *ret_again)
{
    gint64 now = g_get_monotonic_time();
    CstIscsiRequest *found = NULL;

    g_mutex_lock(&iscsi->lock);
    for (GList *at = iscsi->queue.head; at && !found; at = at->next) {
        CstIscsiRequest *request = at->data;

        if (request->not_before > now) {
            *ret_again = MIN(*ret_again, request->not_before);
            continue;
        }
        found = request;
        g_queue_delete_link(&iscsi->queue, at);
        break;
    }
    g_mutex_unlock(&iscsi->lock);
    return found;
}

/* Sends queued requests; requests of an older epoch become stale instead. */
static gboolean send_queued(CstIscsi *iscsi, gint64 *again)
{
    while (g_queue_get_length(&iscsi->sent) < DEPTH) {
        CstIscsiRequest *request = take_request(iscsi, again);

        if (!request)
            return TRUE;
        if (request->epoch && request->epoch != cst_iscsi_epoch(iscsi))
            request_finish(iscsi, request, CST_ISCSI_STALE, NULL);
        else if (!send_request(iscsi, request))
            return FALSE;
    }
    return TRUE;
}

/* --- liveness --------------------------------------------------------------------------------- */

/* FALSE: the target is dead, or a command has taken too long. *again: time of the next check. */
static gboolean session_is_alive(CstIscsi *iscsi, gint64 *again)
{
    gint64 now = g_get_monotonic_time(), patience = patience_of(iscsi);
    const Sent *oldest = g_queue_peek_head(&iscsi->sent);

    if (!oldest)
        return TRUE;
    if (now - oldest->request->sent_at > ALIVE_TIMEOUTS * patience ||
        (iscsi->pinged_at && now - iscsi->pinged_at > patience))
        return FALSE;
    if (!iscsi->pinged_at && now - iscsi->heard_at > patience) {
        iscsi->pinged_at = now;
        if (iscsi->lib->iscsi_nop_out_async(iscsi->context, ping_done, NULL, 0, iscsi) < 0)
            return FALSE;
    }
    *again = MIN(*again, (iscsi->pinged_at ? iscsi->pinged_at : iscsi->heard_at) + patience + 1);
    return TRUE;
}

static void wakeups_drain(int fd)
{
    uint64_t count;

    while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
}

/*
 * FALSE: the connection is lost. libiscsi does not always report this: it cancels pending commands,
 * or loses a command after a failure.
 */
static gboolean session_serve(CstIscsi *iscsi, int revents)
{
    if (revents & POLLIN) {
        iscsi->heard_at = g_get_monotonic_time();
        iscsi->pinged_at = 0;
    }
    return iscsi->lib->iscsi_service(iscsi->context, revents) >= 0 &&
           !(revents & (POLLERR | POLLHUP | POLLNVAL)) &&
           iscsi->lib->iscsi_is_logged_in(iscsi->context) &&
           iscsi->lib->iscsi_queue_length(iscsi->context) >= (int)g_queue_get_length(&iscsi->sent);
}

/* Waits for the connection, for a caller, or until @again. FALSE: the connection is lost. */
static gboolean wait_for_events(CstIscsi *iscsi, gint64 again)
{
    struct pollfd fds[2] = {{.fd = iscsi->wake, .events = POLLIN}, {.fd = -1}};
    gint64 left = again - g_get_monotonic_time();

    if (iscsi->context) {
        fds[1].fd = iscsi->lib->iscsi_get_fd(iscsi->context);
        fds[1].events = (short)iscsi->lib->iscsi_which_events(iscsi->context);
        if (fds[1].fd < 0)
            return FALSE;
    }
    if (poll(fds, 2, again == G_MAXINT64 ? -1 : (int)MAX(left / G_TIME_SPAN_MILLISECOND + 1, 0)) <
        0)
        return TRUE;
    if (fds[0].revents)
        wakeups_drain(iscsi->wake);
    return !iscsi->context || session_serve(iscsi, fds[1].revents);
}

/* --- the thread ------------------------------------------------------------------------------- */

static gboolean has_queued(CstIscsi *iscsi)
{
    gboolean any;

    g_mutex_lock(&iscsi->lock);
    any = !g_queue_is_empty(&iscsi->queue);
    g_mutex_unlock(&iscsi->lock);
    return any;
}

/* Logs out of a session that is idle for too long. */
static void session_log_out_if_idle(CstIscsi *iscsi, gint64 *again)
{
    gint64 now = g_get_monotonic_time();

    if (!g_queue_is_empty(&iscsi->sent) || has_queued(iscsi))
        iscsi->idle_since = now;
    else if (iscsi->context && now - iscsi->idle_since >= IDLE_US)
        session_logout(iscsi);
    if (iscsi->context)
        *again = MIN(*again, iscsi->idle_since + IDLE_US);
}

/* Logs out and fails all waiting callers. */
static void end_session(CstIscsi *iscsi)
{
    g_autoptr(GError) closed = late_error(iscsi);

    if (iscsi->context)
        session_logout(iscsi);
    if (iscsi->lib)
        connection_drop(iscsi);
    fail_queue(iscsi, closed);
    CST_TEST_POINT("iscsi.session.ended");
    g_mutex_lock(&iscsi->lock);
    g_atomic_int_set(&iscsi->leaving, 0);
    g_cond_broadcast(&iscsi->cond);
    g_mutex_unlock(&iscsi->lock);
}

static void serve_once(CstIscsi *iscsi)
{
    gint64 again = G_MAXINT64;

    if (!iscsi->context && has_queued(iscsi))
        connect_anywhere(iscsi);
    if (iscsi->context && (!send_queued(iscsi, &again) || !session_is_alive(iscsi, &again))) {
        lose_portal(iscsi);
        return;
    }
    session_log_out_if_idle(iscsi, &again);
    if (!wait_for_events(iscsi, again))
        lose_portal(iscsi);
}

static gpointer session_thread(gpointer data)
{
    CstIscsi *iscsi = data;

    while (!g_atomic_int_get(&iscsi->closing)) {
        if (g_atomic_int_get(&iscsi->leaving))
            end_session(iscsi);
        else
            serve_once(iscsi);
    }
    end_session(iscsi);
    return NULL;
}

/* --- for callers ------------------------------------------------------------------------------ */

static void wake_thread(CstIscsi *iscsi)
{
    const uint64_t one = 1;

    while (write(iscsi->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* Starts the thread unless it runs. Called with the lock held. */
static gboolean ensure_thread(CstIscsi *iscsi, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (iscsi->thread)
        return TRUE;
    if (iscsi->wake < 0)
        iscsi->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (iscsi->wake < 0)
        return cst_fail_errno(error, errno, _("cannot talk to target '%s'"), iscsi->target.target);
    iscsi->thread = g_thread_try_new("iscsi", session_thread, iscsi, &why);
    return iscsi->thread || cst_fail(error, CST_ERROR_NO_MEMORY, "%s", why->message);
}

gboolean cst_iscsi_run(CstIscsi *iscsi, CstIscsiRequest *requests, guint count, GError **error)
{
    CstIscsiBatch batch = {.left = count};

    g_mutex_lock(&iscsi->lock);
    if (!ensure_thread(iscsi, error)) {
        g_mutex_unlock(&iscsi->lock);
        return FALSE;
    }
    for (guint i = 0; i < count; i++) {
        CstIscsiRequest *request = &requests[i];

        request->batch = &batch;
        if (!request->queued_at)
            request->queued_at = g_get_monotonic_time();
        request->not_before = 0;
        g_queue_push_tail(&iscsi->queue, request);
    }
    wake_thread(iscsi);
    while (batch.left > 0) {
        CST_TEST_POINT("iscsi.run.wait");
        g_cond_wait(&iscsi->cond, &iscsi->lock);
    }
    g_mutex_unlock(&iscsi->lock);
    if (!batch.error)
        return TRUE;
    g_propagate_error(error, batch.error);
    return FALSE;
}

/* Sends TEST UNIT READY to LUN 0. The LUN need not exist, because any answer is sufficient. */
gboolean cst_iscsi_connect(CstIscsi *iscsi, GError **error)
{
    CstIscsiRequest request = {.command = cst_scsi_test_ready()};

    return iscsi_lib(error) && cst_iscsi_run(iscsi, &request, 1, error);
}

void cst_iscsi_disconnect(CstIscsi *iscsi)
{
    g_mutex_lock(&iscsi->lock);
    if (iscsi->thread) {
        g_atomic_int_set(&iscsi->leaving, 1);
        wake_thread(iscsi);
        while (g_atomic_int_get(&iscsi->leaving)) {
            CST_TEST_POINT("iscsi.disconnect.wait");
            g_cond_wait(&iscsi->cond, &iscsi->lock);
        }
    }
    g_mutex_unlock(&iscsi->lock);
}

CstIscsi *cst_iscsi_new(const CstIscsiTarget *target)
{
    CstIscsi *iscsi = g_new0(CstIscsi, 1);

    iscsi->target = *target;
    iscsi->target.target = g_strdup(target->target);
    iscsi->target.initiator = g_strdup(target->initiator);
    iscsi->target.portals = (const char *const *)g_strdupv((char **)target->portals);
    iscsi->isid = g_random_int();
    iscsi->epoch = 1; /* 0 means any epoch */
    iscsi->wake = -1;
    g_mutex_init(&iscsi->lock);
    g_cond_init(&iscsi->cond);
    g_queue_init(&iscsi->queue);
    g_queue_init(&iscsi->sent);
    return iscsi;
}

void cst_iscsi_free(CstIscsi *iscsi)
{
    if (!iscsi)
        return;
    g_atomic_int_set(&iscsi->closing, 1);
    g_atomic_int_set(&iscsi->leaving, 1);
    if (iscsi->thread) {
        wake_thread(iscsi);
        g_thread_join(iscsi->thread);
    }
    if (iscsi->wake >= 0)
        close(iscsi->wake);
    g_mutex_clear(&iscsi->lock);
    g_cond_clear(&iscsi->cond);
    g_free((char *)iscsi->target.target);
    g_free((char *)iscsi->target.initiator);
    g_strfreev((char **)iscsi->target.portals);
    g_free(iscsi);
}
