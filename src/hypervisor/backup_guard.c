/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The time limit of a backup session's process (see the header). Everything that the handler needs
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

static char *guard_argv[7];
static int guard_lock, guard_caller;
static char guard_packet[256]; /* a BackupAnswer with PAUSE_TIMEOUT */
static size_t guard_packet_len;

/* Makes system calls only, because a handler calls it. */
void backup_guard_repair(void)
{
    const struct itimerval never = {0};

    setitimer(ITIMER_REAL, &never, NULL);
    /* Closes the caller's socket. */
    if (dup2(guard_lock, BACKUP_LOCK_FD) == BACKUP_LOCK_FD)
        execve(HYPERVISOR_PROGRAM, guard_argv, environ);
    _exit(EXIT_FAILURE);
}

static void guard_on_alarm(int number)
{
    if (guard_caller >= 0)
        send(guard_caller, guard_packet, guard_packet_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    backup_guard_repair();
}

static void guard_packet_make(void)
{
    const BackupAnswer answer = {.outcome = PAUSE_TIMEOUT};
    g_autoptr(GBytes) packet = backup_answer_encode(&answer);

    guard_packet_len = MIN(g_bytes_get_size(packet), sizeof(guard_packet));
    memcpy(guard_packet, g_bytes_get_data(packet, NULL), guard_packet_len);
}

void backup_guard_init(const unsigned *limits, const char *uuid, int lock, int caller,
                       unsigned round)
{
    const struct sigaction action = {.sa_handler = guard_on_alarm, .sa_flags = SA_RESTART};
    const char *const argv[] = {HYPERVISOR_PROGRAM,
                                HYPERVISOR_BACKUP,
                                BACKUP_REPAIR,
                                detached_limits_format(limits, BACKUP_LIMIT_LAST),
                                uuid,
                                g_strdup_printf("%u", round + 1),
                                NULL};

    memcpy(guard_argv, argv, sizeof(argv));
    guard_lock = lock;
    guard_caller = caller;
    guard_packet_make();
    sigaction(SIGALRM, &action, NULL);
}

void backup_guard_set(unsigned ms)
{
    const struct itimerval limit = {
        .it_value = {.tv_sec = ms / MS_PER_S, .tv_usec = (ms % MS_PER_S) * US_PER_MS}};

    setitimer(ITIMER_REAL, &limit, NULL);
}
