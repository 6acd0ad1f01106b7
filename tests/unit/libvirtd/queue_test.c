/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include <queue.h>

static void data_and_holes_keep_their_order(void **state)
{
    DataQueue queue = {.pieces = G_QUEUE_INIT};
    char data[8] = "";

    data_queue_push(&queue, "abc", 3);
    data_queue_push_hole(&queue, 10);
    data_queue_push_hole(&queue, 5);
    data_queue_push(&queue, "d", 1);
    assert_int_equal(data_queue_hole(&queue), 0);
    assert_int_equal(data_queue_data(&queue), 3);
    assert_int_equal(data_queue_pop(&queue, data, 2), 2);
    assert_memory_equal(data, "ab", 2);
    assert_int_equal(data_queue_pop(&queue, data, 8), 1);
    assert_memory_equal(data, "c", 1);
    assert_int_equal(data_queue_pop(&queue, data, 8), 0);
    assert_int_equal(data_queue_hole(&queue), 15);
    data_queue_pop_hole(&queue, 4);
    assert_int_equal(data_queue_hole(&queue), 11);
    data_queue_pop_hole(&queue, 100);
    assert_int_equal(data_queue_pop(&queue, data, 8), 1);
    assert_memory_equal(data, "d", 1);
    assert_true(data_queue_is_empty(&queue));
    assert_int_equal(queue.bytes, 0);
}

static void queue_is_full_by_bytes_and_by_pieces(void **state)
{
    DataQueue queue = {.pieces = G_QUEUE_INIT};
    g_autofree char *piece = g_malloc0(QUEUE_PIECE_MAX);
    guint count;

    for (count = 0; !data_queue_is_full(&queue); count++)
        data_queue_push(&queue, piece, QUEUE_PIECE_MAX);
    assert_int_equal(count, 4);
    data_queue_clear(&queue);
    assert_false(data_queue_is_full(&queue));
    for (count = 0; !data_queue_is_full(&queue); count++)
        data_queue_push(&queue, piece, 1);
    assert_int_equal(count, 64);
    data_queue_clear(&queue);
}

static void holes_of_any_number_need_one_piece(void **state)
{
    DataQueue queue = {.pieces = G_QUEUE_INIT};

    for (guint i = 0; i < 1000; i++)
        data_queue_push_hole(&queue, 1);
    data_queue_push_hole(&queue, 0);
    data_queue_push_hole(&queue, -1);
    assert_int_equal(queue.pieces.length, 1);
    assert_int_equal(data_queue_hole(&queue), 1000);
    data_queue_push_hole(&queue, G_MAXINT64);
    assert_int_equal(data_queue_hole(&queue), 1000); /* the sum would overflow */
    assert_int_equal(queue.pieces.length, 2);
    data_queue_clear(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_and_holes_keep_their_order),
        cmocka_unit_test(queue_is_full_by_bytes_and_by_pieces),
        cmocka_unit_test(holes_of_any_number_need_one_piece),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
