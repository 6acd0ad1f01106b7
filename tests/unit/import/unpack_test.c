/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decompression of input in pieces of any size: members, padding, damage, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

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

/* --- budgets ---------------------------------------------------------------------------------- */

#define GIB (UINT64_C(1) << 30)

/* A zstd frame of zeroes. */
static void add_zeroes(GByteArray *packed, uint64_t len)
{
    g_autofree uint8_t *zeroes = g_malloc0(1 << 20), *out = g_malloc(1 << 20);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t left = 1;

    for (uint64_t done = 0; left > 0 || done < len;) {
        ZSTD_inBuffer in = {zeroes, (size_t)MIN(1 << 20, len - done), 0};
        ZSTD_outBuffer to = {out, 1 << 20, 0};

        done += in.size;
        left = ZSTD_compressStream2(context, &to, &in, done < len ? ZSTD_e_continue : ZSTD_e_end);
        assert_false(ZSTD_isError(left));
        assert_int_equal(in.pos, in.size);
        g_byte_array_append(packed, out, (guint)to.pos);
    }
    ZSTD_freeCCtx(context);
}

static void assert_is_bomb(const GByteArray *packed, const GByteArray *inner, uint64_t len)
{
    const ImportContext bounded = {.how = &how, .max_size = 2 * GIB, .bounded = TRUE};

    for (int limited = 0; limited < 2; limited++) {
        const ImportContext *context = limited ? &bounded : &unlimited;
        g_autoptr(ImportReader) reader = unpack(packed, 1 << 16, context);
        g_autoptr(GError) error = NULL;

        if (inner)
            reader = import_unpack(g_steal_pointer(&reader),
                                   import_codec_probe(inner->data, inner->len), context);
        assert_int_equal(import_reader_drain(reader, &error), limited);
        if (limited)
            assert_int_equal(reader->taken, len);
        else
            assert_int_equal(error->code, CST_ERROR_LIMIT);
    }
}

static void expansion_beyond_belief_is_refused_unless_a_size_is_given(void **state)
{
    g_autoptr(GByteArray) packed = g_byte_array_new();

    add_zeroes(packed, GIB + (GIB >> 3));
    assert_is_bomb(packed, NULL, GIB + (GIB >> 3));
}

/*
 * Each of the two shells expands within the limit, but not both together. The limit counts from the
 * compressed input.
 */
static void expansion_is_that_of_all_shells_together(void **state)
{
    const guint frames = 280000, frame_bytes = 4096;
    g_autoptr(GByteArray) frame = g_byte_array_new(), inner = g_byte_array_new();
    g_autoptr(GByteArray) packed = g_byte_array_new();
    z_stream stream = {0};

    add_zeroes(frame, frame_bytes);
    for (guint i = 0; i < frames; i++)
        g_byte_array_append(inner, frame->data, frame->len);
    assert_true((uint64_t)frames * frame_bytes / inner->len < 1000);
    g_byte_array_set_size(packed, (guint)compressBound(inner->len) + 64);
    stream.next_in = inner->data;
    stream.avail_in = inner->len;
    stream.next_out = packed->data;
    stream.avail_out = packed->len;
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    g_byte_array_set_size(packed, (guint)stream.total_out);
    deflateEnd(&stream);
    assert_is_bomb(packed, inner, (uint64_t)frames * frame_bytes);
}

/* A frame of one byte that requires a window of the given size. */
static void memory_of_a_zstd_window_is_bounded(void **state)
{
    static const uint8_t exponents[] = {20, 31};

    for (size_t i = 0; i < G_N_ELEMENTS(exponents); i++) {
        const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0, (uint8_t)((exponents[i] - 10) << 3),
                                 9,    0,    0,    'x'};
        g_autoptr(GByteArray) packed = g_byte_array_new();
        g_autoptr(ImportReader) reader = NULL;

        g_byte_array_append(packed, frame, sizeof(frame));
        reader = unpack(packed, 4, &unlimited);
        assert_int_equal(import_reader_drain(reader, NULL), i == 0);
    }
}

/* The dictionary size of an xz block is in its header, and is enlarged here. */
static void memory_of_an_xz_dictionary_is_bounded(void **state)
{
    for (int large = 0; large < 2; large++) {
        g_autoptr(GByteArray) packed = g_byte_array_new();
        g_autoptr(ImportReader) reader = NULL;
        g_autoptr(GError) error = NULL;
        uint8_t out[1024];
        size_t len = 0, header, at = 14;
        uint32_t sum;

        assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, (const uint8_t *)"text",
                                                 4, out, &len, sizeof(out)),
                         LZMA_OK);
        header = ((size_t)out[12] + 1) * 4;
        /* LZMA2, which has one property: the size. */
        while (memcmp(out + at, "\x21\x01", 2) != 0)
            assert_true(++at < 12 + header);
        if (large)
            out[at + 2] = 40;
        sum = GUINT32_TO_LE(lzma_crc32(out + 12, header - 4, 0));
        memcpy(out + 12 + header - 4, &sum, 4);
        g_byte_array_append(packed, out, (guint)len);
        reader = unpack(packed, 7, &unlimited);
        assert_int_equal(import_reader_drain(reader, &error), !large);
        if (large)
            assert_int_equal(error->code, CST_ERROR_LIMIT);
    }
}

/* Members of one file, each with its own state. */
static void members_of_each_kind_follow_each_other(void **state)
{
    static const char *const texts[] = {"one ", "two ", "three"};
    uint8_t out[1024];

    for (int kind = 0; kind < 2; kind++) {
        g_autoptr(GByteArray) packed = g_byte_array_new();

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
            size_t len = 0;

            if (kind == 0)
                assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL,
                                                         (const uint8_t *)texts[i],
                                                         strlen(texts[i]), out, &len, sizeof(out)),
                                 LZMA_OK);
            else
                len = ZSTD_compress(out, sizeof(out), texts[i], strlen(texts[i]), 1);
            g_byte_array_append(packed, out, (guint)len);
        }
        for (size_t step = 1; step < 40; step += 3) {
            g_autoptr(ImportReader) reader = unpack(packed, step, &unlimited);
            char buf[32];
            size_t n;

            assert_true(import_reader_read(reader, buf, sizeof(buf), &n, NULL));
            assert_int_equal(n, 13);
            assert_memory_equal(buf, "one two three", 13);
        }
    }
}

static void test_known_compressions_are_recognized(void **state)
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
        cmocka_unit_test(expansion_beyond_belief_is_refused_unless_a_size_is_given),
        cmocka_unit_test(expansion_is_that_of_all_shells_together),
        cmocka_unit_test(memory_of_a_zstd_window_is_bounded),
        cmocka_unit_test(memory_of_an_xz_dictionary_is_bounded),
        cmocka_unit_test(members_of_each_kind_follow_each_other),
        cmocka_unit_test(test_known_compressions_are_recognized),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
