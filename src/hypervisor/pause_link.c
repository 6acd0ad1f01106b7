/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The watchdog's connections to its caller and its worker (see the header). All waiting of a
 * watchdog is in poll(2) here, with a limit.
 *
 * A worker is a copy of the watchdog, which has one thread and has not loaded libvirt. Workers that
 * have ended are reaped when the next one starts, or with the watchdog itself.
 */
#include "pause_link.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pause_worker.h"

#define QUIT_MS 1000

gint64 pause_time_in(unsigned ms)
{
    return g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;
}

/* Returns the milliseconds until @until for poll(2); -1: no limit. */
static int poll_rest(gint64 until)
{
    gint64 rest = until - g_get_monotonic_time();

    if (!until)
        return -1;
    return (int)CLAMP((rest + 999) / G_TIME_SPAN_MILLISECOND, 0, G_MAXINT);
}

/* Polls until @until, also after a signal. Returns FALSE when that time has come. */
static gboolean poll_until(struct pollfd *fds, nfds_t count, gint64 until)
{
    int found;

    do
        found = poll(fds, count, poll_rest(until));
    while (found < 0 || (found == 0 && poll_rest(until) != 0));
    return found > 0;
}

/* --- the worker ------------------------------------------------------------------------------- */

/* Runs in the new process. */
static void link_run_worker(PauseLink *link, int socket, int id, pid_t watchdog)
{
    const PauseWorkerSetup setup = {.request = link->request,
                                    .limits = link->limits,
                                    .id = id,
                                    .socket = socket,
                                    .watchdog = watchdog};

    signal(SIGCHLD, SIG_DFL);
    /* Closes the caller's socket, which would hide the end of the watchdog from the caller. */
    if (link->lock != PAUSE_LOCK_FD && dup2(link->lock, PAUSE_LOCK_FD) < 0)
        _exit(1);
    if (link->lock != PAUSE_LOCK_FD)
        close(link->lock);
    pause_worker_main(&setup);
}

gboolean pause_link_start_worker(PauseLink *link, int id)
{
    pid_t watchdog = getpid();
    int ends[2];

    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return FALSE;
    link->worker_pid = fork();
    if (link->worker_pid == 0) {
        close(ends[0]);
        link_run_worker(link, ends[1], id, watchdog);
    }
    close(ends[1]);
    if (link->worker_pid < 0)
        close(ends[0]);
    link->worker = link->worker_pid > 0 ? ends[0] : -1;
    return link->worker >= 0;
}

void pause_link_kill_worker(PauseLink *link)
{
    if (link->worker < 0)
        return;
    kill(link->worker_pid, SIGKILL);
    close(link->worker);
    link->worker = -1;
}

void pause_link_quit_worker(PauseLink *link)
{
    struct pollfd end = {.fd = link->worker};

    if (link->worker < 0)
        return;
    pause_byte_send(link->worker, PAUSE_STEP_QUIT);
    poll_until(&end, 1, pause_time_in(QUIT_MS));
    pause_link_kill_worker(link);
}

void pause_link_step(PauseLink *link, PauseStep step, PauseAnswer *ret_answer)
{
    gboolean ends_with_caller = step == PAUSE_STEP_CHECK;
    struct pollfd fds[2] = {{.fd = link->worker, .events = POLLIN},
                            {.fd = ends_with_caller ? link->caller : -1}};
    gboolean in_time;
    size_t len = 0;

    pause_answer_set(ret_answer, PAUSE_LOST, NULL);
    if (link->worker < 0 || !pause_byte_send(link->worker, step)) {
        pause_link_kill_worker(link);
        return;
    }
    in_time =
        poll_until(fds, G_N_ELEMENTS(fds), pause_time_in(link->limits[pause_step_limits[step]]));
    if (fds[0].revents & POLLIN)
        len = pause_packet_receive(link->worker, link->packet);
    pause_answer_clear(ret_answer);
    if (len == 0 || !pause_answer_decode(link->packet, len, ret_answer)) {
        pause_answer_clear(ret_answer);
        *ret_answer = (PauseAnswer){.id = -1, .outcome = in_time ? PAUSE_LOST : PAUSE_TIMEOUT};
    }
    if (ret_answer->outcome == PAUSE_LOST || ret_answer->outcome == PAUSE_TIMEOUT)
        pause_link_kill_worker(link);
}

/* --- the caller ------------------------------------------------------------------------------- */

static void link_close_caller(PauseLink *link)
{
    if (link->caller >= 0)
        close(link->caller);
    link->caller = -1;
}

size_t pause_link_receive(PauseLink *link, gint64 until)
{
    struct pollfd caller = {.fd = link->caller, .events = POLLIN};

    return poll_until(&caller, 1, until) ? pause_packet_receive(link->caller, link->packet) : 0;
}

PauseCommand pause_link_await(PauseLink *link, gint64 until)
{
    struct pollfd fds[2] = {{.fd = link->caller, .events = POLLIN},
                            {.fd = link->worker, .events = POLLIN}};
    size_t len;

    if (!poll_until(fds, G_N_ELEMENTS(fds), until))
        return PAUSE_TIME_OVER;
    /* A worker sends no packet that was not requested. */
    if (fds[1].revents) {
        pause_link_kill_worker(link);
        return PAUSE_WORKER_ENDED;
    }
    len = pause_packet_receive(link->caller, link->packet);
    if (len == 1 && (unsigned char)link->packet[0] <= PAUSE_END)
        return (PauseCommand)link->packet[0];
    link_close_caller(link);
    return PAUSE_CALLER_ENDED;
}

void pause_link_reply(PauseLink *link, const PauseAnswer *answer)
{
    if (link->caller >= 0 && !pause_answer_send(link->caller, answer))
        link_close_caller(link);
}
