/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work that waits for room in the queue of a client that does not read, and its charged bytes. The
 * clock is stopped: the event that makes the room must start each step.
 */
#include "points.h"

#include "watch.h"

#define KIB 1024

static uint32_t start(Probe *probe, int procedure)
{
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};

    probe_call(probe, procedure, XDR_OF(vol_stream_args), &args, NULL, NULL);
    return probe->serial;
}

static void does_not_read_a_download(const Watch *watch, Probe *probe)
{
    g_byte_array_set_size(fake.data, 20 * KIB * KIB);
    start(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    watch_await_bytes(watch, 100 * KIB);
    watch_await_timed(watch, 1);
}

/* The released queue of a disconnecting client starts no further read of its downloads. */
static void a_download_is_not_read_on_when_its_client_leaves(void **state)
{
    Watch w = watch_begin(*state);
    Probe probe = probe_open(*state, FALSE);
    guint before;

    does_not_read_a_download(&w, &probe);
    watch_await_jobs(&w, 0);
    before = fake_get(&fake.reads);
    probe_close(&probe);
    watch_await_settled(&w, "download");
    assert_int_equal(fake_get(&fake.reads), before);
    watch_end(&w);
}

static void read_download(Probe *probe, size_t *payload, guint *ends)
{
    Packet packet = probe_reply(probe);

    *payload += packet.len - CST_WIRE_HEADER_LEN;
    *ends += packet.header.type == WIRE_STREAM && packet.len == CST_WIRE_HEADER_LEN;
    packet_free(&packet);
}

static void wait_for_room_to_end(gpointer flag)
{
    fake_wait_while(flag);
}

/*
 * Its call ends when other downloads have used all room. It has no piece in the queue or at a
 * worker whose end would continue it.
 */
static void download_that_starts_without_room_begins_when_room_is_free(void **state)
{
    enum { COUNT = 4 };
    gboolean held = TRUE;
    Watch w = watch_begin(*state);
    Probe probe = probe_open(*state, FALSE);
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};
    size_t payload = 0;
    guint ends = 0;

    bench_stop_clock(*state);
    g_byte_array_set_size(fake.data, 2 * KIB * KIB);
    point_run("workers.turn.passed_on", wait_for_room_to_end, &held);
    for (int i = 0; i < COUNT + 1; i++) {
        probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DOWNLOAD,
                   XDR_OF(vol_stream_args), &args);
        point_await("workers.turn.passed_on", 1);
    }
    watch_await_bytes(&w, OUT_HIGH);
    watch_await_jobs(&w, 1);
    fake_hold(&held, FALSE);
    watch_await_jobs(&w, 0);
    while (ends < COUNT + 1)
        read_download(&probe, &payload, &ends);
    assert_int_equal(payload, (COUNT + 1) * fake.data->len);
    points_clear();
    probe_close(&probe);
    watch_await_settled(&w, "downloads");
    watch_end(&w);
}

/* They were read before the queue of replies was full; no call in flight would go on. */
static void calls_that_wait_for_room_go_on_when_replies_are_read(void **state)
{
    enum { COUNT = 30 };
    Bench *bench = *state;
    wire_vols_args args = {.pool = probe_pool("images"), .need_results = 1};
    Probe probe;
    Watch w;

    bench->options.max_requests = 1;
    bench_restart(bench);
    bench_stop_clock(bench);
    w = watch_begin(bench);
    probe = probe_open(bench, FALSE);
    fake.volumes = 8000;
    for (int i = 0; i < COUNT; i++)
        probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_LIST_ALL_VOLUMES,
                   XDR_OF(vols_args), &args);
    watch_await_bytes(&w, OUT_HIGH);
    watch_await_jobs(&w, 0);
    assert_true(fake_get(&fake.listed) < COUNT);
    for (int i = 0; i < COUNT; i++) {
        Packet reply = probe_reply(&probe);

        assert_int_equal(reply.header.status, WIRE_OK);
        packet_free(&reply);
    }
    probe_close(&probe);
    watch_await_settled(&w, "calls that wait for room");
    watch_end(&w);
}

/* Each connection counts its bytes, and a call counts its estimate and its packet. */
static void a_call_in_flight_is_charged_until_its_reply(void **state)
{
    Watch w = watch_begin(*state);
    Probe probe = probe_open(*state, FALSE);
    wire_pool_flags_args args = {.pool = probe_pool("images")};
    g_autoptr(GByteArray) packet = g_byte_array_new();
    const CstWireHeader header = {.type = WIRE_CALL};
    size_t one;

    assert_true(cst_wire_append(packet, &header, XDR_OF(pool_flags_args), &args, NULL));
    one = 4096 + 3 * packet->len;
    fake_hold(&fake.hold_refresh, TRUE);
    for (guint i = 1; i <= 3; i++) {
        probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_REFRESH,
                   XDR_OF(pool_flags_args), &args);
        assert_true(fake_wait(&fake.refreshing, i));
        watch_await_exactly(&w, i * one);
    }
    fake_hold(&fake.hold_refresh, FALSE);
    for (guint i = 0; i < 3; i++) {
        Packet reply = probe_reply(&probe);

        packet_free(&reply);
    }
    watch_await_exactly(&w, 0);
    probe_close(&probe);
    watch_await_settled(&w, "calls");
    watch_end(&w);
}

/*
 * Returns how many events a client of the watched user gets, and does not read, before it is
 * dropped.
 */
static guint events_until_dropped(Bench *bench, Watch *watch, size_t held)
{
    wire_pool_event_args args = {.event = 0};
    Probe probe = probe_open_stranger(bench, TRUE);
    guint clients = watch_look(watch).clients, events = 0;

    probe_call(&probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, XDR_OF(pool_event_args),
               &args, NULL, NULL);
    /* As other connections would. */
    user_charge(bench->server, watch->user, 0, held);
    while (watch_look(watch).clients == clients && events < 1000000) {
        for (int i = 0; i < 500; i++)
            fake_emit(CST_EVENT_POOL_LIFECYCLE, "images", 0);
        events += 500;
        bench_settle(bench);
    }
    user_charge(bench->server, watch->user, held, 0);
    probe_close(&probe);
    watch_await_settled(watch, "events");
    return events;
}

static void a_user_over_the_budget_is_held_fewer_events(void **state)
{
    Bench *bench = *state;
    Watch watch;
    guint usual;

    bench->options.max_events = 8 << 20;
    bench->options.max_user_bytes = 64 << 20;
    bench_restart(bench);
    bench_stop_clock(bench);
    watch = watch_begin_stranger(bench);
    usual = events_until_dropped(bench, &watch, 0);
    assert_true(events_until_dropped(bench, &watch, 64 << 20) < usual / 4);
    watch_end(&watch);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_download_is_not_read_on_when_its_client_leaves),
        BENCH_TEST(download_that_starts_without_room_begins_when_room_is_free),
        BENCH_TEST(calls_that_wait_for_room_go_on_when_replies_are_read),
        BENCH_TEST(a_call_in_flight_is_charged_until_its_reply),
        BENCH_TEST(a_user_over_the_budget_is_held_fewer_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
