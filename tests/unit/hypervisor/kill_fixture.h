/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pause_fixture.h"

/**
 * kill -9 of the processes of a session, at each call of libvirt that they make. The fake stops in
 * the call until the test has killed them.
 */

/** Runs a part of a test in a new process. @number: of the call in KillRun. */
typedef void (*KillSessionFunc)(guint number);

/** Starts a session in a new process, and returns it. */
pid_t session_start(KillSessionFunc session, guint number);
/** Likewise. Waits until the session is in @call, which returns after session_go_on(). */
pid_t session_stop_in(const char *call, KillSessionFunc session, guint number);
void session_go_on(void);

typedef struct {
    const char *const *calls; /* of a session in their order, each before and after its effect */
    guint n_calls;
    KillSessionFunc session;
    pid_t (*find)(char victim); /* a process of the session; 0: it does not run in this call */
    /* Recovers the domain, and checks its state. All processes have ended. */
    void (*check)(guint number, const char *victims);
} KillRun;

/** @victims: a letter for each process to kill. c: the caller; the other ones are those of find. */
void kill_at_each_call(const KillRun *run, const char *victims);

/**
 * Fails unless the process has its own session, ignores the signals of a terminal and of a service
 * manager, and has so many descriptors.
 */
void assert_independent(pid_t pid, guint descriptors);
