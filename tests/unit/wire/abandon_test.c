/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client leaves while its calls, streams and events are at different steps: the loop's thread is
 * held where it abandons them, and the workers go on. Afterwards no count is left for the client.
 */
#include "points.h"

#include "watch.h"

#include <errno.h>
#include <sys/epoll.h>

#define KIB 1024

/* A server on which one call of a connection runs at a time. */
static Watch begin(void **state)
{
    Bench *bench = *state;

    bench->options.max_running = 1;
    bench_restart(bench);
    bench_stop_clock(bench);
    return watch_begin(bench);
}

static void send_on_pool(Probe *probe, int procedure)
{
    wire_pool_flags_args args = {.pool = probe_pool("images")};

    probe_send(probe, WIRE_REMOTE_PROGRAM, procedure, XDR_OF(pool_flags_args), &args);
}

/* Leaves, and returns when the loop is held at @point. */
static void leave_until(Probe *probe, const char *point)
{
    probe_close(probe);
    point_await(point, 1);
}

static void calls_that_end_before_the_queue_is_emptied_are_given_back(void **state)
{
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE);
    guint before = fake_get(&fake.mutations);

    fake_hold(&fake.hold_refresh, TRUE);
    for (int i = 0; i < 3; i++)
        send_on_pool(&probe, WIRE_PROC_STORAGE_POOL_REFRESH);
    assert_true(fake_wait(&fake.refreshing, 1));
    point_hold("dispatch.abandon.begin");
    leave_until(&probe, "dispatch.abandon.begin");
    fake_hold(&fake.hold_refresh, FALSE);
    assert_true(fake_wait(&fake.mutations, before + 3));
    point_release("dispatch.abandon.begin");
    watch_await_settled(&watch, "calls that ended");
    points_clear();
    watch_end(&watch);
}

/* The second call begins when the first one ends, and ends only when it is cancelled. */
static void call_that_begins_before_the_queue_is_emptied_is_cancelled(void **state)
{
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE);

    fake_hold(&fake.hold_refresh, TRUE);
    fake_hold(&fake.hold_build, TRUE);
    send_on_pool(&probe, WIRE_PROC_STORAGE_POOL_REFRESH);
    send_on_pool(&probe, WIRE_PROC_STORAGE_POOL_BUILD);
    assert_true(fake_wait(&fake.refreshing, 1));
    point_hold("dispatch.abandon.begin");
    leave_until(&probe, "dispatch.abandon.begin");
    fake_hold(&fake.hold_refresh, FALSE);
    assert_true(fake_wait(&fake.building, 1));
    point_release("dispatch.abandon.begin");
    assert_true(fake_wait(&fake.building, 0));
    watch_await_settled(&watch, "call that began");
    points_clear();
    watch_end(&watch);
}

/* After the queue has been emptied no call begins that would not be cancelled. */
static void call_in_the_queue_does_not_begin_after_it_is_emptied(void **state)
{
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE);
    guint before = fake_get(&fake.mutations);

    fake_hold(&fake.hold_refresh, TRUE);
    fake_hold(&fake.hold_build, TRUE);
    send_on_pool(&probe, WIRE_PROC_STORAGE_POOL_REFRESH);
    send_on_pool(&probe, WIRE_PROC_STORAGE_POOL_BUILD);
    assert_true(fake_wait(&fake.refreshing, 1));
    point_hold("dispatch.abandon.drained");
    point_watch("workers.turn.passed_on");
    leave_until(&probe, "dispatch.abandon.drained");
    fake_hold(&fake.hold_refresh, FALSE);
    point_await("workers.turn.passed_on", 1);
    point_release("dispatch.abandon.drained");
    watch_await_settled(&watch, "call in the queue");
    assert_int_equal(fake_get(&fake.mutations), before + 1);
    assert_int_equal(fake_get(&fake.building), 0);
    points_clear();
    watch_end(&watch);
}

static void calls_of_another_client_go_on(void **state)
{
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE), other = probe_open(*state, FALSE);
    Packet packet;

    fake_hold(&fake.hold_build, TRUE);
    send_on_pool(&probe, WIRE_PROC_STORAGE_POOL_BUILD);
    send_on_pool(&other, WIRE_PROC_STORAGE_POOL_BUILD);
    assert_true(fake_wait(&fake.building, 2));
    probe_close(&probe);
    assert_true(fake_wait(&fake.building, 1));
    /* The idle client's, and this one. */
    watch_await_clients(&watch, 2);
    fake_hold(&fake.hold_build, FALSE);
    packet = probe_reply(&other);
    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
    probe_close(&other);
    watch_await_settled(&watch, "calls of two clients");
    watch_end(&watch);
}

/* The event is on its way to the loop when its only listener leaves. */
static void event_to_a_client_that_leaves_is_dropped(void **state)
{
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE);
    wire_pool_event_args args = {.event = 0};

    probe_call(&probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, XDR_OF(pool_event_args),
               &args, NULL, NULL);
    point_hold("dispatch.abandon.begin");
    leave_until(&probe, "dispatch.abandon.begin");
    for (int i = 0; i < 3; i++)
        fake_emit(CST_EVENT_POOL_LIFECYCLE, "images", 0);
    point_release("dispatch.abandon.begin");
    watch_await_settled(&watch, "events");
    points_clear();
    watch_end(&watch);
}

/* --- streams ---------------------------------------------------------------------------------- */

static uint32_t start(Probe *probe, int procedure)
{
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};

    probe_call(probe, procedure, XDR_OF(vol_stream_args), &args, NULL, NULL);
    return probe->serial;
}

static void upload(Probe *probe, uint32_t serial, uint32_t status, size_t len)
{
    g_autofree char *data = g_strnfill(len, 'd');

    probe_stream(probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, status, data, len);
}

/* A worker writes one piece and another piece waits. */
static void upload_whose_write_ends_before_its_abandonment_is_closed(void **state)
{
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    fake_hold(&fake.hold_writes, TRUE);
    upload(&probe, serial, WIRE_CONTINUE, 100 * KIB);
    assert_true(fake_wait(&fake.writing, 1));
    upload(&probe, serial, WIRE_CONTINUE, 100 * KIB);
    watch_await_bytes(&watch, 200 * KIB);
    point_hold("streams.abandon.begin");
    leave_until(&probe, "streams.abandon.begin");
    fake_hold(&fake.hold_writes, FALSE);
    assert_true(fake_wait(&fake.writing, 0));
    assert_int_equal(fake_get(&fake.streams_open), 1);
    point_release("streams.abandon.begin");
    watch_await_settled(&watch, "upload");
    assert_int_equal(fake_get(&fake.abandoned), 1);
    assert_int_equal(fake_get(&fake.finished), 0);
    assert_int_equal(fake.data->len, 100 * KIB);
    points_clear();
    watch_end(&watch);
}

/* The same with the write still at the worker: its upload is closed when it is back. */
static void upload_that_is_written_while_its_client_leaves_is_closed(void **state)
{
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    fake_hold(&fake.hold_writes, TRUE);
    upload(&probe, serial, WIRE_CONTINUE, 100 * KIB);
    assert_true(fake_wait(&fake.writing, 1));
    upload(&probe, serial, WIRE_CONTINUE, 100 * KIB);
    watch_await_bytes(&watch, 200 * KIB);
    probe_close(&probe);
    watch_await_clients(&watch, 1);
    watch_await_exactly(&watch, 0);
    assert_int_equal(fake_get(&fake.streams_open), 1);
    assert_int_equal(fake_get(&fake.ends), 1);
    fake_hold(&fake.hold_writes, FALSE);
    watch_await_settled(&watch, "upload");
    assert_int_equal(fake_get(&fake.abandoned), 1);
    assert_int_equal(fake.data->len, 100 * KIB);
    watch_end(&watch);
}

static void upload_that_is_finishing_while_its_client_leaves_is_finished(void **state)
{
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    upload(&probe, serial, WIRE_CONTINUE, 10);
    fake_hold(&fake.hold_finish, TRUE);
    upload(&probe, serial, WIRE_OK, 0);
    assert_true(fake_wait(&fake.finishing, 1));
    assert_int_equal(fake_get(&fake.ends), 1);
    probe_close(&probe);
    watch_await_clients(&watch, 1);
    /* The upload is its worker's, which may have freed it. */
    assert_int_equal(fake_get(&fake.ends), 1);
    fake_hold(&fake.hold_finish, FALSE);
    watch_await_settled(&watch, "upload that is finishing");
    assert_int_equal(fake_get(&fake.finished), 1);
    assert_int_equal(fake_get(&fake.abandoned), 0);
    assert_int_equal(fake.data->len, 10);
    watch_end(&watch);
}

/* A packet for a stream that has been finished, or aborted, is ignored. */
static void packets_after_the_end_of_a_stream_are_ignored(void **state)
{
    static const uint32_t ends[] = {WIRE_OK, WIRE_ERROR};
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE);

    for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
        uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD);
        Packet packet;

        g_byte_array_set_size(fake.data, 0);
        upload(&probe, serial, WIRE_CONTINUE, 10);
        upload(&probe, serial, ends[i], 0);
        upload(&probe, serial, WIRE_CONTINUE, 100);
        upload(&probe, serial, WIRE_ERROR, 0);
        upload(&probe, serial, WIRE_OK, 0);
        packet = probe_reply(&probe);
        assert_int_equal(packet.header.serial, serial);
        assert_int_equal(packet.header.status, WIRE_OK);
        packet_free(&packet);
        watch_await_exactly(&watch, 0);
        watch_await_jobs(&watch, 0);
        probe_call(&probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
        assert_true(fake.data->len <= 10);
        assert_int_equal(fake_get(&fake.finished), 1);
        assert_int_equal(fake_get(&fake.abandoned), i);
    }
    probe_close(&probe);
    watch_await_settled(&watch, "ended streams");
    watch_end(&watch);
}

/* Other calls may wait for the volume of a stream that only waits for the storage. */
static void stream_is_marked_as_ending_before_its_storage_has_finished(void **state)
{
    Watch watch = begin(state);
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD);
    Packet packet;

    fake_hold(&fake.hold_writes, TRUE);
    upload(&probe, serial, WIRE_CONTINUE, 10);
    assert_true(fake_wait(&fake.writing, 1));
    assert_int_equal(fake_get(&fake.ends), 0);
    upload(&probe, serial, WIRE_ERROR, 0);
    bench_settle(*state);
    assert_int_equal(fake_get(&fake.ends), 1);
    fake_hold(&fake.hold_writes, FALSE);
    packet = probe_reply(&probe);
    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
    g_byte_array_set_size(fake.data, 10);
    start(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    assert_true(fake_wait(&fake.streams_open, 0));
    assert_int_equal(fake_get(&fake.ends), 2);
    probe_close(&probe);
    watch_await_settled(&watch, "streams that end");
    watch_end(&watch);
}

/* The call that opens the stream is at a worker when its client leaves; the volume is closed. */
static void stream_that_opens_after_its_client_has_left_is_closed(void **state)
{
    static const int procedures[] = {WIRE_PROC_STORAGE_VOL_UPLOAD, WIRE_PROC_STORAGE_VOL_DOWNLOAD};
    Watch watch = begin(state);

    for (guint i = 0; i < G_N_ELEMENTS(procedures); i++) {
        wire_vol_stream_args args = {.vol = probe_vol("vol00000")};
        Probe probe = probe_open(*state, FALSE);

        point_hold("workers.turn.passed_on");
        probe_send(&probe, WIRE_REMOTE_PROGRAM, procedures[i], XDR_OF(vol_stream_args), &args);
        point_await("workers.turn.passed_on", 1);
        assert_int_equal(fake_get(&fake.streams_open), 1);
        probe_close(&probe);
        watch_await_clients(&watch, 1);
        assert_int_equal(fake_get(&fake.streams_open), 1);
        point_release("workers.turn.passed_on");
        watch_await_settled(&watch, "stream that opens late");
        points_clear();
    }
    watch_end(&watch);
}

/* --- connections ------------------------------------------------------------------------------ */

int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);

static gint refused_watches; /* atomic; so many sockets will not be watched */

int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (operation == EPOLL_CTL_ADD && g_atomic_int_get(&refused_watches) > 0) {
        g_atomic_int_add(&refused_watches, -1);
        errno = ENOSPC;
        return -1;
    }
    return __real_epoll_ctl(epoll, operation, fd, event);
}

static void connection_that_cannot_be_watched_is_not_counted(void **state)
{
    Bench *bench = *state;
    Watch watch;
    Probe probe;

    bench->options.max_user_clients = 2;
    bench_restart(bench);
    watch = watch_begin_stranger(bench);
    for (int i = 0; i < 5; i++) {
        g_atomic_int_set(&refused_watches, 1);
        probe = probe_connect_as(bench, PROBE_STRANGER, NULL, 0, TRUE);
        probe_assert_dropped(&probe);
        probe_close(&probe);
        watch_await_settled(&watch, "connection that is not watched");
    }
    probe = probe_open_stranger(bench, TRUE);
    probe_close(&probe);
    watch_await_settled(&watch, "connection");
    watch_end(&watch);
}

/* The user has its only connection already. */
static void connection_above_the_limit_of_its_user_is_not_counted(void **state)
{
    Bench *bench = *state;
    Watch watch;
    Probe probe;

    bench->options.max_user_clients = 1;
    bench_restart(bench);
    watch = watch_begin_stranger(bench);
    probe = probe_connect_as(bench, PROBE_STRANGER, NULL, 0, TRUE);
    probe_assert_dropped(&probe);
    probe_close(&probe);
    watch_await_settled(&watch, "connection above the limit");
    watch_end(&watch);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(calls_that_end_before_the_queue_is_emptied_are_given_back),
        BENCH_TEST(call_that_begins_before_the_queue_is_emptied_is_cancelled),
        BENCH_TEST(call_in_the_queue_does_not_begin_after_it_is_emptied),
        BENCH_TEST(calls_of_another_client_go_on),
        BENCH_TEST(event_to_a_client_that_leaves_is_dropped),
        BENCH_TEST(upload_whose_write_ends_before_its_abandonment_is_closed),
        BENCH_TEST(upload_that_is_written_while_its_client_leaves_is_closed),
        BENCH_TEST(upload_that_is_finishing_while_its_client_leaves_is_finished),
        BENCH_TEST(packets_after_the_end_of_a_stream_are_ignored),
        BENCH_TEST(stream_is_marked_as_ending_before_its_storage_has_finished),
        BENCH_TEST(connection_that_cannot_be_watched_is_not_counted),
        BENCH_TEST(connection_above_the_limit_of_its_user_is_not_counted),
        BENCH_TEST(stream_that_opens_after_its_client_has_left_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
