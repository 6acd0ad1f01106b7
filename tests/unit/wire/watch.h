/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "probe.h"

#include "server.h"

/**
 * The server's accounts, for tests that compare them with an earlier state. An idle client of the
 * watched user is connected during the test.
 */
typedef struct {
    Bench *bench;
    Probe idle;
    User *user;
    guint descriptors;
} Watch;

/** The accounts of a loop, read in its own thread. */
typedef struct {
    Message message;
    const Watch *watch;
    gboolean there;
    guint clients, guests, timed, jobs, callbacks;
    guint waiting; /**< clients with pending work, and calls with a task */
    guint refs, connections;
    guint expected_guests; /**< of the idle client alone */
    guint turns;           /**< the higher one of both classes: see workers_count() */
    guint queued;          /**< calls that have not begun */
    gboolean starved;
    size_t bytes;
    size_t held; /**< bytes that the clients are charged for */
} Counts;

/** Seconds after which a condition that does not come fails the test. */

/** Connects the idle client, as root or as PROBE_STRANGER, and notes the state. */
Watch watch_begin(Bench *bench);
Watch watch_begin_stranger(Bench *bench);
/** Disconnects the idle client. */
void watch_end(Watch *watch);
/** Returns the current accounts of the first loop. */
Counts watch_look(const Watch *watch);
/** Waits until only the idle client is counted. The message of a failure contains @what. */
void watch_await_settled(const Watch *watch, const char *what);
/** Waits until so many clients need the clock. */
void watch_await_timed(const Watch *watch, guint timed);
/** Waits until the user is charged for at least @bytes. */
void watch_await_bytes(const Watch *watch, size_t bytes);
/** Waits until the user is charged for exactly @bytes. */
void watch_await_exactly(const Watch *watch, size_t bytes);
/** Waits until so many calls and pieces of streams are at the workers. */
void watch_await_jobs(const Watch *watch, guint jobs);
/** Waits until so many calls of the user run, wait or may begin. */
void watch_await_turns(const Watch *watch, guint turns);
/** Waits until the loop has so many clients. */
void watch_await_clients(const Watch *watch, guint clients);
