/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker of a pause: it changes the domain, one step at a time, as the watchdog requests. The
 * URI of the domain selects the functions of the steps (pause_steps.h).
 *
 * Between the steps the worker receives the events of the domain. A step may hang. So the watchdog
 * kills a worker that does not answer.
 *
 * If the watchdog ends, its socket closes, and the worker becomes a new watchdog: it executes this
 * program in the mode "repair". It keeps the lock of the entry, so that no other process repairs
 * the domain at the same time. A step may hang then, too. Therefore the kernel signals the end of
 * the watchdog (PR_SET_PDEATHSIG), and an alarm executes the program in any call.
 */
#include "pause_worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "pause_protocol.h"
#include "pause_steps.h"

#define PROGRAM  "/proc/self/exe"
#define MS_PER_S 1000

/* --- the end of the watchdog ------------------------------------------------------------------ */

static char *repair_argv[6]; /* for a handler of a signal, so it is made before */
static unsigned repair_delay_s;

/*
 * Makes system calls only, because a handler calls it. The kernel closes the watchdog's socket
 * before it sends the signal, which must not end the new program. A program keeps alarms, too.
 */
static void G_GNUC_NORETURN worker_become_watchdog(void)
{
    signal(SIGUSR1, SIG_IGN);
    alarm(0);
    execve(PROGRAM, repair_argv, environ);
    _exit(EXIT_FAILURE);
}

static void worker_on_signal(int number)
{
    if (number == SIGALRM)
        worker_become_watchdog();
    alarm(repair_delay_s);
}

static void worker_prepare_repair(const PauseWorkerSetup *setup)
{
    const struct sigaction action = {.sa_handler = worker_on_signal, .sa_flags = SA_RESTART};
    const char *const argv[] = {PROGRAM,
                                HYPERVISOR_PAUSE,
                                PAUSE_REPAIR,
                                pause_limits_format(setup->limits),
                                setup->request->uuid,
                                NULL};

    memcpy(repair_argv, argv, sizeof(argv));
    repair_delay_s = MAX(1, setup->limits[PAUSE_LIMIT_CALL] / MS_PER_S);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (getppid() != setup->watchdog)
        worker_become_watchdog();
}

/* --- the process ------------------------------------------------------------------------------ */

/* Runs the next step. Returns FALSE if the watchdog has ended. */
static gboolean worker_run_step(const PauseSteps *steps, PauseWorker *worker, int socket)
{
    g_auto(PauseAnswer) answer = {.id = -1};
    g_autofree char *packet = g_malloc(PAUSE_PACKET_MAX);
    guint step;

    steps->await(worker);
    if (pause_packet_receive(socket, packet) != 1)
        return FALSE;
    step = (unsigned char)packet[0];
    if (step >= PAUSE_STEP_LAST || !steps->run[step])
        _exit(EXIT_SUCCESS);
    steps->run[step](worker, &answer);
    return pause_answer_send(socket, &answer);
}

void pause_worker_main(const PauseWorkerSetup *setup)
{
    const PauseSteps *steps = pause_steps_of(setup->request->uri);
    PauseWorker *worker;

    worker_prepare_repair(setup);
    worker = steps->begin(setup);
    while (worker_run_step(steps, worker, setup->socket))
        ;
    worker_become_watchdog();
}
