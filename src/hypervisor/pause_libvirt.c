/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps of a pause by libvirt:
 *
 *   CHECK    virConnectOpen(), virDomainLookupByUUIDString(), virDomainGetState(); the volumes are
 *            compared with the disks (disk.c); jobs; events of the domain are registered
 *   PING     virDomainAgentSetResponseTimeout(5), virDomainGetTime(): the cheapest question to the
 *            agent. It fails in a guest whose file systems are frozen
 *   FREEZE   virDomainFSFreeze()
 *   SUSPEND  virDomainGetState() again, virDomainSuspend(). QEMU flushes the caches of all disks
 *   HOLDS    virDomainGetState(), and the events: did a domain that was paused before stay paused?
 *   RESUME   virDomainGetState(), virDomainResume()
 *   VERIFY   waits for the event of the resumption. With exactly one event since the suspension the
 *            domain has not run in between
 *   THAW     virDomainFSThaw(), virDomainAgentSetResponseTimeout(BLOCK): the limit belongs to the
 *            domain, and is kept after the connection. libvirt cannot report it
 *   ATTACH   as CHECK, for a domain that was checked by an earlier worker
 *
 * Between the steps the worker runs libvirt's event loop, which includes its socket.
 */
#include "pause_steps.h"

#include <poll.h>
#include <string.h>

#include <base/text.h>

#include "domain_check.h"
#include "helper.h"
#include "pause_protocol.h"

#define FROZEN_WORDS "in frozen state" /* of QEMU's guest agent, not translated */
#define DRAIN_ROUNDS 3                 /* of the event loop: read, queue, report */
#define MS_PER_S     1000

struct PauseWorker {
    const PauseWorkerSetup *setup;
    virConnectPtr conn;
    virDomainPtr domain;
    int id;                         /* of the domain since it was checked */
    gboolean checked;               /* the events since PAUSE_STEP_CHECK are known */
    gboolean has_request;           /* the socket is readable */
    guint resumptions;              /* reported since PAUSE_STEP_CHECK or PAUSE_STEP_SUSPEND */
    guint timer_runs;               /* of the timer of worker_run_events() */
    gint64 suspended_at, frozen_at; /* monotonic microseconds; 0: not done by this worker */
};

/* --- the event loop --------------------------------------------------------------------------- */

/* Implements virConnectDomainEventCallback. */
static int worker_on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail,
                               void *data)
{
    PauseWorker *worker = data;

    worker->resumptions += event == VIR_DOMAIN_EVENT_RESUMED;
    return 0;
}

/* Implements virEventHandleCallback. */
static void worker_on_socket(int watch, int fd, int events, void *data)
{
    ((PauseWorker *)data)->has_request = TRUE;
}

/* Implements virEventTimeoutCallback. */
static void worker_on_timer(int timer, void *data)
{
    ((PauseWorker *)data)->timer_runs++;
}

/*
 * Reports the events that libvirt has sent. Waits up to @wait_ms until the domain was resumed. A
 * call of libvirt queues the events that arrive before its answer.
 */
static void worker_run_events(PauseWorker *worker, unsigned wait_ms)
{
    guint runs = wait_ms ? 1 : DRAIN_ROUNDS;
    int timer = virEventAddTimeout((int)wait_ms, worker_on_timer, worker, NULL);

    worker->timer_runs = 0;
    while (timer >= 0 && worker->timer_runs < runs && !(wait_ms && worker->resumptions > 0))
        if (virEventRunDefaultImpl() < 0)
            break;
    if (timer >= 0)
        virEventRemoveTimeout(timer);
}

/* Waits for the next step or for the end of the watchdog. */
static void worker_await(PauseWorker *worker)
{
    struct pollfd poller = {.fd = worker->setup->socket, .events = POLLIN};

    worker->has_request = FALSE;
    while (worker->conn && !worker->has_request)
        if (virEventRunDefaultImpl() < 0)
            break;
    while (poll(&poller, 1, -1) < 0)
        ;
}

/* --- answers ---------------------------------------------------------------------------------- */

/*
 * Like pause_answer_fail_libvirt(), after a call for the agent. libvirt reports an answer of the
 * agent that is an error as VIR_ERR_INTERNAL_ERROR. A frozen agent refuses most questions.
 */
static gboolean answer_fail_agent(PauseAnswer *answer)
{
    pause_answer_fail_libvirt(answer);
    if (answer->outcome != PAUSE_FAILED || libvirt_code() != VIR_ERR_INTERNAL_ERROR)
        return FALSE;
    answer->outcome =
        answer->message && strstr(answer->message, FROZEN_WORDS) ? PAUSE_FROZEN : PAUSE_REFUSED;
    return FALSE;
}

/* --- the connection --------------------------------------------------------------------------- */

/* Replaces the handle of the domain. Returns FALSE with PAUSE_ENDED if the domain does not run. */
static gboolean worker_look_up(PauseWorker *worker, PauseAnswer *answer)
{
    if (worker->domain)
        virDomainFree(worker->domain);
    worker->domain = virDomainLookupByUUIDString(worker->conn, worker->setup->request->uuid);
    if (!worker->domain)
        return pause_answer_fail_libvirt(answer);
    answer->id = (gint32)virDomainGetID(worker->domain);
    return answer->id >= 0 || pause_answer_fail(answer, PAUSE_ENDED, NULL);
}

/* Fails with PAUSE_ENDED if the domain was started again since it was checked. */
static gboolean worker_find_same(PauseWorker *worker, PauseAnswer *answer)
{
    return worker_look_up(worker, answer) &&
           (answer->id == worker->id || pause_answer_fail(answer, PAUSE_ENDED, NULL));
}

static gboolean worker_connect(PauseWorker *worker, PauseAnswer *answer)
{
    if (!domain_load_libraries(answer))
        return FALSE;
    if (virEventRegisterDefaultImpl() < 0)
        return pause_answer_fail_libvirt(answer);
    worker->conn = virConnectOpen(worker->setup->request->uri);
    if (!worker->conn)
        return pause_answer_fail_libvirt(answer);
    return virEventAddHandle(worker->setup->socket,
                             VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP, worker_on_socket,
                             worker, NULL) >= 0 ||
           pause_answer_fail_libvirt(answer);
}

/* --- checks ----------------------------------------------------------------------------------- */

static gboolean worker_check_disks(PauseWorker *worker, PauseAnswer *answer)
{
    const PauseRequest *request = worker->setup->request;
    g_autoptr(CstDomainDef) def = NULL;

    if (!domain_read_def(worker->domain, &def, answer))
        return FALSE;
    answer->agent = def->agent;
    for (guint i = 0; i < request->n_volumes; i++)
        if (!domain_check_volume(worker->conn, worker->domain, &request->volumes[i], def, answer))
            return FALSE;
    return TRUE;
}

/*
 * Reads the state of the domain and reports the events before it. *ret_stands: an administrator or
 * this program has paused it. Fails if the domain neither runs nor stands so.
 */
static gboolean worker_read_state(PauseWorker *worker, gboolean *ret_stands, PauseAnswer *answer)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;

    if (virDomainGetState(worker->domain, &state, &reason, 0) < 0)
        return pause_answer_fail_libvirt(answer);
    worker_run_events(worker, 0);
    return domain_check_state(state, reason, ret_stands, answer);
}

/* libvirt reports the events of a domain to the connections that have registered for them. */
static gboolean worker_register(PauseWorker *worker, PauseAnswer *answer)
{
    return virConnectDomainEventRegisterAny(
               worker->conn, worker->domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
               VIR_DOMAIN_EVENT_CALLBACK(worker_on_lifecycle), worker, NULL) >= 0 ||
           pause_answer_fail_libvirt(answer);
}

/* The events are registered first, so that each change of the state is known. */
static void step_check(PauseWorker *worker, PauseAnswer *answer)
{
    g_autofree char *name = NULL;

    if (!worker_connect(worker, answer) || !worker_look_up(worker, answer))
        return;
    name = answer_text(virDomainGetName(worker->domain));
    answer->name = cst_text_escape(name);
    if (!worker_register(worker, answer) || !worker_read_state(worker, &answer->stood, answer) ||
        !worker_check_disks(worker, answer) || !domain_check_job(worker->domain, answer))
        return;
    worker->resumptions = 0;
    worker->id = answer->id;
    worker->checked = TRUE;
}

static void step_attach(PauseWorker *worker, PauseAnswer *answer)
{
    if (worker_connect(worker, answer))
        worker_find_same(worker, answer);
}

/* --- the agent -------------------------------------------------------------------------------- */

/* A failure has no effect on the steps: the watchdog has a limit of its own. */
static void worker_limit_agent(PauseWorker *worker)
{
    virDomainAgentSetResponseTimeout(worker->domain,
                                     (int)(worker->setup->limits[PAUSE_LIMIT_REPLY] / MS_PER_S), 0);
}

static void worker_unlimit_agent(PauseWorker *worker)
{
    virDomainAgentSetResponseTimeout(worker->domain, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
}

static void step_ping(PauseWorker *worker, PauseAnswer *answer)
{
    long long seconds = 0;
    unsigned nseconds = 0;

    worker_limit_agent(worker);
    if (virDomainGetTime(worker->domain, &seconds, &nseconds, 0) >= 0)
        return;
    answer_fail_agent(answer);
    worker_unlimit_agent(worker);
}

static void step_freeze(PauseWorker *worker, PauseAnswer *answer)
{
    gint64 began = g_get_monotonic_time();
    int count = virDomainFSFreeze(worker->domain, NULL, 0, 0);

    if (count < 0) {
        answer_fail_agent(answer);
        return;
    }
    worker->frozen_at = began;
    answer->frozen = (guint)count;
}

static void step_thaw(PauseWorker *worker, PauseAnswer *answer)
{
    int count;

    if (!worker_find_same(worker, answer))
        return;
    worker_limit_agent(worker);
    count = virDomainFSThaw(worker->domain, NULL, 0, 0);
    if (count < 0) {
        answer_fail_agent(answer);
        return;
    }
    answer->thawed = (guint)count;
    if (worker->frozen_at)
        answer->frozen_us = (uint64_t)(g_get_monotonic_time() - worker->frozen_at);
    worker_unlimit_agent(worker);
}

/* --- the pause -------------------------------------------------------------------------------- */

/*
 * An administrator may have paused the domain since it was checked. That pause is not ours. The
 * time between this check and the call is not covered.
 */
static void step_suspend(PauseWorker *worker, PauseAnswer *answer)
{
    gboolean stands = FALSE;

    if (!worker_find_same(worker, answer) || !worker_read_state(worker, &stands, answer))
        return;
    if (stands) {
        pause_answer_fail(answer, PAUSE_STOPPED, NULL);
        return;
    }
    /* The caller has copied the disks since the first check, which may have taken minutes. */
    if (!worker_check_disks(worker, answer) || !domain_check_job(worker->domain, answer))
        return;
    worker->resumptions = 0;
    worker->suspended_at = g_get_monotonic_time();
    if (virDomainSuspend(worker->domain) < 0)
        pause_answer_fail_libvirt(answer);
}

/* Fails with PAUSE_INTERRUPTED if the domain runs, or ran since the suspension. */
static gboolean worker_check_holds(PauseWorker *worker, PauseAnswer *answer)
{
    gboolean stands = FALSE;

    if (!worker_find_same(worker, answer))
        return FALSE;
    if (worker_read_state(worker, &stands, answer) && stands && worker->resumptions == 0)
        return TRUE;
    if (answer->outcome == PAUSE_DONE || answer->outcome == PAUSE_IO_ERROR ||
        answer->outcome == PAUSE_STOPPED)
        pause_answer_fail(answer, PAUSE_INTERRUPTED, NULL);
    return FALSE;
}

static void step_holds(PauseWorker *worker, PauseAnswer *answer)
{
    worker_check_holds(worker, answer);
}

/* Another program may resume the domain between the check and the call, which fails then. */
static void step_resume(PauseWorker *worker, PauseAnswer *answer)
{
    PauseAnswer again = {.id = -1};

    if (!worker_check_holds(worker, answer))
        return;
    if (virDomainResume(worker->domain) < 0) {
        pause_answer_fail_libvirt(answer);
        if (answer->outcome == PAUSE_FAILED && !worker_check_holds(worker, &again) &&
            again.outcome == PAUSE_INTERRUPTED)
            pause_answer_fail(answer, PAUSE_INTERRUPTED, NULL);
        pause_answer_clear(&again);
        return;
    }
    if (worker->suspended_at)
        answer->paused_us = (uint64_t)(g_get_monotonic_time() - worker->suspended_at);
}

static void step_verify(PauseWorker *worker, PauseAnswer *answer)
{
    gboolean stands;

    if (!worker->checked) {
        pause_answer_fail(answer, PAUSE_UNVERIFIED, NULL);
        return;
    }
    worker_run_events(worker, worker->setup->limits[PAUSE_LIMIT_EVENT]);
    if (!worker_read_state(worker, &stands, answer))
        pause_answer_set(answer, PAUSE_DONE, NULL);
    if (worker->resumptions == 0)
        pause_answer_fail(answer, PAUSE_UNVERIFIED, NULL);
    else if (worker->resumptions > 1)
        pause_answer_fail(answer, PAUSE_INTERRUPTED, NULL);
}

/* --- the table -------------------------------------------------------------------------------- */

static PauseWorker *worker_begin(const PauseWorkerSetup *setup)
{
    PauseWorker *worker = g_new0(PauseWorker, 1);

    worker->setup = setup;
    worker->id = setup->id;
    /* A session's daemon that the worker started would end with it. */
    g_setenv("LIBVIRT_AUTOSTART", "0", TRUE);
    return worker;
}

const PauseSteps pause_steps_libvirt = {
    .may_be_late = TRUE,
    .begin = worker_begin,
    .await = worker_await,
    .run =
        {
            [PAUSE_STEP_CHECK] = step_check,
            [PAUSE_STEP_ATTACH] = step_attach,
            [PAUSE_STEP_PING] = step_ping,
            [PAUSE_STEP_FREEZE] = step_freeze,
            [PAUSE_STEP_SUSPEND] = step_suspend,
            [PAUSE_STEP_HOLDS] = step_holds,
            [PAUSE_STEP_RESUME] = step_resume,
            [PAUSE_STEP_VERIFY] = step_verify,
            [PAUSE_STEP_THAW] = step_thaw,
        },
};
