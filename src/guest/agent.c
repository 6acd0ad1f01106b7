/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest agent (QEMU's qga/qapi-schema.json). It answers guest-sync with the number in the
 * query. Other output of the guest is discarded, ANSWER_BYTES at a time.
 */
#include "agent.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#define ASK_EVERY    (2 * G_TIME_SPAN_SECOND)
#define ANSWER_BYTES 256

struct GuestAgent {
    CstFd near;
    char *question, *answer;
    char got[ANSWER_BYTES]; /* the current line, without blanks */
    size_t len;
    gint64 asked; /* monotonic microseconds */
};

gboolean guest_channel_open(int *ret_near, int *ret_far, GError **error)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return cst_fail_errno(error, errno, "%s", _("cannot make a channel to QEMU"));
    *ret_near = ends[0];
    *ret_far = ends[1];
    return TRUE;
}

GuestAgent *guest_agent_new(int *ret_far, GError **error)
{
    GuestAgent *agent;
    guint number = g_random_int_range(1, G_MAXINT32);
    int near;

    if (!guest_channel_open(&near, ret_far, error))
        return NULL;
    agent = g_new0(GuestAgent, 1);
    agent->near = near;
    agent->question =
        g_strdup_printf("{\"execute\":\"guest-sync\",\"arguments\":{\"id\":%u}}\n", number);
    agent->answer = g_strdup_printf("{\"return\":%u}", number);
    return agent;
}

void guest_agent_free(GuestAgent *agent)
{
    if (!agent)
        return;
    cst_fd_clear(&agent->near);
    g_free(agent->question);
    g_free(agent->answer);
    g_free(agent);
}

/* Adds @c to the current line. Returns TRUE if @c ends the expected answer. */
static gboolean agent_add_byte(GuestAgent *agent, char c)
{
    size_t len = agent->len;

    if (c == '\n') {
        agent->len = 0;
        return len == strlen(agent->answer) && memcmp(agent->got, agent->answer, len) == 0;
    }
    if (!g_ascii_isspace(c) && len < sizeof(agent->got))
        agent->got[agent->len++] = c;
    return FALSE;
}

gboolean guest_agent_answers(GuestAgent *agent)
{
    gint64 now = g_get_monotonic_time();
    char bytes[ANSWER_BYTES];
    ssize_t n;

    if (!agent->asked || now - agent->asked > ASK_EVERY) {
        agent->asked = now;
        /* A missing agent does not read. If the channel is full, the query is sent again later. */
        (void)send(agent->near, agent->question, strlen(agent->question), MSG_NOSIGNAL);
    }
    n = recv(agent->near, bytes, sizeof(bytes), 0);
    for (ssize_t i = 0; i < n; i++)
        if (agent_add_byte(agent, bytes[i]))
            return TRUE;
    return FALSE;
}
