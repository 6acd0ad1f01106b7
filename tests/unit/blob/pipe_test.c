/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <blob/pipe.h>

#include "extent.h"
#include "scratch.h"

#define MIB  (UINT64_C(1) << 20)
#define HOLE (CST_EXTENT_HOLE | CST_EXTENT_ZERO)

static void assert_fails(gboolean ok, int code, GError **error)
{
    assert_false(ok);
    assert_true(g_error_matches(*error, CST_ERROR, code));
    g_clear_error(error);
}

static void pieces_are_one_content(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", 20);
    char back[20];

    assert_int_equal(size_of(pipe), 20);
    assert_true(cst_blob_pipe_put(pipe, "abcde", 5, 0, NULL));
    assert_true(cst_blob_pipe_put(pipe, NULL, 0, 4, NULL));
    assert_true(cst_blob_pipe_put(pipe, NULL, 0, 6, NULL));
    assert_true(cst_blob_pipe_put(pipe, "vwxyz", 5, 0, NULL));
    cst_blob_pipe_end(pipe, NULL);
    assert_extent(pipe, 2, 18, 3, CST_EXTENT_DATA);
    assert_extent(pipe, 5, 15, 10, HOLE);
    assert_extent(pipe, 7, 2, 2, HOLE);
    assert_true(cst_blob_pread(pipe, back, 17, 3, NULL));
    assert_memory_equal(back, "de\0\0\0\0\0\0\0\0\0\0vwxyz", 17);
    /* Another reader is a little later. */
    assert_true(cst_blob_pread(pipe, back, 3, 0, NULL));
    assert_memory_equal(back, "abc", 3);
}

static void a_byte_is_read_once(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", 3);
    g_autoptr(GError) error = NULL;
    CstExtent extent;
    char back[3];

    assert_true(cst_blob_pipe_put(pipe, "abc", 3, 0, NULL));
    assert_true(cst_blob_pread(pipe, back, 3, 0, NULL));
    assert_fails(cst_blob_pread(pipe, back, 1, 1, &error), CST_ERROR_INTERNAL, &error);
    assert_fails(cst_blob_extent(pipe, 0, 3, &extent, &error), CST_ERROR_INTERNAL, &error);
}

static void an_early_end_is_an_error(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", 10);
    g_autoptr(CstBlob) broken = cst_blob_pipe_new("stream", 10);
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) why = g_error_new(CST_ERROR, CST_ERROR_NO_CONNECT, "the line is dead");
    char back[10];

    assert_true(cst_blob_pipe_put(pipe, "abc", 3, 0, NULL));
    cst_blob_pipe_end(pipe, NULL);
    assert_fails(cst_blob_pread(pipe, back, 10, 0, &error), CST_ERROR_IO, &error);
    assert_true(cst_blob_pread(pipe, back, 3, 0, NULL));
    cst_blob_pipe_end(broken, why);
    assert_false(cst_blob_pread(broken, back, 1, 0, &error));
    assert_string_equal(error->message, "the line is dead");
}

static void pipe_accepts_no_more_bytes_than_its_size(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", 4);
    g_autoptr(GError) error = NULL;

    assert_true(cst_blob_pipe_put(pipe, "abc", 3, 0, NULL));
    assert_fails(cst_blob_pipe_put(pipe, "de", 2, 0, &error), CST_ERROR_INVALID, &error);
    assert_fails(cst_blob_pipe_put(pipe, NULL, 0, G_MAXUINT64, &error), CST_ERROR_INVALID, &error);
    cst_blob_pipe_leave(pipe);
    assert_fails(cst_blob_pipe_put(pipe, "d", 1, 0, &error), CST_ERROR_CANCELLED, &error);
}

/* --- two threads ------------------------------------------------------------------------------ */

#define TOTAL (3 * CST_BLOB_PIPE_WINDOW)

static guint given; /* MiB; atomic */

static gpointer give_all(gpointer data)
{
    g_autofree char *piece = g_malloc(MIB);
    CstBlob *pipe = data;

    for (uint64_t at = 0; at < TOTAL; at += MIB) {
        memset(piece, 1 + (int)(at / MIB), MIB);
        if (!cst_blob_pipe_put(pipe, piece, MIB, 0, NULL))
            return NULL;
        g_atomic_int_inc(&given);
    }
    cst_blob_pipe_end(pipe, NULL);
    return NULL;
}

static void unread_bytes_do_not_block_a_pipe(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", TOTAL);
    GThread *giver = g_thread_new("giver", give_all, pipe);
    char back[2];

    /* Across the borders of pieces; their other bytes are kept. */
    for (uint64_t at = 2 * MIB; at < TOTAL; at += 2 * MIB) {
        assert_true(cst_blob_pread(pipe, back, 2, at - 1, NULL));
        assert_int_equal((uint8_t)back[0], (uint8_t)(at / MIB));
        assert_int_equal((uint8_t)back[1], (uint8_t)(at / MIB + 1));
    }
    assert_true(cst_blob_pread(pipe, back, 1, TOTAL - 1, NULL));
    assert_int_equal((uint8_t)back[0], TOTAL / MIB);
    g_thread_join(giver);
}

static void the_giver_waits_for_the_reader_until_it_leaves(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", TOTAL);
    GThread *giver;

    g_atomic_int_set(&given, 0);
    point_watch("blob_pipe.put.wait");
    giver = g_thread_new("giver", give_all, pipe);
    point_await("blob_pipe.put.wait", 1);
    assert_int_equal(g_atomic_int_get(&given), CST_BLOB_PIPE_WINDOW / MIB);
    cst_blob_pipe_leave(pipe);
    g_thread_join(giver);
    assert_int_equal(g_atomic_int_get(&given), CST_BLOB_PIPE_WINDOW / MIB);
    points_clear();
}

/* A reader that drops pieces wakes the giver; the window is as full as before. */
static void giver_waits_again_when_it_is_woken_without_room(void **state)
{
    const uint64_t hole = 2048 * MIB, window = CST_BLOB_PIPE_WINDOW;
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", 10 + 1 + hole + 2 * TOTAL);
    CstExtent extent;
    GThread *giver;

    assert_true(cst_blob_pipe_put(pipe, NULL, 0, 10, NULL));
    assert_true(cst_blob_pipe_put(pipe, "a", 1, 0, NULL));
    assert_true(cst_blob_pipe_put(pipe, NULL, 0, hole, NULL));
    g_atomic_int_set(&given, 0);
    point_watch("blob_pipe.put.wait");
    giver = g_thread_new("giver", give_all, pipe);
    point_await("blob_pipe.put.wait", 1);
    /* Drops the first hole and the "a", which are outside the window now. */
    assert_true(cst_blob_extent(pipe, 11 + hole + 1, 1, &extent, NULL));
    point_await("blob_pipe.put.wait", 2);
    assert_int_equal(g_atomic_int_get(&given), window / MIB);
    cst_blob_pipe_leave(pipe);
    g_thread_join(giver);
    assert_int_equal(g_atomic_int_get(&given), window / MIB);
    points_clear();
}

typedef struct {
    CstBlob *pipe;
    size_t len;
    char back[10];
    GError *error;
} Reader;

static gpointer read_some(gpointer data)
{
    Reader *reader = data;

    return GINT_TO_POINTER(
        cst_blob_pread(reader->pipe, reader->back, reader->len, 0, &reader->error));
}

static void reader_waits_until_all_that_it_wants_is_given(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", 10);
    Reader reader = {pipe, 10, "", NULL};
    GThread *thread;

    point_watch("blob_pipe.read.wait");
    thread = g_thread_new("reader", read_some, &reader);
    point_await("blob_pipe.read.wait", 1);
    assert_true(cst_blob_pipe_put(pipe, "abcd", 4, 0, NULL));
    point_await("blob_pipe.read.wait", 2);
    assert_true(cst_blob_pipe_put(pipe, "efghij", 6, 0, NULL));
    assert_true(g_thread_join(thread));
    assert_null(reader.error);
    assert_memory_equal(reader.back, "abcdefghij", 10);
    points_clear();
}

static void reader_that_waits_gets_the_reason_of_the_end(void **state)
{
    for (int broken = 0; broken < 2; broken++) {
        g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", 10);
        g_autoptr(GError) why = g_error_new(CST_ERROR, CST_ERROR_NO_CONNECT, "the line is dead");
        Reader reader = {pipe, 10, "", NULL};
        GThread *thread;

        point_watch("blob_pipe.read.wait");
        thread = g_thread_new("reader", read_some, &reader);
        point_await("blob_pipe.read.wait", 1);
        cst_blob_pipe_end(pipe, broken ? why : NULL);
        assert_false(g_thread_join(thread));
        assert_fails(FALSE, broken ? CST_ERROR_NO_CONNECT : CST_ERROR_IO, &reader.error);
        points_clear();
    }
}

/* The giver waits for room. The reader waits for bytes after the window and consumes no bytes. */
static void waiting_giver_continues_when_a_reader_needs_later_bytes(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", TOTAL);
    GThread *giver;
    char byte;

    g_atomic_int_set(&given, 0);
    point_watch("blob_pipe.put.wait");
    giver = g_thread_new("giver", give_all, pipe);
    point_await("blob_pipe.put.wait", 1);
    assert_true(cst_blob_pread(pipe, &byte, 1, CST_BLOB_PIPE_WINDOW + 2 * MIB, NULL));
    assert_int_equal((uint8_t)byte, CST_BLOB_PIPE_WINDOW / MIB + 3);
    /* It waits again when these bytes were given. */
    point_await("blob_pipe.put.wait", 2);
    assert_int_equal(g_atomic_int_get(&given), CST_BLOB_PIPE_WINDOW / MIB + 3);
    cst_blob_pipe_leave(pipe);
    g_thread_join(giver);
    points_clear();
}

/* A piece that was read makes room for one more, and wakes the giver. */
static void waiting_giver_continues_when_a_piece_was_read(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", TOTAL);
    g_autofree char *back = g_malloc(MIB);
    GThread *giver;

    g_atomic_int_set(&given, 0);
    point_watch("blob_pipe.put.wait");
    giver = g_thread_new("giver", give_all, pipe);
    for (guint i = 0; i < 3; i++) {
        point_await("blob_pipe.put.wait", i + 1);
        assert_int_equal(g_atomic_int_get(&given), CST_BLOB_PIPE_WINDOW / MIB + i);
        assert_true(cst_blob_pread(pipe, back, MIB, i * MIB, NULL));
    }
    point_await("blob_pipe.put.wait", 4);
    cst_blob_pipe_leave(pipe);
    g_thread_join(giver);
    points_clear();
}

static gpointer read_far(gpointer pipe)
{
    char byte;

    return GINT_TO_POINTER(cst_blob_pread(pipe, &byte, 1, CST_BLOB_PIPE_WINDOW + 3 * MIB, NULL));
}

/* One reader waits for bytes after the window. The other one requests present bytes. */
static void slow_reader_does_not_block_a_fast_one(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", TOTAL + MIB);
    g_autofree char *piece = g_malloc0(MIB);
    GThread *reader, *giver;
    CstExtent extent;

    point_watch("blob_pipe.read.wait");
    reader = g_thread_new("reader", read_far, pipe);
    point_await("blob_pipe.read.wait", 1);
    assert_true(cst_blob_pipe_put(pipe, piece, MIB, 0, NULL));
    assert_true(cst_blob_extent(pipe, 0, 1, &extent, NULL));
    giver = g_thread_new("giver", give_all, pipe);
    assert_true(g_thread_join(reader));
    cst_blob_pipe_leave(pipe);
    g_thread_join(giver);
    points_clear();
}

static void skipped_bytes_are_dropped(void **state)
{
    g_autoptr(CstBlob) pipe = cst_blob_pipe_new("stream", 4096 * MIB);
    g_autoptr(GError) error = NULL;
    CstExtent extent;
    char byte;

    assert_true(cst_blob_pipe_put(pipe, "a", 1, 0, NULL));
    assert_true(cst_blob_pipe_put(pipe, NULL, 0, 4096 * MIB - 2, NULL));
    assert_true(cst_blob_pipe_put(pipe, "z", 1, 0, NULL));
    assert_true(cst_blob_extent(pipe, 512 * MIB, 1, &extent, NULL));
    assert_true(cst_blob_pread(pipe, &byte, 1, 0, NULL));
    assert_int_equal(byte, 'a');
    assert_true(cst_blob_pread(pipe, &byte, 1, 4096 * MIB - 1, NULL));
    assert_int_equal(byte, 'z');
    assert_fails(cst_blob_pread(pipe, &byte, 1, 0, &error), CST_ERROR_INTERNAL, &error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_one_content),
        cmocka_unit_test(a_byte_is_read_once),
        cmocka_unit_test(an_early_end_is_an_error),
        cmocka_unit_test(pipe_accepts_no_more_bytes_than_its_size),
        cmocka_unit_test(unread_bytes_do_not_block_a_pipe),
        cmocka_unit_test(the_giver_waits_for_the_reader_until_it_leaves),
        cmocka_unit_test(giver_waits_again_when_it_is_woken_without_room),
        cmocka_unit_test(reader_waits_until_all_that_it_wants_is_given),
        cmocka_unit_test(reader_that_waits_gets_the_reason_of_the_end),
        cmocka_unit_test(waiting_giver_continues_when_a_reader_needs_later_bytes),
        cmocka_unit_test(waiting_giver_continues_when_a_piece_was_read),
        cmocka_unit_test(slow_reader_does_not_block_a_fast_one),
        cmocka_unit_test(skipped_bytes_are_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
