/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of the fake libvirt.so.0 that pauses domains: the agent, the states, and the events.
 * "live" of a domain (live.h) has their state.
 *
 * The event loop has one iteration per call, as that of libvirt. An event is queued in one
 * iteration and reported in the next one.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "live.h"

#define SLICE_MS      5 /* between two looks at the events */
#define TIMERS_MAX    8
#define FROZEN_TEXT   "The command has been disabled: the agent is in frozen state"
#define HANDLES_MAX   4
#define EVENT_IDS_MAX 64

typedef struct {
    int fd, events;
    virEventHandleCallback report;
    void *data;
} FakeHandle;

typedef struct {
    gint64 due; /* monotonic microseconds; 0: unused */
    int period_ms;
    virEventTimeoutCallback report;
    void *data;
} FakeTimer;

static FakeHandle handles[HANDLES_MAX];
static int n_handles;
static FakeTimer timers[TIMERS_MAX];
static struct {
    virDomainPtr domain;
    virConnectDomainEventGenericCallback reports[EVENT_IDS_MAX];
    void *data[EVENT_IDS_MAX];
    size_t known, queued; /* events of "live" */
} lifecycle;

/* --- the event loop --------------------------------------------------------------------------- */

int virEventRegisterDefaultImpl(void)
{
    return fake_enter(__func__) ? 0 : -1;
}

int virEventAddHandle(int fd, int events, virEventHandleCallback cb, void *opaque,
                      virFreeCallback ff)
{
    handles[n_handles] = (FakeHandle){fd, events, cb, opaque};
    return n_handles++;
}

int virEventAddTimeout(int frequency, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff)
{
    for (int i = 0; i < TIMERS_MAX; i++)
        if (!timers[i].report) {
            timers[i] = (FakeTimer){g_get_monotonic_time() + frequency * G_TIME_SPAN_MILLISECOND,
                                    frequency, cb, opaque};
            return i;
        }
    return -1;
}

int virEventRemoveTimeout(int timer)
{
    timers[timer].report = NULL;
    return 0;
}

static char *lifecycle_events(void)
{
    g_autofree char *live = lifecycle.domain ? fake_text(lifecycle.domain, "live") : NULL;
    char *events = live ? live_get(live, "events") : NULL;

    return events ? events : g_strdup("");
}

static void lifecycle_report(int event, int detail)
{
    virConnectDomainEventCallback report =
        (virConnectDomainEventCallback)(void *)lifecycle.reports[VIR_DOMAIN_EVENT_ID_LIFECYCLE];

    if (report)
        report(lifecycle.domain->conn, lifecycle.domain, event, detail,
               lifecycle.data[VIR_DOMAIN_EVENT_ID_LIFECYCLE]);
}

static void io_error_report(const char *reason)
{
    virConnectDomainEventIOErrorReasonCallback report =
        (virConnectDomainEventIOErrorReasonCallback)(void *)
            lifecycle.reports[VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON];

    if (report)
        report(lifecycle.domain->conn, lifecycle.domain, "", "", VIR_DOMAIN_EVENT_IO_ERROR_PAUSE,
               reason, lifecycle.data[VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON]);
}

static void job_report(void)
{
    virConnectDomainEventJobCompletedCallback report =
        (virConnectDomainEventJobCompletedCallback)(void *)
            lifecycle.reports[VIR_DOMAIN_EVENT_ID_JOB_COMPLETED];

    if (report)
        report(lifecycle.domain->conn, lifecycle.domain, NULL, 0,
               lifecycle.data[VIR_DOMAIN_EVENT_ID_JOB_COMPLETED]);
}

static void block_report(int status)
{
    virConnectDomainEventBlockJobCallback report =
        (virConnectDomainEventBlockJobCallback)(void *)
            lifecycle.reports[VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2];
    g_autofree char *live = fake_text(lifecycle.domain, "live");

    if (report)
        report(lifecycle.domain->conn, lifecycle.domain, "vda", live_get_number(live, "block-last"),
               status, lifecycle.data[VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2]);
}

void fake_forget_events(void)
{
    memset(&lifecycle, 0, sizeof(lifecycle));
}

/* The letters of live.h. */
static void event_report(char event)
{
    switch (event) {
    case 'S': lifecycle_report(VIR_DOMAIN_EVENT_SUSPENDED, 0); break;
    case 'R': lifecycle_report(VIR_DOMAIN_EVENT_RESUMED, 0); break;
    case 'E': lifecycle_report(VIR_DOMAIN_EVENT_STOPPED, 0); break;
    case 'N': io_error_report("enospc"); break;
    case 'J': job_report(); break;
    case 'Y': block_report(VIR_DOMAIN_BLOCK_JOB_READY); break;
    case 'C': block_report(VIR_DOMAIN_BLOCK_JOB_COMPLETED); break;
    case 'F': block_report(VIR_DOMAIN_BLOCK_JOB_FAILED); break;
    case 'X': block_report(VIR_DOMAIN_BLOCK_JOB_CANCELED); break;
    default: break;
    }
}

/* Reports the queued events, and queues new ones. Returns whether there were some. */
static gboolean lifecycle_run(void)
{
    g_autofree char *events = lifecycle_events();
    gboolean any = lifecycle.queued > lifecycle.known || strlen(events) > lifecycle.queued;

    if (fake_is_lost())
        return FALSE;
    while (lifecycle.known < lifecycle.queued)
        event_report(events[lifecycle.known++]);
    lifecycle.queued = strlen(events);
    return any;
}

static gboolean timers_run(void)
{
    gint64 now = g_get_monotonic_time();
    gboolean any = FALSE;

    for (int i = 0; i < TIMERS_MAX; i++)
        if (timers[i].report && timers[i].due <= now) {
            timers[i].due = now + timers[i].period_ms * G_TIME_SPAN_MILLISECOND;
            timers[i].report(i, timers[i].data);
            any = TRUE;
        }
    return any;
}

static gboolean handles_run(int wait_ms)
{
    struct pollfd fds[HANDLES_MAX];
    gboolean any = FALSE;

    for (int i = 0; i < n_handles; i++)
        fds[i] = (struct pollfd){.fd = handles[i].fd, .events = POLLIN};
    if (poll(fds, (nfds_t)n_handles, wait_ms) < 0)
        return FALSE;
    for (int i = 0; i < n_handles; i++)
        if (fds[i].revents) {
            handles[i].report(i, fds[i].fd, fds[i].revents, handles[i].data);
            any = TRUE;
        }
    return any;
}

int virEventRunDefaultImpl(void)
{
    gboolean any;

    do {
        any = timers_run();
        any = lifecycle_run() || any;
        any = handles_run(any ? 0 : SLICE_MS) || any;
    } while (!any);
    return 0;
}

int virConnectDomainEventRegisterAny(virConnectPtr conn, virDomainPtr dom, int eventID,
                                     virConnectDomainEventGenericCallback cb, void *opaque,
                                     virFreeCallback freecb)
{
    g_autofree char *events = NULL;

    if (!fake_enter(__func__))
        return -1;
    lifecycle.reports[eventID] = cb;
    lifecycle.data[eventID] = opaque;
    if (lifecycle.domain)
        return eventID;
    /* Keeps a domain of its own, as libvirt does. */
    lifecycle.domain = g_new0(struct _virDomain, 1);
    lifecycle.domain->conn = conn;
    lifecycle.domain->group = g_strdup(dom->group);
    events = lifecycle_events();
    lifecycle.known = lifecycle.queued = strlen(events);
    return eventID;
}

/* --- the domain ------------------------------------------------------------------------------- */

static char *fake_live(virDomainPtr domain)
{
    char *live = fake_text(domain, "live");

    if (!live)
        abort();
    return live;
}

static gboolean fake_runs(const char *live)
{
    g_autofree char *state = live_get(live, "state");

    if (g_strcmp0(state, "running") == 0)
        return TRUE;
    fake_fail(VIR_ERR_OPERATION_INVALID, 0, "domain is not running");
    return FALSE;
}

unsigned int virDomainGetID(virDomainPtr domain)
{
    g_autofree char *live = fake_live(domain);
    g_autofree char *state = live_get(live, "state");

    return g_strcmp0(state, "off") == 0 ? (unsigned)-1 : (unsigned)live_get_number(live, "id");
}

/* A domain that is paused stays so, without an event. */
int virDomainSuspend(virDomainPtr domain)
{
    g_autofree char *live = fake_live(domain);

    if (!fake_enter(__func__))
        return -1;
    live_suspend(live);
    fake_leave(__func__);
    return 0;
}

int virDomainResume(virDomainPtr domain)
{
    g_autofree char *live = fake_live(domain);

    if (!fake_enter(__func__))
        return -1;
    if (!live_resume(live)) {
        fake_fail(VIR_ERR_OPERATION_INVALID, 0, "domain is already running");
        return -1;
    }
    fake_leave(__func__);
    return 0;
}

/* --- the agent -------------------------------------------------------------------------------- */

static int fake_agent_fail(int count)
{
    if (count == -1)
        fake_fail(VIR_ERR_AGENT_UNRESPONSIVE, 0, "Guest agent is not responding");
    else
        fake_fail(VIR_ERR_INTERNAL_ERROR, 0, FROZEN_TEXT);
    return -1;
}

int virDomainAgentSetResponseTimeout(virDomainPtr domain, int timeout, unsigned int flags)
{
    g_autofree char *live = fake_live(domain);

    if (!fake_enter(__func__))
        return -1;
    live_set_number(live, "timeout", timeout);
    return 0;
}

int virDomainGetTime(virDomainPtr domain, long long *seconds, unsigned int *nseconds,
                     unsigned int flags)
{
    g_autofree char *live = fake_live(domain);
    g_autofree char *agent = live_get(live, "agent");

    if (!fake_enter(__func__) || !fake_runs(live))
        return -1;
    if (g_strcmp0(agent, "hung") == 0)
        return fake_agent_fail(-1);
    return live_get_number(live, "frozen") > 0 ? fake_agent_fail(-2) : 0;
}

int virDomainFSFreeze(virDomainPtr domain, const char **mountpoints, unsigned int nmountpoints,
                      unsigned int flags)
{
    g_autofree char *live = fake_live(domain);
    int count;

    if (!fake_enter(__func__) || !fake_runs(live))
        return -1;
    count = live_freeze(live);
    fake_leave(__func__);
    return count < 0 ? fake_agent_fail(count) : count;
}

int virDomainFSThaw(virDomainPtr domain, const char **mountpoints, unsigned int nmountpoints,
                    unsigned int flags)
{
    g_autofree char *live = fake_live(domain);
    int count;

    if (!fake_enter(__func__) || !fake_runs(live))
        return -1;
    count = live_thaw(live);
    fake_leave(__func__);
    return count < 0 ? fake_agent_fail(count) : count;
}
