/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pause_protocol.h"

/** A watchdog's connections: to its caller, and to its present worker. */
typedef struct {
    int caller; /**< its socket; -1: the caller has ended, or does not exist */
    int worker; /**< its socket; -1: no worker runs */
    pid_t worker_pid;
    int lock;                    /**< descriptor that each worker inherits */
    const PauseRequest *request; /**< borrowed */
    unsigned limits[PAUSE_LIMIT_LAST];
    char *packet; /**< buffer of PAUSE_PACKET_MAX bytes */
} PauseLink;

/** Returns the monotonic time in @ms milliseconds, in microseconds. */
gint64 pause_time_in(unsigned ms);

/** Starts a worker. @id: of the domain; -1: not known. Returns FALSE if no process can be made. */
gboolean pause_link_start_worker(PauseLink *link, int id);
/** Kills the worker, if there is one. Does not wait for its end. */
void pause_link_kill_worker(PauseLink *link);
/** Asks the worker to end, waits for up to a second, then kills it. */
void pause_link_quit_worker(PauseLink *link);

/**
 * Runs a step in the worker and waits for its answer. Without an answer the worker is killed, and
 * the outcome is PAUSE_TIMEOUT or PAUSE_LOST; also after PAUSE_LOST as its answer. PAUSE_STEP_CHECK
 * also ends with the caller.
 */
void pause_link_step(PauseLink *link, PauseStep step, PauseAnswer *ret_answer);

/**
 * Receives a packet of the caller to @link->packet, until @until. Returns its length; 0: the caller
 * has ended, or the time has come.
 */
size_t pause_link_receive(PauseLink *link, gint64 until);
/**
 * Waits for a command of the caller until @until (monotonic microseconds; 0: no limit). Ends the
 * connection to a caller, or to a worker, that has ended.
 */
PauseCommand pause_link_await(PauseLink *link, gint64 until);

/** Sends an answer to the caller, if there is one. */
void pause_link_reply(PauseLink *link, const PauseAnswer *answer);
