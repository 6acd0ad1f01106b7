/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void send_refresh(Probe *probe)
{
    wire_pool_flags_args args = {.pool = probe_pool("images")};

    probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_REFRESH, XDR_OF(pool_flags_args),
               &args);
}

static uint32_t reply_serial(Probe *probe)
{
    Packet packet = probe_reply(probe);
    uint32_t serial = packet.header.serial;

    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
    return serial;
}

static void quick_calls_overtake_slow_ones(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    uint32_t slow;

    fake_hold(&fake.hold_refresh, TRUE);
    send_refresh(&probe);
    slow = probe.serial;
    probe_call(&probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    probe_call(&probe, WIRE_PROC_NODE_GET_INFO, NULL, NULL, NULL, NULL);
    fake_hold(&fake.hold_refresh, FALSE);
    assert_int_equal(reply_serial(&probe), slow);
    probe_close(&probe);
}

static void too_many_calls_stop_the_reading_until_one_ends(void **state)
{
    Bench *bench = *state;
    Probe probe, other;

    bench->options.max_requests = 2;
    bench_restart(bench);
    probe = probe_open(bench, FALSE);
    other = probe_open(bench, FALSE);
    fake_hold(&fake.hold_refresh, TRUE);
    send_refresh(&probe);
    send_refresh(&probe);
    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL);
    assert_true(fake_wait(&fake.refreshing, 2));
    assert_true(probe_is_silent(*state, &probe));
    probe_call(&other, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    fake_hold(&fake.hold_refresh, FALSE);
    for (int i = 0; i < 3; i++)
        reply_serial(&probe);
    probe_close(&probe);
    probe_close(&other);
}

static void one_client_does_not_get_all_workers(void **state)
{
    Bench *bench = *state;
    Probe greedy, other;

    bench->options.workers = 4;
    bench->options.max_running = 2;
    bench_restart(bench);
    greedy = probe_open(bench, FALSE);
    other = probe_open(bench, FALSE);
    fake_hold(&fake.hold_refresh, TRUE);
    for (int i = 0; i < 6; i++)
        send_refresh(&greedy);
    assert_true(fake_wait(&fake.refreshing, 2));
    send_refresh(&other);
    assert_true(fake_wait(&fake.refreshing, 3));
    fake_hold(&fake.hold_refresh, FALSE);
    for (int i = 0; i < 6; i++)
        reply_serial(&greedy);
    reply_serial(&other);
    probe_close(&greedy);
    probe_close(&other);
}

static void client_without_open_is_dropped_after_the_handshake_time(void **state)
{
    Bench *bench = *state;
    Probe lazy, open;

    bench->options.handshake_seconds = 1;
    bench_restart(bench);
    open = probe_open(bench, FALSE);
    lazy = probe_connect(bench, FALSE);
    probe_assert_dropped(&lazy);
    probe_call(&open, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    probe_close(&lazy);
    probe_close(&open);
}

static Packet ask_about(Probe *probe, int procedure, uint32_t serial)
{
    wire_serial_args args = {.serial = serial};

    probe_send(probe, WIRE_CISTERN_PROGRAM, procedure, XDR_OF(serial_args), &args);
    return probe_reply(probe);
}

static void long_call_reports_progress_and_can_be_canceled(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_vol_flags_args args = {.vol = probe_vol("vol00000")};
    wire_progress_ret progress = {0};
    g_autofree char *text = NULL;
    uint32_t wipe;
    Packet packet;

    fake_hold(&fake.hold_wipe, TRUE);
    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_WIPE, XDR_OF(vol_flags_args),
               &args);
    wipe = probe.serial;
    while (progress.done == 0) {
        packet = ask_about(&probe, WIRE_CISTERN_CALL_PROGRESS, wipe);
        assert_true(cst_wire_payload_decode(packet.bytes, packet.len, XDR_OF(progress_ret),
                                            &progress, NULL));
        packet_free(&packet);
        assert_int_equal(progress.found, 1);
    }
    assert_int_equal(progress.done, 250);
    assert_int_equal(progress.total, 1000);
    packet = ask_about(&probe, WIRE_CISTERN_CALL_CANCEL, wipe);
    assert_int_equal(packet.bytes[CST_WIRE_HEADER_LEN + 3], 1);
    packet_free(&packet);
    packet = probe_reply(&probe);
    assert_int_equal(packet.header.serial, wipe);
    text = packet_error(&packet, 78);
    packet_free(&packet);
    packet = ask_about(&probe, WIRE_CISTERN_CALL_CANCEL, wipe);
    assert_int_equal(packet.bytes[CST_WIRE_HEADER_LEN + 3], 0);
    packet_free(&packet);
    probe_close(&probe);
}

static void wipe(Probe *probe)
{
    wire_vol_flags_args args = {.vol = probe_vol("vol00000")};

    probe_call(probe, WIRE_PROC_STORAGE_VOL_WIPE, XDR_OF(vol_flags_args), &args, NULL, NULL);
}

static void limit_next_call(Probe *probe, uint64_t limit)
{
    wire_serial_rate_args args = {.serial = 0, .limit = limit};
    Packet packet;

    probe_send(probe, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_CALL_RATE, XDR_OF(serial_rate_args),
               &args);
    packet = probe_reply(probe);
    assert_int_equal(packet.bytes[CST_WIRE_HEADER_LEN + 3], 1);
    packet_free(&packet);
}

/* The call for which the limit was set never begins; the next one knows of no limit. */
static void a_limit_ends_with_its_call_that_is_refused(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_int secure = {0};

    limit_next_call(&probe, 65536);
    g_free(probe_call_error(&probe, WIRE_PROC_STORAGE_VOL_WIPE, NULL, NULL, 39));
    wipe(&probe);
    assert_int_equal(fake.rate, 0);
    limit_next_call(&probe, 65536);
    g_free(probe_call_error(&probe, 9999, NULL, NULL, 39));
    wipe(&probe);
    assert_int_equal(fake.rate, 0);
    /* A call that has no task leaves the limit to the next one. */
    limit_next_call(&probe, 65536);
    probe_call(&probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, XDR_OF(int), &secure);
    wipe(&probe);
    assert_int_equal(fake.rate, 65536);
    probe_close(&probe);
}

/* A look-up of a known volume is answered without a task. */
static void a_limit_ends_with_its_call_that_is_answered_from_memory(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_vol_args args = {.vol = probe_vol("vol00000")};
    wire_text path = {0};

    limit_next_call(&probe, 65536);
    probe_call(&probe, WIRE_PROC_STORAGE_VOL_GET_PATH, XDR_OF(vol_args), &args, XDR_OF(text),
               &path);
    assert_string_equal(path.value, "/images/vol00000");
    xdr_free(XDR_OF(text), (char *)&path);
    wipe(&probe);
    assert_int_equal(fake.rate, 0);
    probe_close(&probe);
}

/* A call could end before its limit arrives, if the limit came later. */
static void limit_is_set_before_its_call_starts(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    limit_next_call(&probe, 65536);
    wipe(&probe);
    assert_int_equal(fake.rate, 65536);
    wipe(&probe);
    assert_int_equal(fake.rate, 0);
    probe_close(&probe);
}

static void send_build(Probe *probe)
{
    wire_pool_flags_args args = {.pool = probe_pool("images")};

    probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_BUILD, XDR_OF(pool_flags_args),
               &args);
}

/* Connections that have @each calls under way. */
static void greedy_open(Bench *bench, Probe *greedy, size_t count, void (*send)(Probe *probe),
                        int each)
{
    for (size_t i = 0; i < count; i++) {
        greedy[i] = probe_open(bench, FALSE);
        for (int j = 0; j < each; j++)
            send(&greedy[i]);
    }
}

static void greedy_close(Probe *greedy, size_t count, int each)
{
    for (size_t i = 0; i < count; i++) {
        for (int j = 0; j < each; j++)
            reply_serial(&greedy[i]);
        probe_close(&greedy[i]);
    }
}

/* Turns of waiting calls are given to calls that do not wait. */
static void waiting_calls_do_not_delay_other_clients(void **state)
{
    Bench *bench = *state;
    Probe greedy[4], other;

    bench->options.workers = 2;
    bench->options.max_running = 2;
    bench_restart(bench);
    other = probe_open(bench, FALSE);
    fake_hold(&fake.hold_build, TRUE);
    greedy_open(bench, greedy, G_N_ELEMENTS(greedy), send_build, 10);
    assert_true(fake_wait(&fake.building, 40));
    send_refresh(&other);
    reply_serial(&other);
    fake_hold(&fake.hold_build, FALSE);
    greedy_close(greedy, G_N_ELEMENTS(greedy), 10);
    probe_close(&other);
}

/* Long work uses all turns. A connection without a running call gets a turn nevertheless. */
static void running_calls_leave_a_turn_for_the_first_call_of_another_client(void **state)
{
    Bench *bench = *state;
    Probe greedy[4], other;
    wire_vol_args args = {.vol = probe_vol("vol00000")};

    bench->options.workers = 4;
    bench->options.max_running = 2;
    bench_restart(bench);
    other = probe_open(bench, FALSE);
    fake_hold(&fake.hold_refresh, TRUE);
    greedy_open(bench, greedy, G_N_ELEMENTS(greedy), send_refresh, 5);
    /* Four at first, and one for each connection without a turn. */
    assert_true(fake_wait(&fake.refreshing, 6));
    probe_call(&other, WIRE_PROC_STORAGE_VOL_GET_INFO, XDR_OF(vol_args), &args, NULL, NULL);
    fake_hold(&fake.hold_refresh, FALSE);
    greedy_close(greedy, G_N_ELEMENTS(greedy), 5);
    probe_close(&other);
}

/*
 * Volumes in the table need no worker. A volume that may have to be searched in the storage does.
 */
static void known_volumes_are_found_without_a_worker(void **state)
{
    Bench *bench = *state;
    wire_vol_by_name_args known = {.pool = probe_pool("images"), .name = (char *)"vol00001"};
    wire_vol_args vol = {.vol = probe_vol("vol00001")};
    wire_vol_args found = {0};
    wire_text path = {0};
    Probe probe;
    Watch watch;

    bench->options.max_running = 1;
    bench_restart(bench);
    watch = watch_begin(bench);
    probe = probe_open(bench, FALSE);
    fake_hold(&fake.hold_refresh, TRUE);
    send_refresh(&probe);
    assert_true(fake_wait(&fake.refreshing, 1));
    probe_call(&probe, WIRE_PROC_STORAGE_VOL_LOOKUP_BY_NAME, XDR_OF(vol_by_name_args), &known,
               XDR_OF(vol_args), &found);
    assert_string_equal(found.vol.key, "/images/vol00001");
    xdr_free((xdrproc_t)xdr_wire_vol_args, (char *)&found);
    probe_call(&probe, WIRE_PROC_STORAGE_VOL_GET_PATH, XDR_OF(vol_args), &vol, XDR_OF(text), &path);
    assert_string_equal(path.value, "/images/vol00001");
    xdr_free((xdrproc_t)xdr_wire_text, (char *)&path);
    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_INFO, XDR_OF(vol_args), &vol);
    assert_true(probe_is_silent(bench, &probe));
    assert_int_equal(watch_look(&watch).queued, 1);
    watch_end(&watch);
    fake_hold(&fake.hold_refresh, FALSE);
    reply_serial(&probe);
    reply_serial(&probe);
    probe_close(&probe);
}

static void settle(gpointer bench)
{
    bench_settle(bench);
}

/*
 * Unread replies are limited. Calls that were sent are answered when the replies are read. One
 * call runs at a time, after the loop has queued the earlier replies.
 */
static void calls_of_a_client_that_does_not_read_are_not_started(void **state)
{
    enum { CALLS = 40 };
    wire_vols_args args = {.pool = probe_pool("images"), .need_results = 1};
    Bench *bench = *state;
    Probe probe, other;
    Watch watch;

    bench->options.max_running = 1;
    bench_restart(bench);
    watch = watch_begin(bench);
    probe = probe_open(bench, FALSE);
    other = probe_open(bench, FALSE);
    fake.volumes = 8000;
    fake.on_list_data = bench;
    fake.on_list = settle;
    for (int i = 0; i < CALLS; i++)
        probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_LIST_ALL_VOLUMES,
                   XDR_OF(vols_args), &args);
    watch_await_bytes(&watch, OUT_HIGH);
    watch_await_turns(&watch, 1);
    assert_in_range(fake_get(&fake.listed), 1, CALLS - 10);
    probe_call(&other, WIRE_PROC_STORAGE_POOL_LIST_ALL_VOLUMES, XDR_OF(vols_args), &args, NULL,
               NULL);
    for (int i = 0; i < CALLS; i++)
        reply_serial(&probe);
    probe_close(&probe);
    probe_close(&other);
    watch_await_settled(&watch, "replies that were read late");
    watch_end(&watch);
}

/* Running calls, calls that wait for other users, and calls that have not begun. */
static void calls_end_with_their_client(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_vol_flags_args args = {.vol = probe_vol("vol00000")};
    guint before;

    fake_hold(&fake.hold_wipe, TRUE);
    fake_hold(&fake.hold_build, TRUE);
    send_build(&probe);
    assert_true(fake_wait(&fake.building, 1));
    before = fake.mutations;
    for (int i = 0; i < 20; i++)
        probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_WIPE, XDR_OF(vol_flags_args),
                   &args);
    assert_true(fake_wait(&fake.mutations, before + 10));
    probe_close(&probe);
    assert_true(fake_wait(&fake.building, 0));
    bench_restart(*state);
    assert_true(fake.cancelled);
    assert_int_equal(fake.mutations, before + 10);
}

/* The end of the first of two calls of one serial does not hide the second one. */
static void call_is_found_when_another_of_its_serial_has_ended(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_vol_flags_args args = {.vol = probe_vol("vol00000")};
    uint32_t serial;
    Packet packet;

    fake_hold(&fake.hold_refresh, TRUE);
    fake_hold(&fake.hold_wipe, TRUE);
    send_refresh(&probe);
    serial = probe.serial--;
    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_WIPE, XDR_OF(vol_flags_args),
               &args);
    assert_true(fake_wait_least(&fake.checks, 1));
    fake_hold(&fake.hold_refresh, FALSE);
    assert_int_equal(reply_serial(&probe), serial);
    packet = ask_about(&probe, WIRE_CISTERN_CALL_CANCEL, serial);
    assert_int_equal(packet.bytes[CST_WIRE_HEADER_LEN + 3], 1);
    packet_free(&packet);
    packet = probe_reply(&probe);
    assert_int_equal(packet.header.serial, serial);
    g_free(packet_error(&packet, 78));
    packet_free(&packet);
    probe_close(&probe);
}

/* Two calls may have one serial, if their client likes; both end with it. */
static void calls_of_one_serial_end_with_their_client(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    fake_hold(&fake.hold_build, TRUE);
    send_build(&probe);
    probe.serial--;
    send_build(&probe);
    assert_true(fake_wait(&fake.building, 2));
    probe_close(&probe);
    assert_true(fake_wait(&fake.building, 0));
}

static void assert_job(Probe *probe, int procedure, uint32_t serial, int found, uint64_t id)
{
    Packet packet = ask_about(probe, procedure, serial);
    wire_call_job_ret ret = {0};

    assert_int_equal(packet.header.status, WIRE_OK);
    assert_true(
        cst_wire_payload_decode(packet.bytes, packet.len, XDR_OF(call_job_ret), &ret, NULL));
    packet_free(&packet);
    assert_int_equal(ret.found, found);
    assert_int_equal(ret.id, id);
}

static void detached_job_continues_until_the_server_ends(void **state)
{
    Bench *bench = *state;
    Probe probe = probe_open(bench, FALSE);
    wire_vol_flags_args args = {.vol = probe_vol("vol00000")};

    fake_hold(&fake.hold_wipe, TRUE);
    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_WIPE, XDR_OF(vol_flags_args),
               &args);
    assert_true(fake_wait(&fake.mutations, 1));
    assert_job(&probe, WIRE_CISTERN_CALL_JOB, 99, 0, 0);
    assert_job(&probe, WIRE_CISTERN_CALL_DETACH, 99, 0, 0);
    assert_job(&probe, WIRE_CISTERN_CALL_JOB, probe.serial - 2, 1, FAKE_WIPE_JOB);
    assert_job(&probe, WIRE_CISTERN_CALL_DETACH, probe.serial - 3, 1, FAKE_WIPE_JOB);
    probe_close(&probe);
    bench_await_clients(bench, 0);
    /* The wipe checks for a cancel before and after. */
    assert_true(fake_wait_least(&fake.checks, fake_get(&fake.checks) + 2));
    assert_false(fake.cancelled);
    bench_restart(bench);
    assert_true(fake.cancelled);
}

static void a_call_that_is_not_listed_cannot_be_detached(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    fake_hold(&fake.hold_build, TRUE);
    send_build(&probe);
    assert_true(fake_wait(&fake.building, 1));
    assert_job(&probe, WIRE_CISTERN_CALL_DETACH, probe.serial, 1, 0);
    probe_close(&probe);
    assert_true(fake_wait(&fake.building, 0));
}

static void stopping_server_cancels_cancelable_calls(void **state)
{
    Bench *bench = *state;
    Probe probe = probe_open(bench, FALSE);
    wire_vol_flags_args args = {.vol = probe_vol("vol00000")};

    fake_hold(&fake.hold_wipe, TRUE);
    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_WIPE, XDR_OF(vol_flags_args),
               &args);
    assert_true(fake_wait(&fake.mutations, 1));
    bench_restart(bench);
    assert_true(fake.cancelled);
    probe_assert_dropped(&probe);
    probe_close(&probe);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void clients_over_the_limit_wait_their_turn(void **state)
{
    Bench *bench = *state;
    g_autofree char *dir = g_dir_make_tmp("cst-wire-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    Probe first = {0}, second = {0};

    bench->options.max_clients = 1;
    bench_restart(bench);
    bench_stop_clock(bench);
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 10), 0);
    cst_wire_server_listen(bench->server, listener, FALSE);
    first.fd = connect_to(path);
    probe_call(&first, WIRE_PROC_AUTH_LIST, NULL, NULL, NULL, NULL);
    second.fd = connect_to(path);
    probe_send(&second, WIRE_REMOTE_PROGRAM, WIRE_PROC_AUTH_LIST, NULL, NULL);
    assert_true(probe_is_silent(*state, &second));
    probe_close(&first);
    reply_serial(&second);
    probe_close(&second);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(quick_calls_overtake_slow_ones),
        BENCH_TEST(too_many_calls_stop_the_reading_until_one_ends),
        BENCH_TEST(one_client_does_not_get_all_workers),
        BENCH_TEST(client_without_open_is_dropped_after_the_handshake_time),
        BENCH_TEST(long_call_reports_progress_and_can_be_canceled),
        BENCH_TEST(limit_is_set_before_its_call_starts),
        BENCH_TEST(a_limit_ends_with_its_call_that_is_refused),
        BENCH_TEST(a_limit_ends_with_its_call_that_is_answered_from_memory),
        BENCH_TEST(waiting_calls_do_not_delay_other_clients),
        BENCH_TEST(running_calls_leave_a_turn_for_the_first_call_of_another_client),
        BENCH_TEST(known_volumes_are_found_without_a_worker),
        BENCH_TEST(calls_of_a_client_that_does_not_read_are_not_started),
        BENCH_TEST(calls_end_with_their_client),
        BENCH_TEST(calls_of_one_serial_end_with_their_client),
        BENCH_TEST(call_is_found_when_another_of_its_serial_has_ended),
        BENCH_TEST(detached_job_continues_until_the_server_ends),
        BENCH_TEST(a_call_that_is_not_listed_cannot_be_detached),
        BENCH_TEST(stopping_server_cancels_cancelable_calls),
        BENCH_TEST(clients_over_the_limit_wait_their_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
