/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the server counts comes back to nothing: whatever a client does and however it leaves, no
 * bytes stay charged to its user, no thread keeps looking at the clock, and no descriptor stays
 * open. An idle client is connected meanwhile, whose user is the same.
 */
#include "../descriptors.h"
#include "probe.h"

#include <unistd.h>

#include "server.h"

#define KIB 1024

typedef struct {
    Bench *bench;
    Probe idle;
    User *user;
    guint descriptors;
} Watch;

static Watch watch(Bench *bench)
{
    Watch watch = {.bench = bench, .idle = probe_open(bench, FALSE)};
    CstWireServer *server = bench->server;

    g_mutex_lock(&server->users_lock);
    watch.user = g_hash_table_lookup(server->users, GUINT_TO_POINTER(geteuid()));
    g_mutex_unlock(&server->users_lock);
    assert_non_null(watch.user);
    watch.descriptors = count_descriptors();
    return watch;
}

/* What the loop counts, as it sees it itself. */
typedef struct {
    Message message;
    const Watch *watch;
    gboolean there; /* guarded by lock */
    guint clients, guests, timed, jobs, callbacks, waiting, refs;
    size_t bytes;
} Counts;

static GMutex lock;
static GCond cond;

static void count(Loop *loop, Message *message)
{
    Counts *counts = (Counts *)message;

    counts->clients = loop->clients.length;
    counts->guests = (guint)g_atomic_int_get(&loop->server->n_guests);
    counts->timed = loop->timed;
    counts->jobs = loop->jobs;
    counts->callbacks = (guint)loop->n_callbacks;
    counts->waiting =
        g_hash_table_size(loop->calls) + loop->backlog->len + loop->unsent->len + loop->dead->len;
    g_mutex_lock(&loop->server->users_lock);
    counts->refs = counts->watch->user->refs;
    g_mutex_unlock(&loop->server->users_lock);
    counts->bytes = counts->watch->user->bytes;
    g_mutex_lock(&lock);
    counts->there = TRUE;
    g_cond_signal(&cond);
    g_mutex_unlock(&lock);
}

static Counts look(const Watch *watch)
{
    Counts counts = {.message.func = count, .watch = watch};

    loop_post(watch->bench->server->loops[0], &counts.message);
    g_mutex_lock(&lock);
    while (!counts.there)
        g_cond_wait(&cond, &lock);
    g_mutex_unlock(&lock);
    return counts;
}

static gboolean is_settled(const Watch *watch, const Counts *counts)
{
    return cst_wire_server_clients(watch->bench->server) == 1 && counts->clients == 1 &&
           counts->guests == 0 && counts->timed == 0 && counts->jobs == 0 &&
           counts->callbacks == 0 && counts->waiting == 0 && counts->refs == 1 &&
           counts->bytes == 0 && count_descriptors() == watch->descriptors;
}

static void assert_settled(const Watch *watch, const char *what)
{
    Counts counts = look(watch);

    assert_true(fake_wait(&fake.streams_open, 0));
    for (int tries = 0; tries < 2000; tries++) {
        if (is_settled(watch, &counts))
            return;
        g_usleep(1000);
        counts = look(watch);
    }
    fail_msg("%s: %u clients, %u guests, %u timed, %u jobs, %zu bytes, %u users, %u callbacks, "
             "%u waiting, %u descriptors of %u",
             what, counts.clients, counts.guests, counts.timed, counts.jobs, counts.bytes,
             counts.refs, counts.callbacks, counts.waiting, count_descriptors(),
             watch->descriptors);
}

static void wait_timed(const Watch *watch, guint wanted)
{
    guint timed = look(watch).timed;

    for (int tries = 0; timed != wanted && tries < 2000; tries++) {
        g_usleep(1000);
        timed = look(watch).timed;
    }
    assert_int_equal(timed, wanted);
}

static void wait_bytes(const Watch *watch, size_t wanted)
{
    while (look(watch).bytes < wanted)
        g_usleep(100);
}

static uint32_t start(Probe *probe, int procedure)
{
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};

    probe_call(probe, procedure, XDR_OF(vol_stream_args), &args, NULL, NULL);
    return probe->serial;
}

static void send_data(Probe *probe, uint32_t serial, size_t len)
{
    g_autofree char *data = g_strnfill(len, 'd');

    probe_stream(probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_CONTINUE, data,
                 len);
}

static void read_end(Probe *probe)
{
    for (;;) {
        Packet packet = probe_reply(probe);
        gboolean end = packet.header.status != WIRE_CONTINUE;

        packet_free(&packet);
        if (end)
            return;
    }
}

/* --- what a client does; it hangs up afterwards ----------------------------------------------- */

static void says_nothing(const Watch *watch, Probe *probe)
{
}

static void sends_half_a_packet(const Watch *watch, Probe *probe)
{
    const uint8_t half[200] = {0, 0, 4, 0};

    probe_write(probe, half, sizeof(half));
    wait_bytes(watch, 1);
}

static void breaks_the_protocol(const Watch *watch, Probe *probe)
{
    const uint8_t wrong[28] = {0xff, 0xff, 0xff, 0xff};

    probe_write(probe, wrong, sizeof(wrong));
    probe_assert_dropped(probe);
}

static void calls_and_closes(const Watch *watch, Probe *probe)
{
    wait_timed(watch, 0);
    probe_call(probe, WIRE_PROC_CONNECT_CLOSE, NULL, NULL, NULL, NULL);
    probe_assert_dropped(probe);
}

static void wants_pings(const Watch *watch, Probe *probe)
{
    wire_int feature = {.value = 10};

    probe_call(probe, WIRE_PROC_CONNECT_SUPPORTS_FEATURE, XDR_OF(int), &feature, NULL, NULL);
    wait_timed(watch, 1);
}

static void uploads(const Watch *watch, Probe *probe)
{
    uint32_t serial = start(probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    wait_timed(watch, 1);
    for (int i = 0; i < 20; i++)
        send_data(probe, serial, 100 * KIB);
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    read_end(probe);
    wait_timed(watch, 0);
}

static void gives_up_an_upload(const Watch *watch, Probe *probe)
{
    uint32_t serial = start(probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    send_data(probe, serial, 100 * KIB);
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_ERROR, NULL, 0);
    read_end(probe);
    wait_timed(watch, 0);
}

static void leaves_uploads_that_are_not_written(const Watch *watch, Probe *probe)
{
    uint32_t one = start(probe, WIRE_PROC_STORAGE_VOL_UPLOAD);
    uint32_t other = start(probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    fake_hold(&fake.hold_writes, TRUE);
    for (int i = 0; i < 8; i++)
        send_data(probe, i % 2 ? one : other, 100 * KIB);
    wait_bytes(watch, 700 * KIB);
    probe_close(probe);
    g_usleep(10000);
    fake_hold(&fake.hold_writes, FALSE);
}

static void downloads(const Watch *watch, Probe *probe)
{
    uint32_t serial;

    g_byte_array_set_size(fake.data, 300 * KIB);
    serial = start(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    read_end(probe);
    wait_timed(watch, 0);
}

static void does_not_read_a_download(const Watch *watch, Probe *probe)
{
    g_byte_array_set_size(fake.data, 20 * KIB * KIB);
    start(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    wait_bytes(watch, 100 * KIB);
    wait_timed(watch, 1);
}

/* Of many downloads that nobody reads so much is got ready, and no more; then all of them come. */
static void reads_downloads_late(const Watch *watch, Probe *probe)
{
    enum { COUNT = 12 };
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};
    uint32_t last = probe->serial + COUNT;
    size_t payload = 0;

    g_byte_array_set_size(fake.data, 2 * KIB * KIB);
    for (int i = 0; i < COUNT; i++)
        probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DOWNLOAD,
                   XDR_OF(vol_stream_args), &args);
    wait_bytes(watch, OUT_HIGH);
    g_usleep(50000);
    assert_true(look(watch).bytes < OUT_HIGH + (COUNT + 1) * KIB * KIB);
    for (int ends = 0; ends < COUNT;) {
        Packet packet = probe_reply(probe);

        payload += packet.len - CST_WIRE_HEADER_LEN;
        ends += packet.header.type == WIRE_STREAM && packet.len == CST_WIRE_HEADER_LEN;
        packet_free(&packet);
    }
    assert_int_equal(payload, COUNT * fake.data->len);
    for (uint32_t serial = last - COUNT + 1; serial <= last; serial++) {
        probe_stream(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
        read_end(probe);
    }
    wait_timed(watch, 0);
}

static void gives_up_a_download(const Watch *watch, Probe *probe)
{
    does_not_read_a_download(watch, probe);
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, probe->serial, WIRE_STREAM, WIRE_ERROR,
                 NULL, 0);
    read_end(probe);
    wait_timed(watch, 0);
}

static void leaves_a_call_that_runs(const Watch *watch, Probe *probe)
{
    wire_pool_flags_args args = {.pool = probe_pool("images")};

    fake_hold(&fake.hold_refresh, TRUE);
    for (int i = 0; i < 3; i++)
        probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_REFRESH,
                   XDR_OF(pool_flags_args), &args);
    assert_true(fake_wait(&fake.refreshing, 3));
    probe_close(probe);
    g_usleep(10000);
    fake_hold(&fake.hold_refresh, FALSE);
}

static void does_not_read_its_replies(const Watch *watch, Probe *probe)
{
    wire_list_all_args args = {.need_results = 1};

    for (int i = 0; i < 200; i++)
        probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_LIST_ALL_STORAGE_POOLS,
                   XDR_OF(list_all_args), &args);
}

static const struct {
    const char *what;
    void (*play)(const Watch *watch, Probe *probe);
} plays[] = {
    {"says nothing", says_nothing},
    {"sends half a packet", sends_half_a_packet},
    {"breaks the protocol", breaks_the_protocol},
    {"calls and closes", calls_and_closes},
    {"wants pings", wants_pings},
    {"uploads", uploads},
    {"gives up an upload", gives_up_an_upload},
    {"leaves uploads that are not written", leaves_uploads_that_are_not_written},
    {"downloads", downloads},
    {"does not read a download", does_not_read_a_download},
    {"reads downloads late", reads_downloads_late},
    {"gives up a download", gives_up_a_download},
    {"leaves a call that runs", leaves_a_call_that_runs},
    {"does not read its replies", does_not_read_its_replies},
};

static void whatever_a_client_does_nothing_of_it_stays(void **state)
{
    Watch w = watch(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(plays); i++) {
        Probe probe = probe_open(*state, FALSE);

        plays[i].play(&w, &probe);
        if (probe.fd >= 0)
            probe_close(&probe);
        assert_settled(&w, plays[i].what);
    }
    probe_close(&w.idle);
}

static void who_has_not_opened_is_timed_until_he_leaves(void **state)
{
    Watch w = watch(*state);
    Probe probe = probe_connect(*state, FALSE);

    wait_timed(&w, 1);
    probe_close(&probe);
    assert_settled(&w, "connects");
    probe_close(&w.idle);
}

/* Nothing is read of who has as many calls in flight as he may; that he is gone is seen all the
 * same. */
static void who_hangs_up_unread_is_gone_at_once(void **state)
{
    Bench *bench = *state;
    wire_pool_flags_args args = {.pool = probe_pool("images")};
    Probe probe;
    Watch w;

    bench->options.max_requests = 1;
    bench_restart(bench);
    w = watch(bench);
    probe = probe_open(bench, FALSE);
    fake_hold(&fake.hold_refresh, TRUE);
    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_REFRESH, XDR_OF(pool_flags_args),
               &args);
    assert_true(fake_wait(&fake.refreshing, 1));
    probe_close(&probe);
    for (int tries = 0; tries < 2000 && cst_wire_server_clients(bench->server) > 1; tries++)
        g_usleep(1000);
    assert_int_equal(cst_wire_server_clients(bench->server), 1);
    fake_hold(&fake.hold_refresh, FALSE);
    assert_settled(&w, "hangs up unread");
    probe_close(&w.idle);
}

/* Nor of who has more pieces of an upload waiting than may; his is given up. */
static void who_hangs_up_behind_a_full_queue_is_gone_at_once(void **state)
{
    Watch w = watch(*state);
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    fake_hold(&fake.hold_writes, TRUE);
    send_data(&probe, serial, 5 * KIB * KIB);
    wait_bytes(&w, 5 * KIB * KIB);
    probe_close(&probe);
    for (int tries = 0; tries < 2000 && look(&w).clients > 1; tries++)
        g_usleep(1000);
    assert_int_equal(look(&w).clients, 1);
    fake_hold(&fake.hold_writes, FALSE);
    assert_settled(&w, "hangs up behind a full queue");
    probe_close(&w.idle);
}

static void a_server_that_ends_leaves_no_descriptor(void **state)
{
    Bench *bench = *state;
    guint before;
    Probe probe;

    bench_restart(bench);
    before = count_descriptors();
    probe = probe_open(bench, FALSE);
    start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD);
    bench_restart(bench);
    probe_close(&probe);
    assert_int_equal(count_descriptors(), before);
    assert_int_equal(fake.streams_open, 0);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(whatever_a_client_does_nothing_of_it_stays),
        BENCH_TEST(who_has_not_opened_is_timed_until_he_leaves),
        BENCH_TEST(who_hangs_up_unread_is_gone_at_once),
        BENCH_TEST(who_hangs_up_behind_a_full_queue_is_gone_at_once),
        BENCH_TEST(a_server_that_ends_leaves_no_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
