/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How streams end that fail, are cancelled, or are never finished by their clients. */
#include "watch.h"

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

static void send_piece(Probe *probe, uint32_t serial, guint len)
{
    g_autofree char *data = g_strnfill(len, 'q');

    probe_stream(probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_CONTINUE, data,
                 len);
}

static void assert_stream_error(Probe *probe, uint32_t serial, int code)
{
    Packet packet = probe_reply(probe);

    assert_int_equal(packet.header.type, WIRE_STREAM);
    assert_int_equal(packet.header.serial, serial);
    g_free(packet_error(&packet, code));
    packet_free(&packet);
}

static void a_download_that_cannot_be_read_ends_in_an_error(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial;

    fill_data(1000);
    fake_hold(&fake.hold_reads, TRUE);
    serial = start(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, 0);
    fake_hold(&fake.broken, TRUE);
    fake_hold(&fake.hold_reads, FALSE);
    assert_stream_error(&probe, serial, 38);
    assert_true(fake_wait(&fake.streams_open, 0));
    assert_true(probe_is_silent(*state, &probe));
    probe_close(&probe);
}

/* No data moves, so only the clock triggers the check. */
static void stream_with_a_canceled_job_ends(void **state)
{
    Watch watch = watch_begin(*state);
    Probe probe = probe_open(*state, FALSE), other = probe_open(*state, FALSE);
    uint32_t upload, download;

    upload = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);
    assert_true(probe_is_silent_for(*state, &probe, 1));
    fake_hold(&fake.cancel_streams, TRUE);
    assert_stream_error(&probe, upload, 78);
    assert_true(fake_wait(&fake.streams_open, 0));
    fake_hold(&fake.cancel_streams, FALSE);

    fill_data(20 * 1024 * 1024);
    download = start(&other, WIRE_PROC_STORAGE_VOL_DOWNLOAD, 0);
    watch_await_bytes(&watch, 100 * 1024);
    watch_await_jobs(&watch, 0);
    fake_hold(&fake.cancel_streams, TRUE);
    assert_true(fake_wait(&fake.streams_open, 0));
    for (Packet packet = probe_reply(&other);; packet = probe_reply(&other)) {
        gboolean end = packet.header.status != WIRE_CONTINUE;

        assert_int_equal(packet.header.serial, download);
        if (end)
            g_free(packet_error(&packet, 78));
        packet_free(&packet);
        if (end)
            break;
    }
    probe_close(&probe);
    probe_close(&other);
    watch_await_settled(&watch, "cancelled streams");
    watch_end(&watch);
}

/* A piece at a worker ends by itself. Its client is notified once. */
static void a_cancelled_job_that_is_busy_is_waited_for(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);

    fake_hold(&fake.hold_writes, TRUE);
    send_piece(&probe, serial, 1000);
    assert_true(fake_wait(&fake.writing, 1));
    fake_hold(&fake.cancel_streams, TRUE);
    assert_true(probe_is_silent_for(*state, &probe, 2));
    fake_hold(&fake.hold_writes, FALSE);
    assert_stream_error(&probe, serial, 78);
    assert_true(fake_wait(&fake.streams_open, 0));
    probe_close(&probe);
}

/* The write fails after the client has aborted the stream: it gets its answer and no error. */
static void an_aborted_upload_that_fails_is_confirmed_once(void **state)
{
    Watch watch = watch_begin(*state);
    Probe probe = probe_open(*state, FALSE);
    uint32_t serial = start(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, 0);

    fake.upload_limit = 5;
    fake_hold(&fake.hold_writes, TRUE);
    send_piece(&probe, serial, 1000);
    assert_true(fake_wait(&fake.writing, 1));
    probe_stream(&probe, WIRE_PROC_STORAGE_VOL_UPLOAD, serial, WIRE_STREAM, WIRE_ERROR, NULL, 0);
    bench_settle(*state);
    fake_hold(&fake.hold_writes, FALSE);
    assert_stream_ok(&probe, serial);
    watch_await_jobs(&watch, 0);
    assert_true(probe_is_silent(*state, &probe));
    probe_close(&probe);
    watch_await_settled(&watch, "aborted upload");
    watch_end(&watch);
}

static uint32_t read_to_the_end(Probe *probe)
{
    guint holes = 0;
    uint32_t serial = start(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, 0);

    g_byte_array_unref(collect(probe, serial, &holes));
    return serial;
}

static void say(Probe *probe, uint32_t serial, uint32_t status)
{
    probe_stream(probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, serial, WIRE_STREAM, status, NULL, 0);
}

/* The volume is released at once. Later messages of the client are confirmed. */
static void a_download_that_is_sent_needs_its_volume_no_longer(void **state)
{
    static const uint32_t words[] = {WIRE_OK, WIRE_ERROR};
    Probe probe = probe_open(*state, FALSE);

    fill_data(1000);
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        uint32_t serial = read_to_the_end(&probe);

        assert_true(fake_wait(&fake.streams_open, 0));
        assert_true(probe_is_silent(*state, &probe));
        say(&probe, serial, words[i]);
        assert_stream_ok(&probe, serial);
    }
    probe_close(&probe);
}

/* More than a client may have open at a time can be over; of too many the oldest is forgotten. */
static void unfinished_downloads_are_dropped_one_by_one(void **state)
{
    enum { KEPT = 256 };
    Watch watch = watch_begin(*state);
    Probe probe = probe_open(*state, FALSE);
    uint32_t first = 0, last = 0;

    for (int i = 0; i < KEPT + 2; i++) {
        last = read_to_the_end(&probe);
        first = i == 0 ? last : first;
        assert_true(fake_wait(&fake.streams_open, 0));
        /* The worker is through; its stream is over when the server has heard so. */
        watch_await_jobs(&watch, 0);
    }
    say(&probe, first, WIRE_OK);
    say(&probe, first + 1, WIRE_OK);
    assert_true(probe_is_silent(*state, &probe));
    say(&probe, first + 2, WIRE_OK);
    assert_stream_ok(&probe, first + 2);
    say(&probe, last, WIRE_OK);
    assert_stream_ok(&probe, last);
    probe_close(&probe);
    watch_await_settled(&watch, "downloads");
    watch_end(&watch);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_download_that_cannot_be_read_ends_in_an_error),
        BENCH_TEST(stream_with_a_canceled_job_ends),
        BENCH_TEST(a_cancelled_job_that_is_busy_is_waited_for),
        BENCH_TEST(an_aborted_upload_that_fails_is_confirmed_once),
        BENCH_TEST(a_download_that_is_sent_needs_its_volume_no_longer),
        BENCH_TEST(unfinished_downloads_are_dropped_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
