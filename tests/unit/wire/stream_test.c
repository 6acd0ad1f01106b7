/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe.h"

#include <sys/socket.h>

static uint32_t start(Probe *probe, int procedure, unsigned flags)
{
    wire_vol_stream_args args = {.vol = probe_vol("vol00000"), .flags = flags};

    probe_call(probe, procedure, XDR_OF(vol_stream_args), &args, NULL, NULL);
    return probe->serial;
}

static void fill_data(guint len)
{
    g_byte_array_set_size(fake.data, len);
    for (guint i = 0; i < len; i++)
        fake.data->data[i] = (guint8)(i * 7 + (i >> 11));
}

static void assert_stream_ok(Probe *probe, uint32_t serial)
{
    Packet packet = probe_reply(probe);

    assert_int_equal(packet.header.type, WIRE_STREAM);
    assert_int_equal(packet.header.serial, serial);
    assert_int_equal(packet.header.status, WIRE_OK);
    assert_int_equal(packet.len, CST_WIRE_HEADER_LEN);
    packet_free(&packet);
}

/* Collects the data of a download until its empty packet; holes become zeros. */
static GByteArray *collect(Probe *probe, uint32_t serial, guint *ret_holes)
{
    GByteArray *got = g_byte_array_new();

    for (;;) {
        Packet packet = probe_reply(probe);
        guint before = got->len;

        assert_int_equal(packet.header.serial, serial);
        assert_int_equal(packet.header.status, WIRE_CONTINUE);
        if (packet.header.type == WIRE_STREAM_HOLE) {
            wire_hole hole = {0};

            assert_int_equal(packet.len, 40);
            assert_true(
                cst_wire_payload_decode(packet.bytes, packet.len, XDR_OF(hole), &hole, NULL));
            g_byte_array_set_size(got, before + (guint)hole.length);
            memset(got->data + before, 0, (size_t)hole.length);
            ++*ret_holes;
        } else if (packet.len > CST_WIRE_HEADER_LEN) {
            g_byte_array_append(got, packet.bytes + CST_WIRE_HEADER_LEN,
                                (guint)packet.len - CST_WIRE_HEADER_LEN);
        } else {
            packet_free(&packet);
            return got;
        }
        packet_free(&packet);
    }
}

static void a_download_brings_every_byte(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autoptr(GByteArray) got = NULL;
    uint32_t serial;
    guint holes = 0;

    fill_data(5 * 1024 * 1024 + 77);
    serial = start(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, 0);
    got = collect(&probe, serial, &holes);
    assert_int_equal(got->len, fake.data->len);
    assert_memory_equal(got->data, fake.data->data, got->len);
    assert_int_equal(holes, 0);
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    assert_stream_ok(&probe, serial);
    assert_true(fake_wait(&fake.streams_open, 0));
    probe_close(&probe);
}

static void sparse_download_reports_holes(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autoptr(GByteArray) got = NULL;
    uint32_t serial;
    guint holes = 0;

    fill_data(300000);
    fake.hole_at = 100000;
    fake.hole_len = 150000;
    memset(fake.data->data + fake.hole_at, 0, fake.hole_len);
    serial = start(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, CST_VOL_STREAM_SPARSE);
    got = collect(&probe, serial, &holes);
    assert_int_equal(holes, 1);
    assert_int_equal(got->len, fake.data->len);
    assert_memory_equal(got->data, fake.data->data, got->len);
    probe_close(&probe);
}

static void an_upload_brings_every_byte_and_hole(void **state)
{
    static const uint8_t hole[12] = {0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0}; /* 4096 */
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, CST_VOL_STREAM_SPARSE);
    int proc = WIRE_PROC_STORAGE_VOL_UPLOAD;

    probe_stream(&probe, proc, serial, WIRE_STREAM, WIRE_CONTINUE, "abc", 3);
    probe_stream(&probe, proc, serial, WIRE_STREAM_HOLE, WIRE_CONTINUE, hole, sizeof(hole));
    probe_stream(&probe, proc, serial, WIRE_STREAM, WIRE_CONTINUE, "xyz", 3);
    probe_stream(&probe, proc, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    assert_stream_ok(&probe, serial);
    assert_int_equal(fake.data->len, 4102);
    assert_memory_equal(fake.data->data, "abc\0", 4);
    assert_memory_equal(fake.data->data + 4099, "xyz", 3);
    assert_int_equal(fake.finished, 1);
    assert_true(fake_wait(&fake.streams_open, 0));
    probe_close(&probe);
}

static void one_huge_packet_is_accepted(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);
    guint len = 8 * 1024 * 1024;
    g_autofree char *data = g_strnfill(len, 'q');

    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_CONTINUE, data,
                 len);
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    assert_stream_ok(&probe, serial);
    assert_int_equal(fake.data->len, len);
    probe_close(&probe);
}

static void an_aborted_upload_is_confirmed_and_let_go(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);

    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_CONTINUE, "abc",
                 3);
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_ERROR, NULL, 0);
    assert_stream_ok(&probe, serial);
    assert_int_equal(fake.abandoned, 1);
    assert_int_equal(fake.streams_open, 0);
    probe_close(&probe);
}

static void send_piece(Probe *probe, uint32_t serial, guint len)
{
    g_autofree char *data = g_strnfill(len, 'q');

    probe_stream(probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_CONTINUE, data,
                 len);
}

static void abort_upload(Probe *probe, uint32_t serial)
{
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_ERROR, NULL, 0);
}

/*
 * So much waits for the disk that the connection is not read: the abort is heard when the disk is
 * through, the volume is free when it is confirmed, and the connection is as before, each time.
 */
static void abort_with_a_full_queue_is_confirmed_and_releases_the_volume(void **state)
{
    Probe probe = probe_open(*state, FALSE), other = probe_open(*state, FALSE);

    for (guint round = 1; round <= 3; round++) {
        uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);
        Packet packet;

        fake_hold(&fake.hold_writes, TRUE);
        send_piece(&probe, serial, 5 * 1024 * 1024);
        abort_upload(&probe, serial);
        probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL);
        probe_call(&other, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
        assert_true(probe_is_silent(*state, &probe));
        fake_hold(&fake.hold_writes, FALSE);
        for (int i = 0; i < 2; i++) {
            packet = probe_reply(&probe);
            assert_int_equal(packet.header.status, WIRE_OK);
            if (packet.header.type == WIRE_STREAM) {
                assert_int_equal(packet.header.serial, serial);
                assert_int_equal(fake.abandoned, round);
                assert_int_equal(fake.streams_open, 0);
            }
            packet_free(&packet);
        }
        assert_int_equal(fake.abandoned, round);
        assert_int_equal(fake.finished, 0);
    }
    probe_close(&probe);
    probe_close(&other);
}

/* Waiting pieces are not written, and no longer count against the read limit. */
static void abort_drops_pieces_that_wait_for_the_disk(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    for (guint round = 1; round <= 3; round++) {
        uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);

        fake_hold(&fake.hold_writes, TRUE);
        send_piece(&probe, serial, 7);
        send_piece(&probe, serial, 3 * 1024 * 1024);
        abort_upload(&probe, serial);
        probe_call(&probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
        assert_int_equal(fake.abandoned, round - 1);
        fake_hold(&fake.hold_writes, FALSE);
        assert_stream_ok(&probe, serial);
        assert_int_equal(fake.abandoned, round);
        assert_int_equal(fake.streams_open, 0);
        assert_int_equal(fake.data->len, 7);
    }
    probe_close(&probe);
}

static void an_aborted_download_is_confirmed(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial;
    Packet packet;

    fill_data(50 * 1024 * 1024);
    serial = start(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, 0);
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, serial, WIRE_STREAM, WIRE_ERROR, NULL, 0);
    /* Pieces that were sent earlier come first. */
    packet = probe_reply(&probe);
    while (packet.header.status == WIRE_CONTINUE) {
        packet_free(&packet);
        packet = probe_reply(&probe);
    }
    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
    assert_int_equal(fake.streams_open, 0);
    probe_close(&probe);
}

static void running_out_of_space_ends_the_stream_only(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    int proc = WIRE_PROC_STORAGE_VOL_UPLOAD;
    g_autofree char *text = NULL;
    uint32_t serial;
    Packet packet;

    fake.upload_limit = 5;
    serial = start(&probe, proc, 0);
    probe_stream(&probe, proc, serial, WIRE_STREAM, WIRE_CONTINUE, "12345678", 8);
    packet = probe_reply(&probe);
    assert_int_equal(packet.header.type, WIRE_STREAM);
    assert_int_equal(packet.header.serial, serial);
    text = packet_error(&packet, 38);
    assert_string_equal(text, "cannot write to stream: No space left on device");
    packet_free(&packet);
    /* Late packets of the dead stream are dropped. */
    probe_stream(&probe, proc, serial, WIRE_STREAM, WIRE_CONTINUE, "more", 4);
    probe_stream(&probe, proc, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    probe_call(&probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    assert_true(fake_wait(&fake.streams_open, 0));
    probe_close(&probe);
}

static void a_hole_that_was_not_agreed_on_drops_the_connection(void **state)
{
    static const uint8_t hole[12] = {0};
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);

    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM_HOLE, WIRE_CONTINUE,
                 hole, sizeof(hole));
    probe_assert_dropped(&probe);
    assert_true(fake_wait(&fake.streams_open, 0));
    probe_close(&probe);
}

static void assert_stream_error(Probe *probe, uint32_t serial, int code)
{
    Packet packet = probe_reply(probe);

    assert_int_equal(packet.header.type, WIRE_STREAM);
    assert_int_equal(packet.header.serial, serial);
    g_free(packet_error(&packet, code));
    packet_free(&packet);
}

static void a_negative_hole_is_refused(void **state)
{
    static const uint8_t hole[12] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, CST_VOL_STREAM_SPARSE);

    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM_HOLE, WIRE_CONTINUE,
                 hole, sizeof(hole));
    assert_stream_error(&probe, serial, 8);
    assert_true(fake_wait(&fake.streams_open, 0));
    probe_close(&probe);
}

static void data_into_a_download_ends_it(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autoptr(GByteArray) got = NULL;
    guint holes = 0;
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, 0);

    got = collect(&probe, serial, &holes);
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, serial, WIRE_STREAM, WIRE_CONTINUE, "x",
                 1);
    assert_stream_error(&probe, serial, 39);
    assert_true(fake_wait(&fake.streams_open, 0));
    probe_close(&probe);
}

static void streams_and_calls_interleave(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    uint32_t first = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);
    uint32_t second = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);

    for (int i = 0; i < 20; i++) {
        probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, i % 2 ? first : second, WIRE_STREAM,
                     WIRE_CONTINUE, "data", 4);
        probe_call(&probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    }
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, second, WIRE_STREAM, WIRE_OK, NULL, 0);
    assert_stream_ok(&probe, second);
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, first, WIRE_STREAM, WIRE_OK, NULL, 0);
    assert_stream_ok(&probe, first);
    assert_int_equal(fake.finished, 2);
    probe_close(&probe);
}

static void hanging_up_ends_the_streams(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    fill_data(20 * 1024 * 1024);
    start(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, 0);
    probe_close(&probe);
    assert_true(fake_wait(&fake.streams_open, 0));
    probe = probe_open(*state, FALSE);
    start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);
    probe_close(&probe);
    assert_true(fake_wait(&fake.streams_open, 0));
    assert_int_equal(fake.abandoned, 1);
}

static void slow_disk_delays_only_its_sender(void **state)
{
    Probe probe = probe_open(*state, FALSE), other = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);
    g_autofree char *data = g_strnfill(CST_WIRE_CHUNK, 'd');
    g_autoptr(GByteArray) buf = g_byte_array_new();
    CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM,
                            .version = WIRE_VERSION,
                            .procedure = WIRE_PROC_STORAGE_VOL_UPLOAD,
                            .type = WIRE_STREAM,
                            .serial = serial,
                            .status = WIRE_CONTINUE};
    guint sent = 0, total = 64;
    size_t at = 0;

    fake_hold(&fake.hold_writes, TRUE);
    cst_wire_append_raw(buf, &header, data, CST_WIRE_CHUNK);
    /* As much as the server reads: it must stop long before the end. */
    for (int idle = 0; sent < total && idle < 2;) {
        ssize_t n = send(probe.fd, buf->data + at, buf->len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0) {
            bench_settle(*state);
            idle++;
            continue;
        }
        idle = 0;
        at = (at + (size_t)n) % buf->len;
        sent += at == 0;
    }
    assert_true(sent < total / 2);
    probe_call(&other, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    fake_hold(&fake.hold_writes, FALSE);
    if (at > 0)
        probe_write(&probe, buf->data + at, buf->len - at), sent++;
    for (; sent < total; sent++)
        probe_write(&probe, buf->data, buf->len);
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    assert_stream_ok(&probe, serial);
    assert_int_equal(fake.data->len, total * CST_WIRE_CHUNK);
    probe_close(&probe);
    probe_close(&other);
}

static void too_many_streams_are_refused(void **state)
{
    Bench *bench = *state;
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};
    g_autofree char *text = NULL;
    Probe probe;

    bench->options.max_streams = 2;
    bench_restart(bench);
    probe = probe_open(bench, FALSE);
    start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);
    start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);
    text =
        probe_call_error(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, XDR_OF(vol_stream_args), &args, 39);
    assert_true(fake_wait(&fake.streams_open, 2));
    probe_close(&probe);
    assert_true(fake_wait(&fake.streams_open, 0));
}

static void a_stream_that_cannot_start_is_an_error_of_the_call(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_vol_stream_args args = {.vol = probe_vol("vol99999")};
    g_autofree char *text = probe_call_error(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD,
                                             XDR_OF(vol_stream_args), &args, 50);

    assert_non_null(strstr(text, "vol99999"));
    probe_close(&probe);
}

static void a_serial_has_one_stream(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};
    g_autofree char *text = NULL;

    probe.serial--;
    text =
        probe_call_error(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, XDR_OF(vol_stream_args), &args, 39);
    assert_non_null(strstr(text, "is open already"));
    assert_true(fake_wait(&fake.streams_open, 1));
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_OK, NULL, 0);
    assert_stream_ok(&probe, serial);
    probe_close(&probe);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_download_brings_every_byte),
        BENCH_TEST(sparse_download_reports_holes),
        BENCH_TEST(an_upload_brings_every_byte_and_hole),
        BENCH_TEST(one_huge_packet_is_accepted),
        BENCH_TEST(an_aborted_upload_is_confirmed_and_let_go),
        BENCH_TEST(abort_with_a_full_queue_is_confirmed_and_releases_the_volume),
        BENCH_TEST(abort_drops_pieces_that_wait_for_the_disk),
        BENCH_TEST(an_aborted_download_is_confirmed),
        BENCH_TEST(running_out_of_space_ends_the_stream_only),
        BENCH_TEST(a_hole_that_was_not_agreed_on_drops_the_connection),
        BENCH_TEST(a_negative_hole_is_refused),
        BENCH_TEST(data_into_a_download_ends_it),
        BENCH_TEST(streams_and_calls_interleave),
        BENCH_TEST(hanging_up_ends_the_streams),
        BENCH_TEST(slow_disk_delays_only_its_sender),
        BENCH_TEST(too_many_streams_are_refused),
        BENCH_TEST(a_stream_that_cannot_start_is_an_error_of_the_call),
        BENCH_TEST(a_serial_has_one_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
