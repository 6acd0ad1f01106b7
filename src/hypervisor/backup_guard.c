/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The time limit of a session's process (see the header). Everything that the handler needs
 * is made before, because a handler may make system calls only.
 */
#include "backup_guard.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "backup_protocol.h"
#include "connection.h"
#include "detached.h"

#define MS_PER_S  1000
#define US_PER_MS 1000
#define ARGS_MAX  7 /* with the NULL at the end */

static char *guard_argv[ARGS_MAX];
static int guard_lock, guard_caller;
static char guard_packet[256]; /* for the caller: PAUSE_TIMEOUT */
static size_t guard_packet_len;
static char *guard_answers;               /* mode of a repair that answers the caller */
static volatile sig_atomic_t guard_keeps; /* the repair answers the caller */

/* Makes system calls only, because a handler calls it. */
void backup_guard_repair(void)
{
    const struct itimerval never = {0};

    setitimer(ITIMER_REAL, &never, NULL);
    if (guard_keeps && dup2(guard_caller, BACKUP_GUARD_CALLER_FD) == BACKUP_GUARD_CALLER_FD)
        guard_argv[2] = guard_answers;
    /* Closes the socket that the caller of a backup has sent its request to. */
    if (dup2(guard_lock, BACKUP_LOCK_FD) == BACKUP_LOCK_FD)
        execve(HYPERVISOR_PROGRAM, guard_argv, environ);
    _exit(EXIT_FAILURE);
}

static void guard_on_alarm(int number)
{
    if (guard_caller >= 0 && !guard_keeps)
        send(guard_caller, guard_packet, guard_packet_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    backup_guard_repair();
}

void backup_guard_set_packet(GBytes *timeout)
{
    guard_packet_len = MIN(g_bytes_get_size(timeout), sizeof(guard_packet));
    memcpy(guard_packet, g_bytes_get_data(timeout, NULL), guard_packet_len);
}

static void guard_start(const char *const *argv, GBytes *timeout, int lock, int caller)
{
    const struct sigaction action = {.sa_handler = guard_on_alarm, .sa_flags = SA_RESTART};

    for (guint i = 0; i < ARGS_MAX - 1 && argv[i]; i++)
        guard_argv[i] = (char *)argv[i];
    guard_lock = lock;
    guard_caller = caller;
    backup_guard_set_packet(timeout);
    sigaction(SIGALRM, &action, NULL);
}

void backup_guard_init(const unsigned *limits, const char *uuid, int lock, int caller,
                       unsigned round)
{
    const BackupAnswer answer = {.outcome = PAUSE_TIMEOUT};
    g_autoptr(GBytes) packet = backup_answer_encode(&answer);
    const char *const argv[] = {HYPERVISOR_PROGRAM,
                                HYPERVISOR_BACKUP,
                                BACKUP_REPAIR,
                                detached_limits_format(limits, BACKUP_LIMIT_LAST),
                                uuid,
                                g_strdup_printf("%u", round + 1),
                                NULL};

    guard_start(argv, packet, lock, caller);
}

void backup_guard_init_program(const char *const *argv, GBytes *timeout, const char *answers,
                               int lock, int caller)
{
    guard_answers = g_strdup(answers);
    guard_start(argv, timeout, lock, caller);
}

void backup_guard_keep_caller(gboolean keep)
{
    guard_keeps = keep;
}

void backup_guard_set(unsigned ms)
{
    const struct itimerval limit = {
        .it_value = {.tv_sec = ms / MS_PER_S, .tv_usec = (ms % MS_PER_S) * US_PER_MS}};

    setitimer(ITIMER_REAL, &limit, NULL);
}
