/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's monitor (docs/interop/qmp-spec.rst, qapi/run-state.json). After qmp_capabilities it
 * answers query-status. A guest that KVM cannot run stays in "internal-error", and a guest whose
 * disk cannot be written in "io-error". In both cases the host is the cause, and not the disk. The
 * guest may have compromised QEMU. Therefore an answer is only searched for these two words, and
 * the bytes of a line after LINE_BYTES are dropped.
 */
#include "monitor.h"

#include <string.h>
#include <sys/socket.h>

#include <base/file.h>

#include "agent.h"

#define ASK_EVERY  (2 * G_TIME_SPAN_SECOND)
#define LINE_BYTES 4096

#define BEGIN    "{\"execute\":\"qmp_capabilities\"}\n"
#define QUESTION "{\"execute\":\"query-status\"}\n"

struct GuestMonitor {
    CstFd near;
    char line[LINE_BYTES + 1];
    size_t len;
    gint64 asked; /* monotonic microseconds; 0: never */
    const char *stuck;
};

GuestMonitor *guest_monitor_new(int *ret_far, GError **error)
{
    GuestMonitor *monitor;
    int near;

    if (!guest_channel_open(&near, ret_far, error))
        return NULL;
    monitor = g_new0(GuestMonitor, 1);
    monitor->near = near;
    return monitor;
}

void guest_monitor_free(GuestMonitor *monitor)
{
    if (!monitor)
        return;
    cst_fd_clear(&monitor->near);
    g_free(monitor);
}

static void read_answer(GuestMonitor *monitor)
{
    static const char *const states[] = {"internal-error", "io-error"};

    monitor->line[monitor->len] = '\0';
    monitor->len = 0;
    if (!strstr(monitor->line, "\"status\""))
        return;
    monitor->stuck = NULL;
    for (guint i = 0; i < G_N_ELEMENTS(states); i++)
        if (strstr(monitor->line, states[i]))
            monitor->stuck = states[i];
}

static void send_text(const GuestMonitor *monitor, const char *text)
{
    /* If the channel is full, the query is sent again later. */
    (void)send(monitor->near, text, strlen(text), MSG_NOSIGNAL);
}

const char *guest_monitor_stuck(GuestMonitor *monitor)
{
    gint64 now = g_get_monotonic_time();
    char bytes[512];
    ssize_t n;

    if (!monitor->asked)
        send_text(monitor, BEGIN);
    if (!monitor->asked || now - monitor->asked > ASK_EVERY) {
        monitor->asked = now;
        send_text(monitor, QUESTION);
    }
    n = recv(monitor->near, bytes, sizeof(bytes), 0);
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '\n')
            read_answer(monitor);
        else if (monitor->len < LINE_BYTES)
            monitor->line[monitor->len++] = bytes[i];
    }
    return monitor->stuck;
}
