/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps of a pause by the monitor of a QEMU that libvirt does not manage:
 *
 *   CHECK    connects, if the process at the socket is that of the URI; query-status; each volume
 * is the top image of a disk (qmp_disk.c); query-block-jobs, query-migrate SUSPEND  the same
 * checks, stop. QEMU flushes the caches of all disks HOLDS    query-status, and the events: did a
 * guest that was paused before stay paused? RESUME   as HOLDS; cont VERIFY   waits for the event
 * RESUME. With exactly one event since the suspension the guest has not run in between ATTACH
 * connects, if the process is still the same
 *
 * A monitor has no agent, so the file systems are not frozen.
 *
 * A monitor serves one client. It executes the commands of a client, or drops them, before it
 * accepts the next one. So a worker that has an answer knows that no command of an earlier worker
 * is still to come. Without the event STOP another client has stopped the guest before us, and the
 * pause is not ours.
 *
 * The connection is kept from the check to the end of the pause, so that no event is missed.
 * Between the steps the worker counts the events.
 */
#include "pause_steps.h"

#include <poll.h>
#include <string.h>

#include "domain_check.h"
#include "qmp_disk.h"
#include "qmp_uri.h"

#define COMMAND(name)    "{\"execute\": \"" name "\"}"
#define US_PER_MS        1000
#define LIMIT_PART(part) ((part) / 10 * 9) /* the worker answers before it is killed */

struct PauseWorker {
    const PauseWorkerSetup *setup;
    QmpUri uri;
    QmpClient client;
    gboolean checked;    /* the events since PAUSE_STEP_CHECK are known */
    guint resumptions;   /* events before PAUSE_STEP_CHECK or PAUSE_STEP_SUSPEND */
    gint64 suspended_at; /* monotonic microseconds; 0: not done by this worker */
};

/* --- failures --------------------------------------------------------------------------------- */

/* Whether the connection cannot be used after the failure. */
static gboolean failure_ends_connection(QmpOutcome outcome)
{
    return outcome == QMP_SILENT || outcome == QMP_CLOSED || outcome == QMP_MALFORMED ||
           outcome == QMP_TOO_LONG || outcome == QMP_UNCONNECTED;
}

/* Sets the answer to the failure of the client. Always returns FALSE. */
static gboolean worker_fail(PauseWorker *worker, PauseAnswer *answer)
{
    QmpOutcome failure = worker->client.outcome;
    PauseOutcome outcome = PAUSE_FAILED;

    if (!qmp_uri_is_alive(&worker->uri))
        return pause_answer_fail(answer, PAUSE_ENDED, NULL);
    if (failure == QMP_SILENT)
        outcome = PAUSE_TIMEOUT;
    else if (failure_ends_connection(failure))
        outcome = PAUSE_LOST;
    pause_answer_fail(answer, outcome, worker->client.detail);
    answer->monitor = failure;
    return FALSE;
}

/* Likewise, for a failure before the guest is stopped. It stays in the state in which it is. */
static void worker_fail_before_stop(PauseWorker *worker, PauseAnswer *answer)
{
    worker_fail(worker, answer);
    if (answer->outcome != PAUSE_ENDED)
        answer->outcome = PAUSE_STOPPED;
}

/* Sets the limit of a step. A failed step may be repeated, unless the connection has failed. */
static void worker_begin_step(PauseWorker *worker, PauseStep step)
{
    unsigned ms = worker->setup->limits[pause_step_limits[step]];

    worker->client.until = g_get_monotonic_time() + (gint64)LIMIT_PART(ms) * US_PER_MS;
    if (!failure_ends_connection(worker->client.outcome))
        qmp_client_forget_failure(&worker->client);
}

/* Sends a command. Its reply has no content. */
static gboolean worker_command(PauseWorker *worker, const char *command)
{
    return worker->client.outcome == QMP_DONE &&
           qmp_client_command(&worker->client, command) != NULL;
}

/* --- checks ----------------------------------------------------------------------------------- */

static gboolean worker_connect(PauseWorker *worker)
{
    g_autoptr(GError) error = NULL;

    if (!qmp_uri_parse(worker->setup->request->uri, &worker->uri))
        return qmp_client_fail(&worker->client, QMP_NO_SOCKET, NULL);
    if (!cst_library_load(&cst_json_glib_library, &error))
        return qmp_client_fail(&worker->client, QMP_NO_LIBRARY, error->message);
    /* A later process with the same pid fails here, or with its start time afterwards. */
    return qmp_client_connect(&worker->client, worker->uri.socket, worker->uri.pid) &&
           (qmp_uri_is_alive(&worker->uri) ||
            qmp_client_fail(&worker->client, QMP_OTHER_PROCESS, NULL));
}

/* Whether the guest stands because of a command, and QEMU has flushed its caches. */
static gboolean status_is_paused(const char *status)
{
    return strcmp(status, "paused") == 0 || strcmp(status, "prelaunch") == 0;
}

/*
 * *ret_stands: an administrator has paused the guest. Fails if it neither runs nor stands so. A
 * guest in the state "suspended" wakes by itself.
 */
static gboolean worker_check_status(PauseWorker *worker, gboolean *ret_stands)
{
    const char *status = qmp_read_status(&worker->client);

    if (!status)
        return FALSE;
    *ret_stands = status_is_paused(status);
    return *ret_stands || strcmp(status, "running") == 0 ||
           qmp_client_fail(&worker->client, QMP_STOPPED, status);
}

/* The other QEMU of a migration may have the disks next. */
static gboolean worker_check_migration(PauseWorker *worker)
{
    static const char *const idle[] = {"none", "completed", "failed", "cancelled", NULL};
    JsonNode *reply = qmp_client_command(&worker->client, COMMAND("query-migrate"));
    const char *status;

    if (!reply)
        return FALSE;
    status = JSON_NODE_HOLDS_OBJECT(reply) ? qmp_text_member(json_node_get_object(reply), "status")
                                           : NULL;
    return !status || g_strv_contains(idle, status) ||
           qmp_client_fail(&worker->client, QMP_MIGRATES, status);
}

static gboolean worker_check_disks(PauseWorker *worker)
{
    const PauseRequest *request = worker->setup->request;

    for (guint i = 0; i < request->n_volumes; i++) {
        g_auto(QmpDisk) disk = {0};

        if (!qmp_disk_find(&worker->client, worker->uri.pid, &request->volumes[i], &disk))
            return FALSE;
    }
    return qmp_check_jobs(&worker->client) && worker_check_migration(worker);
}

static void step_check(PauseWorker *worker, PauseAnswer *answer)
{
    worker_begin_step(worker, PAUSE_STEP_CHECK);
    answer->agent = CST_DOMAIN_AGENT_NONE;
    if (!worker_connect(worker) || !worker_check_status(worker, &answer->stood) ||
        !worker_check_disks(worker)) {
        worker_fail(worker, answer);
        return;
    }
    answer->id = (gint32)worker->uri.pid;
    worker->resumptions = worker->client.resumptions;
    worker->checked = TRUE;
}

static void step_attach(PauseWorker *worker, PauseAnswer *answer)
{
    worker_begin_step(worker, PAUSE_STEP_ATTACH);
    if (!worker_connect(worker))
        worker_fail(worker, answer);
    worker->resumptions = worker->client.resumptions;
}

/* --- the pause -------------------------------------------------------------------------------- */

static void step_suspend(PauseWorker *worker, PauseAnswer *answer)
{
    guint stops;
    gboolean stands = FALSE;

    worker_begin_step(worker, PAUSE_STEP_SUSPEND);
    /* The caller has copied the disks since the first check, which may have taken minutes. */
    if (worker->client.outcome != QMP_DONE || !worker_check_status(worker, &stands) ||
        !worker_check_disks(worker)) {
        worker_fail_before_stop(worker, answer);
        return;
    }
    if (stands) {
        pause_answer_fail(answer, PAUSE_STOPPED, NULL);
        return;
    }
    stops = worker->client.stops;
    worker->resumptions = worker->client.resumptions;
    worker->suspended_at = g_get_monotonic_time();
    if (!worker_command(worker, COMMAND("stop")))
        worker_fail(worker, answer);
    else if (worker->client.stops == stops)
        pause_answer_fail(answer, PAUSE_STOPPED, NULL);
}

/* Fails with PAUSE_INTERRUPTED if the guest runs, or ran since the suspension. */
static gboolean worker_check_holds(PauseWorker *worker, PauseAnswer *answer)
{
    const char *status =
        worker->client.outcome == QMP_DONE ? qmp_read_status(&worker->client) : NULL;

    if (!status || !qmp_uri_is_alive(&worker->uri))
        return worker_fail(worker, answer);
    return (status_is_paused(status) && worker->client.resumptions == worker->resumptions) ||
           pause_answer_fail(answer, PAUSE_INTERRUPTED, NULL);
}

static void step_holds(PauseWorker *worker, PauseAnswer *answer)
{
    worker_begin_step(worker, PAUSE_STEP_HOLDS);
    worker_check_holds(worker, answer);
}

/* If another client resumes the guest after the check, VERIFY finds a second event. */
static void step_resume(PauseWorker *worker, PauseAnswer *answer)
{
    worker_begin_step(worker, PAUSE_STEP_RESUME);
    if (!worker_check_holds(worker, answer))
        return;
    if (!worker_command(worker, COMMAND("cont"))) {
        worker_fail(worker, answer);
        return;
    }
    if (worker->suspended_at)
        answer->paused_us = (uint64_t)(g_get_monotonic_time() - worker->suspended_at);
}

/* Waits until the event RESUME has arrived, or the limit has passed. */
static void worker_await_resumption(PauseWorker *worker)
{
    struct pollfd event = {.fd = worker->client.fd, .events = POLLIN};
    gint64 until =
        g_get_monotonic_time() + (gint64)worker->setup->limits[PAUSE_LIMIT_EVENT] * US_PER_MS;

    while (worker->client.outcome == QMP_DONE &&
           worker->client.resumptions == worker->resumptions) {
        gint64 left_ms = (until - g_get_monotonic_time()) / US_PER_MS;

        if (left_ms <= 0)
            return;
        if (poll(&event, 1, (int)left_ms) > 0)
            qmp_client_receive_events(&worker->client);
    }
}

static void step_verify(PauseWorker *worker, PauseAnswer *answer)
{
    guint found;

    worker_begin_step(worker, PAUSE_STEP_VERIFY);
    worker_await_resumption(worker);
    /* The reply follows all events before it. */
    if (worker->client.outcome != QMP_DONE || !qmp_read_status(&worker->client)) {
        worker_fail(worker, answer);
        return;
    }
    found = worker->client.resumptions - worker->resumptions;
    if (found > 1)
        pause_answer_fail(answer, PAUSE_INTERRUPTED, NULL);
    else if (found == 0 || !worker->checked)
        pause_answer_fail(answer, PAUSE_UNVERIFIED, NULL);
}

/* --- the table -------------------------------------------------------------------------------- */

static PauseWorker *worker_begin(const PauseWorkerSetup *setup)
{
    PauseWorker *worker = g_new0(PauseWorker, 1);

    worker->setup = setup;
    worker->client.fd = -1;
    return worker;
}

/* A failure of the monitor is reported by the next step. */
static void worker_await(PauseWorker *worker)
{
    struct pollfd fds[2] = {{.fd = worker->setup->socket, .events = POLLIN}, {.events = POLLIN}};

    for (;;) {
        fds[1].fd = worker->client.outcome == QMP_DONE ? worker->client.fd : -1;
        fds[1].revents = 0;
        if (poll(fds, G_N_ELEMENTS(fds), -1) <= 0)
            continue;
        if (fds[0].revents)
            return;
        worker->client.until = 0;
        qmp_client_receive_events(&worker->client);
    }
}

const PauseSteps pause_steps_qmp = {
    .may_be_late = FALSE,
    .begin = worker_begin,
    .await = worker_await,
    .run =
        {
            [PAUSE_STEP_CHECK] = step_check,
            [PAUSE_STEP_ATTACH] = step_attach,
            [PAUSE_STEP_SUSPEND] = step_suspend,
            [PAUSE_STEP_HOLDS] = step_holds,
            [PAUSE_STEP_RESUME] = step_resume,
            [PAUSE_STEP_VERIFY] = step_verify,
        },
};
