/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe.h"

#include <sys/socket.h>
#include <unistd.h>

static void a_bad_length_word_drops_the_connection(void **state)
{
    static const uint32_t bad[] = {0, 3, 4, 27, CST_WIRE_PACKET_MAX + 1, 0xffffffff};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        Probe probe = probe_open(*state, FALSE);
        uint32_t word = GUINT32_TO_BE(bad[i]);

        probe_write(&probe, &word, 4);
        probe_assert_dropped(&probe);
        probe_close(&probe);
    }
}

static void a_guest_may_not_send_huge_packets(void **state)
{
    uint32_t word = GUINT32_TO_BE(CST_WIRE_PACKET_MAX);
    Probe fresh = probe_connect(*state, FALSE), reader = probe_open(*state, TRUE);

    probe_write(&fresh, &word, 4);
    probe_assert_dropped(&fresh);
    probe_write(&reader, &word, 4);
    probe_assert_dropped(&reader);
    probe_close(&fresh);
    probe_close(&reader);
}

static void claimed_length_of_a_packet_costs_no_memory(void **state)
{
    uint32_t word = GUINT32_TO_BE(CST_WIRE_PACKET_MAX);
    Probe probe = probe_open(*state, FALSE), other = probe_open(*state, FALSE);

    probe_write(&probe, &word, 4);
    probe_call(&other, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    assert_true(probe_is_silent(*state, &probe));
    probe_close(&probe);
    probe_close(&other);
}

static void truncated_arguments_are_refused_and_the_connection_continues(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autofree char *text =
        probe_call_error(&probe, WIRE_PROC_STORAGE_POOL_GET_INFO, NULL, NULL, 39);

    assert_string_equal(text, "Unable to decode message payload");
    probe_call(&probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    probe_close(&probe);
}

/* The answer of memory, which has no worker to fail in. */
static void a_reply_that_is_too_long_is_an_error(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autofree char *name = g_strnfill(4 * 1024 * 1024 - 1, 'n'), *text = NULL;
    wire_vol_args args = {.vol = probe_vol(name)};

    fake.any_name = TRUE;
    text = probe_call_error(&probe, WIRE_PROC_STORAGE_VOL_GET_PATH, XDR_OF(vol_args), &args, 39);
    probe_call(&probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    probe_close(&probe);
}

static void bytes_after_the_arguments_are_ignored(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_pool_args args = {.pool = probe_pool("images")};
    g_autoptr(GByteArray) buf = g_byte_array_new();
    CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM,
                            .version = WIRE_VERSION,
                            .procedure = WIRE_PROC_STORAGE_POOL_IS_ACTIVE,
                            .serial = 5};
    Packet packet;

    assert_true(cst_wire_append(buf, &header, XDR_OF(pool_args), &args, NULL));
    g_byte_array_append(buf, (const guint8 *)"trailing", 8);
    cst_wire_header_write(buf->data, &header, buf->len - CST_WIRE_HEADER_LEN);
    probe_write(&probe, buf->data, buf->len);
    packet = probe_reply(&probe);
    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
    probe_close(&probe);
}

static void send_odd(Probe *probe, CstWireHeader header)
{
    uint8_t bytes[CST_WIRE_HEADER_LEN];

    cst_wire_header_write(bytes, &header, 0);
    probe_write(probe, bytes, sizeof(bytes));
}

static void assert_refused(Probe *probe, CstWireHeader header, const char *expected)
{
    g_autofree char *text = NULL;
    Packet packet;

    send_odd(probe, header);
    packet = probe_reply(probe);
    text = packet_error(&packet, 39);
    assert_string_equal(text, expected);
    assert_int_equal(packet.header.type, WIRE_REPLY);
    assert_int_equal(packet.header.program, header.program);
    assert_int_equal(packet.header.version, header.version);
    assert_int_equal(packet.header.procedure, header.procedure);
    assert_int_equal(packet.header.serial, header.serial);
    packet_free(&packet);
}

static void odd_headers_are_answered_in_libvirts_words(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    assert_refused(&probe, (CstWireHeader){WIRE_REMOTE_PROGRAM, 1, 9999, WIRE_CALL, 1, 0},
                   "unknown procedure: 9999");
    assert_refused(&probe, (CstWireHeader){WIRE_REMOTE_PROGRAM, 1, -1, WIRE_CALL, 2, 0},
                   "unknown procedure: -1");
    assert_refused(&probe, (CstWireHeader){WIRE_REMOTE_PROGRAM, 2, 1, WIRE_CALL, 3, 0},
                   "Cannot find program 536903814 version 2");
    assert_refused(&probe, (CstWireHeader){0x20008087, 1, 1, WIRE_CALL, 4, 0},
                   "Cannot find program 536903815 version 1");
    assert_refused(&probe, (CstWireHeader){WIRE_REMOTE_PROGRAM, 1, 3, WIRE_CALL, 5, 2},
                   "Unexpected message status 2");
    assert_refused(&probe,
                   (CstWireHeader){WIRE_CISTERN_PROGRAM, 1, WIRE_CISTERN_LAST + 1, WIRE_CALL, 6, 0},
                   "unknown procedure: 104");
    probe_close(&probe);
}

static void messages_and_orphans_are_ignored(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    send_odd(&probe, (CstWireHeader){WIRE_REMOTE_PROGRAM, 1, 370, WIRE_MESSAGE, 0, 0});
    send_odd(&probe, (CstWireHeader){1234, 1, 1, WIRE_MESSAGE, 0, 0});
    send_odd(&probe, (CstWireHeader){WIRE_REMOTE_PROGRAM, 1, 208, WIRE_STREAM, 77, 2});
    send_odd(&probe, (CstWireHeader){WIRE_REMOTE_PROGRAM, 1, 208, WIRE_STREAM, 77, 0});
    probe_call(&probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    probe_close(&probe);
}

static void packets_with_descriptors_drop_the_connection(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    send_odd(&probe, (CstWireHeader){WIRE_REMOTE_PROGRAM, 1, 3, WIRE_CALL_WITH_FDS, 1, 0});
    probe_assert_dropped(&probe);
    probe_close(&probe);
}

static void pings_are_answered_even_before_opening(void **state)
{
    Probe probe = probe_connect(*state, FALSE);
    Packet packet;

    send_odd(&probe,
             (CstWireHeader){WIRE_KEEPALIVE_PROGRAM, 1, WIRE_KEEPALIVE_PING, WIRE_MESSAGE, 0, 0});
    packet = probe_read(&probe);
    assert_int_equal(packet.header.program, WIRE_KEEPALIVE_PROGRAM);
    assert_int_equal(packet.header.procedure, WIRE_KEEPALIVE_PONG);
    assert_int_equal(packet.header.type, WIRE_MESSAGE);
    assert_int_equal(packet.len, CST_WIRE_HEADER_LEN);
    packet_free(&packet);
    probe_close(&probe);
}

static void a_call_that_comes_in_bytes_is_put_together(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autoptr(GByteArray) buf = g_byte_array_new();
    wire_text args = {.value = (char *)"images"};
    CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM,
                            .version = WIRE_VERSION,
                            .procedure = WIRE_PROC_STORAGE_POOL_LOOKUP_BY_NAME,
                            .serial = 9};
    Packet packet;

    assert_true(cst_wire_append(buf, &header, XDR_OF(text), &args, NULL));
    for (guint i = 0; i < buf->len; i++) {
        probe_write(&probe, buf->data + i, 1);
        if (i % 7 == 0)
            bench_settle(*state);
    }
    packet = probe_reply(&probe);
    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
    probe_close(&probe);
}

#define MANY 3000

static void a_flood_of_calls_is_answered_in_order(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autoptr(GByteArray) buf = g_byte_array_new();
    wire_pool_args args = {.pool = probe_pool("images")};

    for (uint32_t i = 0; i < MANY; i++) {
        CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM,
                                .version = WIRE_VERSION,
                                .procedure = WIRE_PROC_STORAGE_POOL_GET_INFO,
                                .serial = i};

        assert_true(cst_wire_append(buf, &header, XDR_OF(pool_args), &args, NULL));
    }
    probe_write(&probe, buf->data, buf->len);
    for (uint32_t i = 0; i < MANY; i++) {
        Packet packet = probe_reply(&probe);

        assert_int_equal(packet.header.serial, i);
        assert_int_equal(packet.len, 56);
        packet_free(&packet);
    }
    probe_close(&probe);
}

static void noise_of_a_client_does_not_affect_other_clients(void **state)
{
    Probe good = probe_open(*state, FALSE);
    g_autoptr(GRand) noise = g_rand_new_with_seed(42);

    for (int round = 0; round < 50; round++) {
        Probe bad = probe_connect(*state, FALSE);
        uint32_t words[64];

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
            words[i] = g_rand_int(noise);
        words[0] = GUINT32_TO_BE(28 + (words[0] % 200));
        words[1] = GUINT32_TO_BE(WIRE_REMOTE_PROGRAM);
        words[2] = GUINT32_TO_BE(1);
        words[3] = GUINT32_TO_BE(words[3] % 460);
        send(bad.fd, words, sizeof(words), MSG_NOSIGNAL);
        probe_close(&bad);
    }
    probe_call(&good, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    probe_close(&good);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_bad_length_word_drops_the_connection),
        BENCH_TEST(a_guest_may_not_send_huge_packets),
        BENCH_TEST(claimed_length_of_a_packet_costs_no_memory),
        BENCH_TEST(truncated_arguments_are_refused_and_the_connection_continues),
        BENCH_TEST(a_reply_that_is_too_long_is_an_error),
        BENCH_TEST(bytes_after_the_arguments_are_ignored),
        BENCH_TEST(odd_headers_are_answered_in_libvirts_words),
        BENCH_TEST(messages_and_orphans_are_ignored),
        BENCH_TEST(packets_with_descriptors_drop_the_connection),
        BENCH_TEST(pings_are_answered_even_before_opening),
        BENCH_TEST(a_call_that_comes_in_bytes_is_put_together),
        BENCH_TEST(a_flood_of_calls_is_answered_in_order),
        BENCH_TEST(noise_of_a_client_does_not_affect_other_clients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
