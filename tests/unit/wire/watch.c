/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <unistd.h>

#include "../descriptors.h"
#include "await.h"

static GMutex lock; /* guards Counts.there */
static GCond cond;

static Watch watch_user(Bench *bench, Probe idle, uid_t uid)
{
    Watch watch = {.bench = bench, .idle = idle};
    CstWireServer *server = bench->server;

    g_mutex_lock(&server->users_lock);
    watch.user = g_hash_table_lookup(server->users, GUINT_TO_POINTER(uid));
    g_mutex_unlock(&server->users_lock);
    assert_non_null(watch.user);
    watch.descriptors = count_descriptors();
    return watch;
}

Watch watch_begin(Bench *bench)
{
    return watch_user(bench, probe_open(bench, FALSE), geteuid());
}

Watch watch_begin_stranger(Bench *bench)
{
    return watch_user(bench, probe_open_stranger(bench, TRUE), PROBE_STRANGER);
}

void watch_end(Watch *watch)
{
    probe_close(&watch->idle);
}

static void count_user(Counts *counts, User *user)
{
    counts->refs = user->refs;
    counts->connections = user->connections;
    counts->bytes = user->bytes;
    counts->starved = user->starved;
    counts->expected_guests = user->trusted ? 0 : 1;
}

/* In the loop's thread. */
static void count(Loop *loop, Message *message)
{
    Counts *counts = (Counts *)message;

    counts->clients = loop->clients.length;
    counts->guests = (guint)g_atomic_int_get(&loop->server->n_guests);
    counts->timed = loop->timed;
    counts->jobs = loop->jobs;
    counts->callbacks = (guint)g_atomic_int_get(&loop->n_callbacks);
    counts->waiting =
        g_hash_table_size(loop->calls) + loop->backlog->len + loop->unsent->len + loop->dead->len;
    for (GList *link = loop->clients.head; link; link = link->next) {
        const Client *client = link->data;

        counts->held += client->held;
        for (int i = 0; i < WORK_CLASSES; i++) {
            guint queued, turns;

            workers_count(loop->server->workers[i], &client->lanes[i], &queued, &turns);
            counts->queued += queued;
            /* The same for all clients of the user. */
            if (client->user == counts->watch->user)
                counts->turns = MAX(counts->turns, turns);
        }
    }
    g_mutex_lock(&loop->server->users_lock);
    count_user(counts, counts->watch->user);
    g_mutex_unlock(&loop->server->users_lock);
    g_mutex_lock(&lock);
    counts->there = TRUE;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
}

Counts watch_look(const Watch *watch)
{
    Counts counts = {.message.func = count, .watch = watch};

    loop_post(watch->bench->server->loops[0], &counts.message);
    g_mutex_lock(&lock);
    while (!counts.there)
        g_cond_wait(&cond, &lock);
    g_mutex_unlock(&lock);
    return counts;
}

typedef gboolean (*Condition)(const Watch *watch, const Counts *counts, size_t wanted);

/* Polls until @condition holds. */
static void await(const Watch *watch, const char *what, Condition condition, size_t wanted)
{
    Counts counts;

    AWAIT_STATE((counts = watch_look(watch), condition(watch, &counts, wanted)),
                "%s (%zu): %u clients, %u guests, %u timed, %u jobs, %zu bytes, %zu held, %u "
                "users, %u connections, %u callbacks, %u waiting, %u turns, %u queued, %u "
                "descriptors of %u",
                what, wanted, counts.clients, counts.guests, counts.timed, counts.jobs,
                counts.bytes, counts.held, counts.refs, counts.connections, counts.callbacks,
                counts.waiting, counts.turns, counts.queued, count_descriptors(),
                watch->descriptors);
}

static gboolean is_settled(const Watch *watch, const Counts *counts, size_t unused)
{
    guint guests = counts->expected_guests;

    return cst_wire_server_clients(watch->bench->server) == 1 && counts->clients == 1 &&
           counts->guests == guests && counts->connections == guests && counts->timed == 0 &&
           counts->jobs == 0 && counts->callbacks == 0 && counts->waiting == 0 &&
           counts->turns == 0 && counts->queued == 0 && counts->refs == 1 && counts->bytes == 0 &&
           !counts->starved && count_descriptors() == watch->descriptors;
}

void watch_await_settled(const Watch *watch, const char *what)
{
    assert_true(fake_wait(&fake.streams_open, 0));
    await(watch, what, is_settled, 0);
}

static gboolean is_timed(const Watch *watch, const Counts *counts, size_t wanted)
{
    return counts->timed == wanted;
}

void watch_await_timed(const Watch *watch, guint timed)
{
    await(watch, "clients that need the clock", is_timed, timed);
}

static gboolean is_charged(const Watch *watch, const Counts *counts, size_t wanted)
{
    return counts->bytes >= wanted;
}

void watch_await_bytes(const Watch *watch, size_t bytes)
{
    await(watch, "bytes at least", is_charged, bytes);
}

static gboolean is_charged_exactly(const Watch *watch, const Counts *counts, size_t wanted)
{
    return counts->bytes == wanted;
}

void watch_await_exactly(const Watch *watch, size_t bytes)
{
    await(watch, "bytes", is_charged_exactly, bytes);
}

static gboolean has_jobs(const Watch *watch, const Counts *counts, size_t wanted)
{
    return counts->jobs == wanted;
}

void watch_await_jobs(const Watch *watch, guint jobs)
{
    await(watch, "jobs", has_jobs, jobs);
}

static gboolean has_turns(const Watch *watch, const Counts *counts, size_t wanted)
{
    return counts->turns == wanted;
}

void watch_await_turns(const Watch *watch, guint turns)
{
    await(watch, "turns", has_turns, turns);
}

static gboolean has_clients(const Watch *watch, const Counts *counts, size_t wanted)
{
    return counts->clients == wanted;
}

void watch_await_clients(const Watch *watch, guint clients)
{
    await(watch, "clients", has_clients, clients);
}
