/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Memory allocation for client data fails. The client gets an error or is dropped, and other
 * clients are not affected.
 */
#include "no_memory.h"
#include "probe.h"

#include <sys/socket.h>

static void assert_serves(Probe *probe)
{
    probe_call(probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
}

/* A call with extra bytes after its arguments, which are ignored. It is larger than one read. */
static GByteArray *large_call(void)
{
    CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM,
                            .version = WIRE_VERSION,
                            .procedure = WIRE_PROC_STORAGE_POOL_IS_ACTIVE,
                            .serial = 5};
    wire_pool_args args = {.pool = probe_pool("images")};
    GByteArray *call = g_byte_array_new();

    assert_true(cst_wire_append(call, &header, XDR_OF(pool_args), &args, NULL));
    g_byte_array_set_size(call, 2 * 1024 * 1024);
    cst_wire_header_write(call->data, &header, call->len - CST_WIRE_HEADER_LEN);
    return call;
}

/* Returns whether the allocation of the case was reached. */
static gboolean play(Bench *bench, const GByteArray *call, guint nth)
{
    Probe probe = probe_open(bench, FALSE);
    gboolean dropped, struck;
    uint8_t byte;

    no_memory_arm(nth);
    /* A client that was dropped can't write on. */
    for (size_t done = 0, n; done < call->len; done += n) {
        ssize_t sent = send(probe.fd, call->data + done, call->len - done, MSG_NOSIGNAL);

        if (sent < 0)
            break;
        n = (size_t)sent;
    }
    dropped = recv(probe.fd, &byte, 1, MSG_PEEK) <= 0; /* waits for either */
    struck = no_memory_struck();
    assert_int_equal(dropped, struck);
    if (!dropped) {
        Packet packet = probe_reply(&probe);

        assert_int_equal(packet.header.serial, 5);
        assert_int_equal(packet.header.status, WIRE_OK);
        packet_free(&packet);
    }
    no_memory_arm(0);
    probe_close(&probe);
    return struck;
}

static void a_packet_without_memory_drops_its_sender(void **state)
{
    g_autoptr(GByteArray) call = large_call();
    Probe other = probe_open(*state, FALSE);
    guint cases = 0;

    while (play(*state, call, cases + 1)) {
        assert_serves(&other);
        cases++;
    }
    assert_in_range(cases, 2, 1000);
    probe_close(&other);
}

static void an_upload_without_memory_ends_the_stream_only(void **state)
{
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};
    Probe probe = probe_open(*state, FALSE);
    int proc = WIRE_PROC_STORAGE_VOL_UPLOAD;
    g_autofree char *text = NULL;
    uint32_t serial;
    Packet packet;

    probe_call(&probe, proc, XDR_OF(vol_stream_args), &args, NULL, NULL);
    serial = probe.serial;
    no_memory_arm(1);
    probe_stream(&probe, proc, serial, WIRE_STREAM, WIRE_CONTINUE, "12345678", 8);
    packet = probe_reply(&probe);
    no_memory_arm(0);
    assert_int_equal(packet.header.type, WIRE_STREAM);
    assert_int_equal(packet.header.serial, serial);
    text = packet_error(&packet, 2);
    assert_non_null(strstr(text, "bytes of memory at once"));
    packet_free(&packet);
    assert_serves(&probe);
    assert_true(fake_wait(&fake.streams_open, 0));
    assert_int_equal(fake.data->len, 0);
    probe_close(&probe);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_packet_without_memory_drops_its_sender),
        BENCH_TEST(an_upload_without_memory_ends_the_stream_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
