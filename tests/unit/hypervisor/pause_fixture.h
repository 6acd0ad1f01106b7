/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/pause.h>

#include <base/error.h>

#include "../../../src/hypervisor/pause_protocol.h"
#include "fixture.h"
#include "live.h"

/** A domain of the fake libvirt, and the processes that pause it. */

#define PAUSE_UUID "c7a5fdbd-cdaf-9455-926a-d65c16db1809"

extern char *pause_live;      /* path of the domain's state */
extern char *pause_directory; /* of the entries */
extern CstHypervisorPauseRequest pause_request;
extern unsigned pause_deadline_s;

/** The domain runs, with two file systems and an agent. The test reaps the watchdogs. */
int pause_setup(void **unused);
/** Waits for the end of all processes. Fails if a file of an entry is left. */
int pause_teardown(void **unused);

/** Begins a pause of the domain with @pause_request. */
CstHypervisorPause *pause_begin(GError **error);
/** Begins a pause, which must succeed. */
CstHypervisorPause *pause_begin_ok(void);
/** Begins a pause and suspends the domain. Both must succeed. */
CstHypervisorPause *pause_suspend_ok(void);
/** Resumes the domain, which must succeed with the level and the reason (NULL: without one). */
void pause_resume_ok(CstHypervisorPause *pause, CstConsistency level, const char *reason);
/** Fails unless @error has the code, and @text in its message. Frees it. */
void assert_pause_error(GError *error, CstErrorCode code, const char *text);

/** Whether the domain has the state, and so many file systems are frozen. */
gboolean live_is_now(const char *state, int frozen);
/** Whether a file of the directory of entries exists. */
gboolean entry_exists(const char *suffix);
/** Returns the number of names in a directory. */
guint directory_count(const char *path);
/** Waits until the domain runs, is thawed, and its entry was removed. */
void await_undone(void);
/** Waits until the entry of the domain and its lock were removed. */
void await_unlocked(void);
/** Waits until all processes of pauses have ended. */
void await_processes(void);

/** Returns a child of @parent with @argument in its command line; 0: there is none. */
pid_t find_child(pid_t parent, const char *argument);
/** Returns the process of the watchdog, or of its worker; 0: there is none. */
pid_t find_watchdog(void);
pid_t find_worker(void);
/** Kills a process, and waits until its parent could see that. */
void kill_process(pid_t pid);
