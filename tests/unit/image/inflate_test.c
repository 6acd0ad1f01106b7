/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Streams of compressed clusters. A reader knows the start of a stream exactly and its end
 * roughly. Bytes after the stream are ignored, and a stream may be cut off after the last wanted
 * byte. A stream with too few bytes is damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <zlib.h>

#include "inflate.h"

enum { CONTENT = 40000, ROOM = 2 * CONTENT };

/** A raw deflate stream and its content. */
typedef struct {
    uint8_t content[CONTENT], packed[ROOM];
    size_t len;
} Stream;

/* The second half repeats the first one, which a window of 32 KiB reaches and a smaller one not. */
static void stream_make(Stream *ret_stream, size_t content_len, int window_bits)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    z_stream z = {.next_in = ret_stream->content, .next_out = ret_stream->packed};

    for (size_t i = 0; i < CONTENT; i++)
        ret_stream->content[i] = i < CONTENT / 2 ? (uint8_t)g_rand_int_range(rand, 0, 64)
                                                 : ret_stream->content[i - CONTENT / 2];
    z.avail_in = (uInt)content_len;
    z.avail_out = ROOM;
    assert_int_equal(
        deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    ret_stream->len = z.total_out;
    deflateEnd(&z);
}

/* @len bytes of the stream give @wanted bytes of its content. */
static void assert_inflates(const Stream *stream, size_t len, size_t wanted)
{
    g_autofree uint8_t *packed = g_memdup2(stream->packed, len), *buf = g_malloc(wanted);

    memset(buf, 0xa5, wanted);
    assert_true(cst_inflate(packed, len, buf, wanted));
    assert_memory_equal(buf, stream->content, wanted);
}

static void assert_damaged(const uint8_t *packed, size_t len, size_t wanted)
{
    g_autofree uint8_t *copy = g_memdup2(packed, MAX(len, 1)), *buf = g_malloc(wanted);

    assert_false(cst_inflate(copy, len, buf, wanted));
}

static void any_window_is_read(void **state)
{
    static Stream stream;

    for (int bits = 9; bits <= 15; bits++) {
        stream_make(&stream, CONTENT, -bits);
        assert_inflates(&stream, stream.len, CONTENT);
        assert_inflates(&stream, stream.len, CONTENT - 1);
    }
}

static void bytes_around_the_wanted_range_are_ignored(void **state)
{
    static Stream stream;

    stream_make(&stream, CONTENT, -12);
    memset(stream.packed + stream.len, 0xff, 600);
    for (size_t more = 0; more <= 600; more += 200)
        assert_inflates(&stream, stream.len + more, CONTENT);
    assert_inflates(&stream, stream.len, CONTENT - 1);
    assert_inflates(&stream, stream.len, 1);
    assert_inflates(&stream, stream.len / 2, 100);
}

static void too_few_bytes_are_damage(void **state)
{
    static Stream stream;

    stream_make(&stream, CONTENT - 1, -12);
    assert_inflates(&stream, stream.len, CONTENT - 1);
    assert_damaged(stream.packed, stream.len, CONTENT);
    assert_damaged(stream.packed, stream.len / 2, CONTENT - 1);
    assert_damaged(stream.packed, 0, 1);
    stream_make(&stream, 0, -12);
    assert_damaged(stream.packed, stream.len, 1);
}

static void invalid_stream_is_damage(void **state)
{
    static const uint8_t reserved[64] = {0xff}; /* a block of an undefined type */

    assert_damaged(reserved, sizeof(reserved), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_window_is_read),
        cmocka_unit_test(bytes_around_the_wanted_range_are_ignored),
        cmocka_unit_test(too_few_bytes_are_damage),
        cmocka_unit_test(invalid_stream_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
