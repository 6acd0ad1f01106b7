/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <wire/codec.h>

static const CstWireHeader call_header = {
    .program = WIRE_REMOTE_PROGRAM,
    .version = WIRE_VERSION,
    .procedure = WIRE_PROC_STORAGE_POOL_LOOKUP_BY_NAME,
    .type = WIRE_CALL,
    .serial = 7,
    .status = WIRE_OK,
};

static void assert_length_refused(uint32_t len)
{
    uint32_t word = GUINT32_TO_BE(len);
    uint8_t bytes[4];
    size_t ret = 42;
    g_autoptr(GError) error = NULL;

    memcpy(bytes, &word, 4);
    assert_false(cst_wire_packet_length(bytes, &ret, &error));
    assert_int_equal(error->code, CST_ERROR_RPC);
    assert_int_equal(ret, 42);
}

static void length_word_outside_the_limits_is_refused(void **state)
{
    static const uint32_t bad[] = {0, 3, 4, 27, CST_WIRE_PACKET_MAX + 1, 0x7fffffff, 0xffffffff};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_length_refused(bad[i]);
}

static void length_word_at_the_limits_is_accepted(void **state)
{
    static const uint32_t good[] = {CST_WIRE_HEADER_LEN, CST_WIRE_PACKET_MAX};

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        uint32_t word = GUINT32_TO_BE(good[i]);
        uint8_t bytes[4];
        size_t len;

        memcpy(bytes, &word, 4);
        assert_true(cst_wire_packet_length(bytes, &len, NULL));
        assert_int_equal(len, good[i]);
    }
}

static void a_call_has_the_bytes_of_the_specification(void **state)
{
    static const uint8_t expected[] = {
        0,    0,    0,    36,                                  /* length */
        0x20, 0x00, 0x80, 0x86, 0,   0,   0,   1, 0, 0, 0, 84, /* program, version, procedure */
        0,    0,    0,    0,    0,   0,   0,   7, 0, 0, 0, 0,  /* type, serial, status */
        0,    0,    0,    3,    'a', 'b', 'c', 0,
    };
    g_autoptr(GByteArray) buf = g_byte_array_new();
    char name[] = "abc";
    wire_text args = {.value = name};

    assert_true(cst_wire_append(buf, &call_header, (xdrproc_t)xdr_wire_text, &args, NULL));
    assert_int_equal(buf->len, sizeof(expected));
    assert_memory_equal(buf->data, expected, sizeof(expected));
}

static void char_arrays_use_a_word_for_each_character(void **state)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();
    wire_node_info_ret info = {.cpus = 2};
    wire_pool_info_ret pool = {.state = 2};
    wire_vol_info_ret vol = {.type = 0};

    assert_true(cst_wire_append(buf, &call_header, (xdrproc_t)xdr_wire_node_info_ret, &info, NULL));
    assert_int_equal(buf->len, 28 + 160);
    g_byte_array_set_size(buf, 0);
    assert_true(cst_wire_append(buf, &call_header, (xdrproc_t)xdr_wire_pool_info_ret, &pool, NULL));
    assert_int_equal(buf->len, 28 + 28);
    g_byte_array_set_size(buf, 0);
    assert_true(cst_wire_append(buf, &call_header, (xdrproc_t)xdr_wire_vol_info_ret, &vol, NULL));
    assert_int_equal(buf->len, 28 + 20);
}

static void packets_are_appended_after_one_another(void **state)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();
    g_autofree char *large = g_strnfill(100000, 'x');
    wire_text args = {.value = large}, back = {0};
    CstWireHeader header;
    size_t len;

    cst_wire_append_raw(buf, &call_header, "1234", 4);
    assert_true(cst_wire_append(buf, &call_header, (xdrproc_t)xdr_wire_text, &args, NULL));
    assert_true(cst_wire_packet_length(buf->data + 32, &len, NULL));
    assert_int_equal(len, buf->len - 32);
    cst_wire_header_read(buf->data + 32, &header);
    assert_memory_equal(&header, &call_header, sizeof(header));
    assert_true(
        cst_wire_payload_decode(buf->data + 32, len, (xdrproc_t)xdr_wire_text, &back, NULL));
    assert_string_equal(back.value, large);
    xdr_free((xdrproc_t)xdr_wire_text, (char *)&back);
}

static void packet_over_the_limits_fails_and_keeps_the_buffer(void **state)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *large = g_strnfill(WIRE_STRING_MAX + 1, 'x');
    wire_text args = {.value = large};

    g_byte_array_append(buf, (const guint8 *)"abcd", 4);
    assert_false(cst_wire_append(buf, &call_header, (xdrproc_t)xdr_wire_text, &args, &error));
    assert_int_equal(error->code, CST_ERROR_RPC);
    assert_int_equal(buf->len, 4);
}

static void a_block_cut_short_anywhere_is_refused(void **state)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();
    char pool[] = "pool", name[] = "volume", key[] = "/a/key";
    wire_vol_stream_args args = {.vol = {pool, name, key}, .offset = 5, .length = 6, .flags = 1};
    xdrproc_t func = (xdrproc_t)xdr_wire_vol_stream_args;

    assert_true(cst_wire_append(buf, &call_header, func, &args, NULL));
    for (guint len = CST_WIRE_HEADER_LEN; len < buf->len; len++) {
        wire_vol_stream_args back = {0};
        g_autoptr(GError) error = NULL;

        assert_false(cst_wire_payload_decode(buf->data, len, func, &back, &error));
        assert_string_equal(error->message, "Unable to decode message payload");
        xdr_free(func, (char *)&back);
    }
}

static void bytes_after_the_arguments_are_ignored(void **state)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();
    wire_int args = {.value = -5}, back = {0};

    assert_true(cst_wire_append(buf, &call_header, (xdrproc_t)xdr_wire_int, &args, NULL));
    g_byte_array_append(buf, (const guint8 *)"rest", 4);
    assert_true(cst_wire_payload_decode(buf->data, buf->len, (xdrproc_t)xdr_wire_int, &back, NULL));
    assert_int_equal(back.value, -5);
}

static void counts_above_the_limits_are_refused(void **state)
{
    static const uint8_t count[4] = {0x00, 0x00, 0x40, 0x01}; /* 16385 */
    g_autoptr(GByteArray) buf = g_byte_array_new();
    wire_names names = {0};
    wire_text text = {0};
    uint8_t huge[4] = {0x00, 0x40, 0x00, 0x01};

    cst_wire_append_raw(buf, &call_header, count, 4);
    assert_false(
        cst_wire_payload_decode(buf->data, buf->len, (xdrproc_t)xdr_wire_names, &names, NULL));
    xdr_free((xdrproc_t)xdr_wire_names, (char *)&names);
    g_byte_array_set_size(buf, 0);
    cst_wire_append_raw(buf, &call_header, huge, 4);
    assert_false(
        cst_wire_payload_decode(buf->data, buf->len, (xdrproc_t)xdr_wire_text, &text, NULL));
    xdr_free((xdrproc_t)xdr_wire_text, (char *)&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(length_word_outside_the_limits_is_refused),
        cmocka_unit_test(length_word_at_the_limits_is_accepted),
        cmocka_unit_test(a_call_has_the_bytes_of_the_specification),
        cmocka_unit_test(char_arrays_use_a_word_for_each_character),
        cmocka_unit_test(packets_are_appended_after_one_another),
        cmocka_unit_test(packet_over_the_limits_fails_and_keeps_the_buffer),
        cmocka_unit_test(a_block_cut_short_anywhere_is_refused),
        cmocka_unit_test(bytes_after_the_arguments_are_ignored),
        cmocka_unit_test(counts_above_the_limits_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
