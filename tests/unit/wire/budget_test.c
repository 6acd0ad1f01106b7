/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The budget that connections of one user share: bytes in memory, and places. A waiting client
 * continues when the budget has room, and not earlier.
 */
#include "watch.h"

#include <poll.h>

#define KIB 1024

static void restart_with_budget(Bench *bench, size_t bytes)
{
    bench->options.max_user_bytes = bytes;
    bench->options.stall_seconds = 1;
    bench->options.has_group = TRUE;
    bench->options.group = PROBE_STRANGER;
    bench_restart(bench);
}

/* @len bytes of a packet that is one longer: they are held until the rest comes. */
static void send_part(Bench *bench, Probe *probe, uint32_t len)
{
    g_autofree uint8_t *part = g_malloc0(len);
    uint32_t whole = GUINT32_TO_BE(len + 1);

    memcpy(part, &whole, sizeof(whole));
    probe_write(probe, part, len);
    bench_settle(bench);
}

static void ask(Probe *probe)
{
    wire_vol_args args = {.vol = probe_vol("vol00000")};

    probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_INFO, XDR_OF(vol_args), &args);
}

static void expect_answer(Probe *probe)
{
    Packet packet = probe_reply(probe);

    assert_int_equal(packet.header.serial, probe->serial);
    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
}

static gboolean is_connected(const Probe *probe)
{
    struct pollfd p = {.fd = probe->fd, .events = POLLIN};

    return poll(&p, 1, 0) == 0;
}

/* The call was read, but the budget has no room for it. */
static void a_call_begins_when_its_users_bytes_are_given_back(void **state)
{
    Probe holder, caller;
    Watch watch;

    restart_with_budget(*state, 64 * KIB);
    watch = watch_begin(*state);
    holder = probe_open_stranger(*state, TRUE);
    caller = probe_open_stranger(*state, TRUE);
    send_part(*state, &holder, 61 * KIB);
    ask(&caller);
    assert_true(probe_is_silent(*state, &caller));
    assert_int_equal(watch_look(&watch).queued, 1);
    probe_close(&holder);
    expect_answer(&caller);
    probe_close(&caller);
    watch_end(&watch);
}

/* Not even read, as long as a connection of the same user holds all that he may. */
static void client_over_the_budget_is_read_again_when_bytes_are_released(void **state)
{
    Probe holder, caller, root;

    restart_with_budget(*state, 16 * KIB);
    root = probe_open(*state, FALSE);
    holder = probe_open_stranger(*state, TRUE);
    caller = probe_open_stranger(*state, TRUE);
    /* The most bytes that count as little: a client with more must not stop sending for so long. */
    send_part(*state, &holder, 64 * KIB);
    probe_send(&caller, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL);
    assert_true(probe_is_silent_for(*state, &caller, 3));
    assert_true(is_connected(&holder));
    assert_true(bench_is_idle(*state));
    ask(&root);
    expect_answer(&root);
    probe_close(&holder);
    expect_answer(&caller);
    probe_close(&caller);
    probe_close(&root);
}

static void client_that_holds_the_budget_and_makes_no_progress_is_dropped(void **state)
{
    Probe holder, caller;

    restart_with_budget(*state, 16 * KIB);
    holder = probe_open_stranger(*state, TRUE);
    caller = probe_open_stranger(*state, TRUE);
    send_part(*state, &holder, 100 * KIB);
    probe_send(&caller, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL);
    assert_true(probe_is_silent(*state, &caller));
    probe_assert_dropped(&holder);
    expect_answer(&caller);
    probe_close(&holder);
    probe_close(&caller);
}

static size_t read_piece(Probe *probe)
{
    Packet packet = probe_reply(probe);
    size_t len = packet.len - CST_WIRE_HEADER_LEN;

    assert_int_equal(packet.header.type, WIRE_STREAM);
    assert_int_equal(packet.header.status, WIRE_CONTINUE);
    packet_free(&packet);
    return len;
}

static void download_continues_when_bytes_of_its_user_are_released(void **state)
{
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};
    Probe holder, reader;
    size_t total;

    restart_with_budget(*state, 16 * KIB);
    holder = probe_open_stranger(*state, TRUE);
    reader = probe_open_stranger(*state, FALSE);
    g_byte_array_set_size(fake.data, 3 * KIB * KIB);
    fake_hold(&fake.hold_reads, TRUE);
    probe_call(&reader, WIRE_PROC_STORAGE_VOL_DOWNLOAD, XDR_OF(vol_stream_args), &args, NULL, NULL);
    send_part(*state, &holder, 20 * KIB);
    fake_hold(&fake.hold_reads, FALSE);
    total = read_piece(&reader);
    assert_true(probe_is_silent_for(*state, &reader, 2));
    probe_close(&holder);
    for (size_t len = total; len > 0; total += len)
        len = read_piece(&reader);
    assert_int_equal(total, fake.data->len);
    probe_close(&reader);
}

#define PIECES 30

static gpointer upload_pieces(gpointer data)
{
    g_autofree char *piece = g_strnfill(100 * KIB, 'd');
    const int upload = WIRE_PROC_STORAGE_VOL_UPLOAD;
    Probe *writer = data;

    for (int i = 0; i < PIECES; i++)
        probe_stream(writer, upload, writer->serial, WIRE_STREAM, WIRE_CONTINUE, piece, 100 * KIB);
    probe_stream(writer, upload, writer->serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    return NULL;
}

/* More bytes wait for the disk than the user may hold. Each write lets reading go on. */
static void upload_over_the_budget_continues_when_it_is_written(void **state)
{
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};
    GThread *thread;
    Probe writer;
    Watch watch;

    restart_with_budget(*state, 300 * KIB);
    bench_stop_clock(*state);
    watch = watch_begin_stranger(*state);
    writer = probe_open_stranger(*state, FALSE);
    probe_call(&writer, WIRE_PROC_STORAGE_VOL_UPLOAD, XDR_OF(vol_stream_args), &args, NULL, NULL);
    fake_hold(&fake.hold_writes, TRUE);
    thread = g_thread_new("upload", upload_pieces, &writer);
    watch_await_bytes(&watch, 300 * KIB);
    fake_hold(&fake.hold_writes, FALSE);
    expect_answer(&writer);
    g_thread_join(thread);
    assert_int_equal(fake.data->len, PIECES * 100 * KIB);
    watch_await_exactly(&watch, 0);
    probe_close(&writer);
    watch_await_settled(&watch, "upload");
    watch_end(&watch);
}

static void the_last_places_are_for_root(void **state)
{
    Bench *bench = *state;
    Probe guests[2], refused, root;

    bench->options.max_clients = 4; /* half of so few */
    bench_restart(bench);
    for (size_t i = 0; i < G_N_ELEMENTS(guests); i++)
        guests[i] = probe_open_stranger(bench, TRUE);
    refused = probe_connect_as(bench, PROBE_STRANGER, NULL, 0, TRUE);
    probe_assert_dropped(&refused);
    probe_close(&refused);
    root = probe_open(bench, FALSE);
    probe_close(&guests[0]);
    bench_await_clients(bench, 2);
    guests[0] = probe_open_stranger(bench, TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(guests); i++)
        probe_close(&guests[i]);
    probe_close(&root);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_call_begins_when_its_users_bytes_are_given_back),
        BENCH_TEST(client_over_the_budget_is_read_again_when_bytes_are_released),
        BENCH_TEST(client_that_holds_the_budget_and_makes_no_progress_is_dropped),
        BENCH_TEST(download_continues_when_bytes_of_its_user_are_released),
        BENCH_TEST(upload_over_the_budget_continues_when_it_is_written),
        BENCH_TEST(the_last_places_are_for_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
