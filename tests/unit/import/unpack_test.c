/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decompression of what comes in pieces of any size: members, padding, damage, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "pieces.h"
#include "unpack.h"

static const CstImportHow how;
static const ImportContext unlimited = {.how = &how, .max_size = CST_IMPORT_MAX_SIZE};

static void add_gzip(GByteArray *packed, const void *data, size_t len)
{
    uint8_t out[4096];
    z_stream stream = {
        .next_in = (Bytef *)data, .avail_in = (uInt)len, .next_out = out, .avail_out = sizeof(out)};

    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    g_byte_array_append(packed, out, (guint)(sizeof(out) - stream.avail_out));
    deflateEnd(&stream);
}

static ImportReader *unpack(const GByteArray *packed, size_t step, const ImportContext *context)
{
    g_autoptr(GBytes) bytes = g_bytes_new(packed->data, packed->len);
    const ImportCodec *codec = import_codec_probe(packed->data, packed->len);

    assert_non_null(codec);
    return import_unpack(pieces_new(bytes, step, FALSE), codec, context);
}

static void test_members_and_padding_in_pieces(void **state)
{
    g_autoptr(GByteArray) packed = g_byte_array_new();
    static const uint8_t zeroes[100];

    add_gzip(packed, "one ", 4);
    add_gzip(packed, "", 0);
    g_byte_array_append(packed, zeroes, 3);
    add_gzip(packed, "two", 3);
    g_byte_array_append(packed, zeroes, sizeof(zeroes));
    for (size_t step = 1; step < 200; step += 7) {
        g_autoptr(ImportReader) reader = unpack(packed, step, &unlimited);
        char buf[16];
        size_t n;

        assert_true(import_reader_read(reader, buf, sizeof(buf), &n, NULL));
        assert_int_equal(n, 7);
        assert_memory_equal(buf, "one two", 7);
    }
}

static void test_an_empty_member_alone(void **state)
{
    g_autoptr(GByteArray) packed = g_byte_array_new();
    g_autoptr(ImportReader) reader = NULL;
    char buf[16];
    size_t n;

    add_gzip(packed, "", 0);
    g_byte_array_append(packed, (const uint8_t *)"\0\0", 2);
    reader = unpack(packed, 5, &unlimited);
    assert_true(import_reader_read(reader, buf, sizeof(buf), &n, NULL));
    assert_int_equal(n, 0);
}

static void assert_fails(const GByteArray *packed, const ImportContext *context, int code)
{
    for (size_t step = 1; step < 200; step += 50) {
        g_autoptr(ImportReader) reader = unpack(packed, step, context);
        g_autoptr(GError) error = NULL;

        assert_false(import_reader_drain(reader, &error));
        assert_int_equal(error->code, code);
    }
}

static void test_damage(void **state)
{
    g_autoptr(GByteArray) packed = g_byte_array_new();

    add_gzip(packed, "some text", 9);
    g_byte_array_append(packed, (const uint8_t *)"behind", 6);
    assert_fails(packed, &unlimited, CST_ERROR_CORRUPT);
    g_byte_array_set_size(packed, packed->len - 6);
    for (guint len = packed->len - 1; len > 3; len--) {
        g_byte_array_set_size(packed, len);
        assert_fails(packed, &unlimited, CST_ERROR_CORRUPT);
    }
}

static void test_a_flipped_bit(void **state)
{
    g_autoptr(GByteArray) packed = g_byte_array_new();

    add_gzip(packed, "some text", 9);
    packed->data[packed->len - 6] ^= 1; /* of the CRC */
    assert_fails(packed, &unlimited, CST_ERROR_CORRUPT);
}

static void test_limits(void **state)
{
    g_autoptr(GByteArray) packed = g_byte_array_new();
    ImportContext small = {.how = &how, .max_size = 8, .bounded = TRUE};
    g_autoptr(ImportReader) reader = NULL;

    add_gzip(packed, "some text", 9);
    assert_fails(packed, &small, CST_ERROR_LIMIT);
    small.max_size = 9;
    reader = unpack(packed, 7, &small);
    assert_true(import_reader_drain(reader, NULL));
}

static void test_what_is_recognised(void **state)
{
    static const struct {
        const char *head;
        size_t len;
        gboolean known;
    } rows[] = {
        {"\x1f\x8b\x08", 3, TRUE},
        {"\x1f\x8b", 2, FALSE},
        {"\x1f\x8b\x07", 3, FALSE},
        {"\xfd"
         "7zXZ\0",
         6, TRUE},
        {"\xfd"
         "7zXY\0",
         6, FALSE},
        {"\x28\xb5\x2f\xfd", 4, TRUE},
        {"BZh9\x31\x41\x59\x26\x53\x59", 10, TRUE},
        {"BZh1\x17\x72\x45\x38\x50\x90", 10, TRUE},
        {"BZh0\x31\x41\x59\x26\x53\x59", 10, FALSE},
        {"BZh9 is text", 12, FALSE},
        {"BZh9\x31\x41\x59\x26\x53", 9, FALSE},
        {"QFI\xfb", 4, FALSE},
        {"", 0, FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_int_equal(import_codec_probe((const uint8_t *)rows[i].head, rows[i].len) != NULL,
                         rows[i].known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_and_padding_in_pieces),
        cmocka_unit_test(test_an_empty_member_alone),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_a_flipped_bit),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_what_is_recognised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
