/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's accounts return to zero. For any behaviour of a client, no bytes remain charged to
 * its user, no timer remains, and no descriptor remains open. An idle client of the same user is
 * connected during the test.
 */
#include "watch.h"

#include "../descriptors.h"

#define KIB 1024

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

/*
 * --- behaviours of a client; each ends with a hangup ---------------------------------------------
 */

static void says_nothing(const Watch *watch, Probe *probe)
{
}

static void sends_half_a_packet(const Watch *watch, Probe *probe)
{
    const uint8_t half[200] = {0, 0, 4, 0};

    probe_write(probe, half, sizeof(half));
    watch_await_bytes(watch, 1);
}

static void breaks_the_protocol(const Watch *watch, Probe *probe)
{
    const uint8_t wrong[28] = {0xff, 0xff, 0xff, 0xff};

    probe_write(probe, wrong, sizeof(wrong));
    probe_assert_dropped(probe);
}

static void calls_and_closes(const Watch *watch, Probe *probe)
{
    watch_await_timed(watch, 0);
    probe_call(probe, WIRE_PROC_CONNECT_CLOSE, NULL, NULL, NULL, NULL);
    probe_assert_dropped(probe);
}

static void wants_pings(const Watch *watch, Probe *probe)
{
    wire_int feature = {.value = 10};

    probe_call(probe, WIRE_PROC_CONNECT_SUPPORTS_FEATURE, XDR_OF(int), &feature, NULL, NULL);
    watch_await_timed(watch, 1);
}

static void uploads(const Watch *watch, Probe *probe)
{
    uint32_t serial = start(probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    watch_await_timed(watch, 1);
    for (int i = 0; i < 20; i++)
        send_data(probe, serial, 100 * KIB);
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    read_end(probe);
    watch_await_timed(watch, 0);
}

static void gives_up_an_upload(const Watch *watch, Probe *probe)
{
    uint32_t serial = start(probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    send_data(probe, serial, 100 * KIB);
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_ERROR, NULL, 0);
    read_end(probe);
    watch_await_timed(watch, 0);
}

static void leaves_uploads_that_are_not_written(const Watch *watch, Probe *probe)
{
    uint32_t one = start(probe, WIRE_PROC_STORAGE_VOL_UPLOAD);
    uint32_t other = start(probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    fake_hold(&fake.hold_writes, TRUE);
    for (int i = 0; i < 8; i++)
        send_data(probe, i % 2 ? one : other, 100 * KIB);
    watch_await_bytes(watch, 700 * KIB);
    probe_close(probe);
    watch_await_clients(watch, 1);
    fake_hold(&fake.hold_writes, FALSE);
}

static void downloads(const Watch *watch, Probe *probe)
{
    uint32_t serial;

    g_byte_array_set_size(fake.data, 300 * KIB);
    serial = start(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    read_end(probe);
    watch_await_timed(watch, 0);
}

static void does_not_read_a_download(const Watch *watch, Probe *probe)
{
    g_byte_array_set_size(fake.data, 20 * KIB * KIB);
    start(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    watch_await_bytes(watch, 100 * KIB);
    watch_await_timed(watch, 1);
}

/*
 * Starts many downloads and reads them late. The server prepares a bounded part, and later sends
 * all.
 */
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
    watch_await_bytes(watch, OUT_HIGH);
    watch_await_jobs(watch, 0);
    assert_true(watch_look(watch).bytes < OUT_HIGH + (COUNT + 1) * KIB * KIB);
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
    watch_await_timed(watch, 0);
}

static void gives_up_a_download(const Watch *watch, Probe *probe)
{
    does_not_read_a_download(watch, probe);
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, probe->serial, WIRE_STREAM, WIRE_ERROR,
                 NULL, 0);
    read_end(probe);
    watch_await_timed(watch, 0);
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
    watch_await_clients(watch, 1);
    fake_hold(&fake.hold_refresh, FALSE);
}

static void does_not_read_its_replies(const Watch *watch, Probe *probe)
{
    wire_list_all_args args = {.need_results = 1};

    for (int i = 0; i < 200; i++)
        probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_LIST_ALL_STORAGE_POOLS,
                   XDR_OF(list_all_args), &args);
}

static void expect_error(Probe *probe)
{
    Packet packet = probe_reply(probe);

    assert_int_equal(packet.header.serial, probe->serial);
    assert_int_equal(packet.header.status, WIRE_ERROR);
    packet_free(&packet);
}

static void makes_calls_that_are_refused(const Watch *watch, Probe *probe)
{
    g_autofree char *text = g_strnfill(100 * KIB, 'x');
    wire_text args = {.value = text};

    /* An unknown procedure, one with too few arguments, and one of an unknown pool. */
    probe_send(probe, WIRE_REMOTE_PROGRAM, 9999, XDR_OF(text), &args);
    expect_error(probe);
    probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_WIPE, NULL, NULL);
    expect_error(probe);
    probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_NAME, XDR_OF(text),
               &args);
    expect_error(probe);
    watch_await_exactly(watch, 0);
}

static void asks_for_more_than_fits_a_reply(const Watch *watch, Probe *probe)
{
    wire_vols_args args = {.pool = probe_pool("images"), .need_results = 1};

    fake.volumes = 20000;
    probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_LIST_ALL_VOLUMES,
               XDR_OF(vols_args), &args);
    expect_error(probe);
    watch_await_exactly(watch, 0);
    fake.volumes = 3;
}

static void start_wipe(Probe *probe)
{
    wire_vol_flags_args args = {.vol = probe_vol("vol00000")};
    guint before = fake_get(&fake.mutations);

    probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_WIPE, XDR_OF(vol_flags_args),
               &args);
    assert_true(fake_wait(&fake.mutations, before + 1));
}

static void cancels_a_call(const Watch *watch, Probe *probe)
{
    wire_serial_args args;
    Packet packet;

    fake_hold(&fake.hold_wipe, TRUE);
    start_wipe(probe);
    args.serial = probe->serial;
    probe_send(probe, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_CALL_CANCEL, XDR_OF(serial_args), &args);
    packet = probe_reply(probe);
    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
    packet = probe_reply(probe);
    assert_int_equal(packet.header.serial, args.serial);
    assert_int_equal(packet.header.status, WIRE_ERROR);
    packet_free(&packet);
    watch_await_exactly(watch, 0);
    fake_hold(&fake.hold_wipe, FALSE);
}

/* The call ends because its client disconnects. */
static void leaves_a_call_that_can_be_cancelled(const Watch *watch, Probe *probe)
{
    fake_hold(&fake.hold_wipe, TRUE);
    start_wipe(probe);
}

static void leaves_calls_that_have_not_begun(const Watch *watch, Probe *probe)
{
    wire_pool_flags_args args = {.pool = probe_pool("images")};
    guint before = fake_get(&fake.mutations);

    fake_hold(&fake.hold_wipe, FALSE);
    fake_hold(&fake.hold_refresh, TRUE);
    for (int i = 0; i < 30; i++)
        probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_REFRESH,
                   XDR_OF(pool_flags_args), &args);
    assert_true(fake_wait(&fake.refreshing, watch->bench->options.max_running));
    probe_close(probe);
    watch_await_clients(watch, 1);
    fake_hold(&fake.hold_refresh, FALSE);
    assert_true(fake_wait(&fake.mutations, before + watch->bench->options.max_running));
}

static void does_not_read_its_events(const Watch *watch, Probe *probe)
{
    wire_pool_event_args args = {.event = 0};

    probe_call(probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, XDR_OF(pool_event_args),
               &args, NULL, NULL);
    for (int i = 0; i < 10000; i++)
        fake_emit(CST_EVENT_POOL_LIFECYCLE, "images", 0);
    watch_await_bytes(watch, 1);
}

static void registers_and_deregisters(const Watch *watch, Probe *probe)
{
    wire_pool_event_args args = {.event = 0};
    wire_int id = {0};

    probe_call(probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, XDR_OF(pool_event_args),
               &args, XDR_OF(int), &id);
    assert_int_equal(watch_look(watch).callbacks, 1);
    probe_call(probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY, XDR_OF(int), &id, NULL,
               NULL);
    assert_int_equal(watch_look(watch).callbacks, 0);
}

static void runs_out_of_space(const Watch *watch, Probe *probe)
{
    uint32_t serial = start(probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    fake.upload_limit = 150 * KIB;
    for (int i = 0; i < 8; i++)
        send_data(probe, serial, 100 * KIB);
    read_end(probe);
    watch_await_exactly(watch, 0);
    watch_await_timed(watch, 0);
    fake.upload_limit = 0;
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
    {"makes calls that are refused", makes_calls_that_are_refused},
    {"asks for more than fits a reply", asks_for_more_than_fits_a_reply},
    {"cancels a call", cancels_a_call},
    {"leaves a call that can be cancelled", leaves_a_call_that_can_be_cancelled},
    {"leaves calls that have not begun", leaves_calls_that_have_not_begun},
    {"does not read its events", does_not_read_its_events},
    {"registers and deregisters", registers_and_deregisters},
    {"runs out of space", runs_out_of_space},
};

static void accounts_are_zero_after_each_behaviour_of_a_client(void **state)
{
    Watch w = watch_begin(*state);

    bench_stop_clock(*state);
    for (size_t i = 0; i < G_N_ELEMENTS(plays); i++) {
        Probe probe = probe_open(*state, FALSE);

        plays[i].play(&w, &probe);
        if (probe.fd >= 0)
            probe_close(&probe);
        watch_await_settled(&w, plays[i].what);
    }
    watch_end(&w);
}

/* The same for a user with a budget who may write. */
static void budget_of_an_untrusted_user_is_restored_after_each_behaviour(void **state)
{
    Bench *bench = *state;
    Watch w;

    bench->options.has_group = TRUE;
    bench->options.group = PROBE_STRANGER;
    bench_restart(bench);
    bench_stop_clock(bench);
    w = watch_begin_stranger(bench);
    for (size_t i = 0; i < G_N_ELEMENTS(plays); i++) {
        Probe probe = probe_open_stranger(bench, FALSE);

        plays[i].play(&w, &probe);
        if (probe.fd >= 0)
            probe_close(&probe);
        watch_await_settled(&w, plays[i].what);
    }
    watch_end(&w);
}

static void client_without_open_is_timed_until_it_disconnects(void **state)
{
    Watch w = watch_begin(*state);
    Probe probe = probe_connect(*state, FALSE);

    watch_await_timed(&w, 1);
    probe_close(&probe);
    watch_await_settled(&w, "connects");
    watch_end(&w);
}

/* A client with the maximum of calls in flight is not read. Its hangup is detected nevertheless. */
static void hangup_of_an_unread_client_is_detected_at_once(void **state)
{
    Bench *bench = *state;
    wire_pool_flags_args args = {.pool = probe_pool("images")};
    Probe probe;
    Watch w;

    bench->options.max_requests = 1;
    bench_restart(bench);
    w = watch_begin(bench);
    probe = probe_open(bench, FALSE);
    fake_hold(&fake.hold_refresh, TRUE);
    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_REFRESH, XDR_OF(pool_flags_args),
               &args);
    assert_true(fake_wait(&fake.refreshing, 1));
    probe_close(&probe);
    watch_await_clients(&w, 1);
    fake_hold(&fake.hold_refresh, FALSE);
    watch_await_settled(&w, "hangs up unread");
    watch_end(&w);
}

/* A client with too many waiting upload pieces is not read either. Its upload is abandoned. */
static void hangup_with_a_full_queue_is_detected_at_once(void **state)
{
    Watch w = watch_begin(*state);
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD);

    fake_hold(&fake.hold_writes, TRUE);
    send_data(&probe, serial, 5 * KIB * KIB);
    watch_await_bytes(&w, 5 * KIB * KIB);
    probe_close(&probe);
    watch_await_clients(&w, 1);
    fake_hold(&fake.hold_writes, FALSE);
    watch_await_settled(&w, "hangs up behind a full queue");
    watch_end(&w);
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
    assert_int_equal(fake_get(&fake.streams_open), 0);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(accounts_are_zero_after_each_behaviour_of_a_client),
        BENCH_TEST(budget_of_an_untrusted_user_is_restored_after_each_behaviour),
        BENCH_TEST(client_without_open_is_timed_until_it_disconnects),
        BENCH_TEST(hangup_of_an_unread_client_is_detected_at_once),
        BENCH_TEST(hangup_with_a_full_queue_is_detected_at_once),
        BENCH_TEST(a_server_that_ends_leaves_no_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
