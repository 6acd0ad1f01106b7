/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that hang in storage. Their clients get an answer, and other clients do not wait. */
#include "watch.h"

#include "await.h"

#define PATIENCE_US (100 * G_TIME_SPAN_MILLISECOND)

/* The storage hangs while a refresh or a download is held. */
static gboolean touch(gpointer unused, GError **error)
{
    fake_wait_while(&fake.hold_refresh);
    fake_wait_while(&fake.hold_reads);
    return TRUE;
}

static int set_up(void **state)
{
    CstProbe probe = {.touch = touch};
    Bench *bench;

    if (bench_setup(state) != 0)
        return -1;
    bench = *state;
    bench->options.max_requests = 1;
    bench->options.max_running = 1;
    bench->options.stream_workers = 1;
    bench_restart(bench);
    fake.liveness = cst_liveness_new(&probe, "the storage of pool 'images'");
    return 0;
}

static int tear_down(void **state)
{
    int status;

    fake_hold(&fake.hold_refresh, FALSE);
    fake_hold(&fake.hold_reads, FALSE);
    status = bench_teardown(state);
    g_clear_pointer(&fake.liveness, cst_liveness_unref);
    return status;
}

static void send_on(Probe *probe, int procedure, const char *pool)
{
    wire_pool_flags_args args = {.pool = probe_pool(pool)};

    probe_send(probe, WIRE_REMOTE_PROGRAM, procedure, XDR_OF(pool_flags_args), &args);
}

static void assert_refused(Probe *probe)
{
    Packet packet = probe_reply(probe);
    g_autofree char *why = packet_error(&packet, 38);

    assert_int_equal(packet.header.serial, probe->serial);
    assert_true(g_str_has_prefix(why, "the storage of pool 'images' has not answered for 0 s; "));
    packet_free(&packet);
}

/* The storage answers again, and the call has come back. */
static void let_go(void)
{
    fake_hold(&fake.hold_refresh, FALSE);
    assert_true(fake_wait(&fake.refreshing, 0));
    AWAIT(cst_liveness_check(fake.liveness, NULL));
}

static void assert_done(Probe *probe)
{
    Packet packet = probe_reply(probe);

    assert_int_equal(packet.header.serial, probe->serial);
    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
}

/*
 * All clients share one turn, and a connection has one call at a time. The hanging call releases
 * both.
 */
static void hanging_call_is_answered_and_other_calls_continue(void **state)
{
    Watch watch = watch_begin(*state);
    Probe probe = probe_open(*state, FALSE), other = probe_open(*state, FALSE);

    fake_hold(&fake.hold_refresh, TRUE);
    send_on(&probe, WIRE_PROC_STORAGE_POOL_REFRESH, "images");
    assert_true(fake_wait(&fake.refreshing, 1));
    assert_refused(&probe);
    send_on(&probe, WIRE_PROC_STORAGE_POOL_REFRESH, "images");
    assert_refused(&probe);
    send_on(&other, WIRE_PROC_STORAGE_POOL_BUILD, "empty");
    assert_done(&other);
    assert_true(fake_wait(&fake.refreshing, 1));
    let_go();
    watch_await_jobs(&watch, 0);
    assert_true(probe_is_silent(*state, &probe));
    send_on(&probe, WIRE_PROC_STORAGE_POOL_REFRESH, "images");
    assert_done(&probe);
    probe_close(&probe);
    probe_close(&other);
    watch_await_settled(&watch, "call that hangs");
    watch_end(&watch);
}

/* The late result does not affect later calls, with or without its client. */
static void the_turn_is_the_next_ones_when_it_is_back(void **state)
{
    Watch watch = watch_begin(*state);
    Probe gone = probe_open(*state, FALSE), probe;

    fake_hold(&fake.hold_refresh, TRUE);
    send_on(&gone, WIRE_PROC_STORAGE_POOL_REFRESH, "images");
    assert_refused(&gone);
    probe_close(&gone);
    let_go();
    probe = probe_open(*state, FALSE);
    send_on(&probe, WIRE_PROC_STORAGE_POOL_REFRESH, "images");
    assert_done(&probe);
    send_on(&probe, WIRE_PROC_STORAGE_POOL_BUILD, "empty");
    assert_done(&probe);
    probe_close(&probe);
    watch_await_settled(&watch, "call that has hung");
    watch_end(&watch);
}

static uint32_t start_stream(Probe *probe, int procedure)
{
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};

    probe_call(probe, procedure, XDR_OF(vol_stream_args), &args, NULL, NULL);
    return probe->serial;
}

/* All streams share one thread. */
static void hanging_stream_fails_and_other_streams_continue(void **state)
{
    Watch watch = watch_begin(*state);
    Probe probe = probe_open(*state, FALSE), other = probe_open(*state, FALSE);
    const int upload = WIRE_PROC_STORAGE_VOL_UPLOAD;
    uint32_t serial;

    fake_hold(&fake.hold_reads, TRUE);
    start_stream(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    assert_refused(&probe);
    for (int i = 0; i < 2; i++) {
        serial = start_stream(&other, upload);
        probe_stream(&other, upload, serial, WIRE_STREAM, WIRE_CONTINUE, "abc", 3);
        probe_stream(&other, upload, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
        assert_done(&other);
    }
    assert_true(fake_wait(&fake.streams_open, 1));
    fake_hold(&fake.hold_reads, FALSE);
    assert_true(fake_wait(&fake.streams_open, 0));
    watch_await_jobs(&watch, 0);
    assert_true(probe_is_silent(*state, &probe));
    probe_close(&probe);
    probe_close(&other);
    watch_await_settled(&watch, "stream that hangs");
    watch_end(&watch);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(hanging_call_is_answered_and_other_calls_continue),
        TEST(the_turn_is_the_next_ones_when_it_is_back),
        TEST(hanging_stream_fails_and_other_streams_continue),
    };

    cst_liveness_times = (struct CstLivenessTimes){.patience = PATIENCE_US, .period = 1000};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
