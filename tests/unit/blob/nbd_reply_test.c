/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "nbd_fixture.h"

/* Replies of a server: valid and malformed ones. */

/* --- reading ---------------------------------------------------------------------------------- */

static gboolean answer_short(const FakeClient *client, const FakeRequest *request)
{
    return fake_data(client, request, NBD_REPLY_FLAG_DONE, request->offset, request->length - 1);
}

static gboolean answer_empty(const FakeClient *client, const FakeRequest *request)
{
    return fake_chunk(client, request, NBD_REPLY_FLAG_DONE, NBD_REPLY_NONE, NULL, 0);
}

/* As many bytes as the request, but the first half twice. */
static gboolean answer_twice(const FakeClient *client, const FakeRequest *request)
{
    uint32_t half = request->length / 2;

    return fake_data(client, request, 0, request->offset, half) &&
           fake_data(client, request, NBD_REPLY_FLAG_DONE, request->offset, half);
}

static gboolean answer_outside(const FakeClient *client, const FakeRequest *request)
{
    return fake_data(client, request, NBD_REPLY_FLAG_DONE, request->offset + 1, request->length);
}

static gboolean answer_wrong_cookie(const FakeClient *client, const FakeRequest *request)
{
    const FakeRequest wrong = {request->type, request->cookie + 1, request->offset,
                               request->length};

    return fake_answer(client, &wrong);
}

static gboolean answer_wrong_magic(const FakeClient *client, const FakeRequest *request)
{
    static const char bytes[] = "twenty bytes of text";

    return send(client->fd, bytes, 20, MSG_NOSIGNAL) == 20;
}

static void test_malformed_reply_to_a_read_is_refused(void **state)
{
    gboolean (*const answers[])(const FakeClient *, const FakeRequest *) = {
        answer_twice, answer_outside, answer_wrong_cookie, answer_wrong_magic};

    for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
        if (i > 0)
            fake_replace();
        fake->answer = answers[i];
        assert_read_kills(LONG, CST_ERROR_CORRUPT);
    }
}

/* libnbd reports these as errors of the request, so the blob works on. */
static void test_read_reply_with_missing_data_is_refused(void **state)
{
    gboolean (*const answers[])(const FakeClient *, const FakeRequest *) = {answer_short,
                                                                            answer_empty};
    char buf[4096];

    for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_autoptr(CstBlob) blob = NULL;
        g_autoptr(GError) error = NULL;

        if (i > 0)
            fake_replace();
        fake->answer = answers[i];
        blob = fake_open(LONG);
        assert_false(cst_blob_pread(blob, buf, sizeof(buf), 0, &error));
        assert_code(error, CST_ERROR_IO);
    }
}

/* --- block status ----------------------------------------------------------------------------- */

/* The pairs of the next block status, and their number. */
static uint32_t pairs[2 * 6000];
static size_t pair_count;

static gboolean answer_with_pairs(const FakeClient *client, const FakeRequest *request)
{
    return request->type == NBD_CMD_BLOCK_STATUS
               ? fake_status(client, request, NBD_REPLY_FLAG_DONE, pairs, pair_count)
               : fake_answer(client, request);
}

static gboolean answer_status_twice(const FakeClient *client, const FakeRequest *request)
{
    const uint32_t part[] = {4096, 0};

    return fake_status(client, request, 0, part, 1) &&
           fake_status(client, request, NBD_REPLY_FLAG_DONE, part, 1);
}

static void pairs_set(size_t count, const uint32_t *values)
{
    pair_count = count;
    memcpy(pairs, values, count * 2 * sizeof(*values));
}

#define PAIRS(...) \
    pairs_set(sizeof((const uint32_t[]){__VA_ARGS__}) / 8, (const uint32_t[]){__VA_ARGS__})

static void assert_pairs_are_refused(void)
{
    fake->answer = answer_with_pairs;
    assert_status_kills(LONG, CST_ERROR_CORRUPT);
    fake_replace();
}

static void test_malformed_block_status_is_refused(void **state)
{
    PAIRS(4096, 0, 0, 3, 4096, 0);
    assert_pairs_are_refused();
    PAIRS(0, 0);
    assert_pairs_are_refused();
    /* Requests end with the export, at 1 MiB. */
    PAIRS((1 << 20) - 8192 + 1, 0);
    assert_pairs_are_refused();
    PAIRS((1 << 20) - 8192, 0, 4096, 0);
    assert_pairs_are_refused();
    PAIRS(UINT32_MAX, 0, UINT32_MAX, 0);
    assert_pairs_are_refused();
    /* This request ends before the export does. */
    fake->size = UINT64_C(4) << 30;
    PAIRS(1 << 30, 0, 4096, 0);
    assert_pairs_are_refused();
    fake->answer = answer_status_twice;
    assert_status_kills(LONG, CST_ERROR_CORRUPT);
}

static void test_block_status_without_extents_is_refused(void **state)
{
    fake->answer = answer_empty;
    assert_status_kills(LONG, CST_ERROR_CORRUPT);
}

static void test_flags_are_mapped_and_neighbours_joined(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->answer = answer_with_pairs;
    PAIRS(4096, 3, 4096, 3, 4096, 0, 4096, 1, 4096, 2);
    blob = fake_open(LONG);
    assert_extent(blob, 0, 1 << 20, 8192, HOLE);
    assert_extent(blob, 8192, 1 << 20 >> 1, 4096, CST_EXTENT_DATA);
    assert_extent(blob, 12289, 1 << 19, 4095, CST_EXTENT_HOLE);
    assert_extent(blob, 16384, 10, 10, CST_EXTENT_ZERO);
    assert_int_equal(g_atomic_int_get(&fake->statuses), 1);
    PAIRS(4096, 0);
    assert_extent(blob, 20480, 8192, 4096, CST_EXTENT_DATA);
    assert_int_equal(g_atomic_int_get(&fake->statuses), 2);
    assert_extent(blob, 16384, 10, 10, CST_EXTENT_ZERO);
    assert_int_equal(g_atomic_int_get(&fake->statuses), 2);
}

/* The protocol allows that the last extent is longer than the request. */
static void test_last_extent_beyond_the_request_is_clipped(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->size = UINT64_C(4) << 30;
    fake->answer = answer_with_pairs;
    PAIRS(UINT32_MAX, 3);
    blob = fake_open(LONG);
    assert_extent(blob, 0, fake->size, 1 << 30, HOLE);
    PAIRS(1 << 30, 0);
    assert_extent(blob, 1 << 30, fake->size - (1 << 30), 1 << 30, CST_EXTENT_DATA);
}

static void test_cached_extents_are_bounded(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->size = UINT64_C(1) << 30;
    fake->answer = answer_with_pairs;
    pair_count = 6000;
    for (uint32_t i = 0; i < 6000; i++) {
        pairs[2 * i] = 512;
        pairs[2 * i + 1] = i % 2 ? 3 : 0;
    }
    blob = fake_open(LONG);
    for (uint64_t i = 0; i < 4096; i++)
        assert_extent(blob, i * 512, 4096, 512, i % 2 ? HOLE : CST_EXTENT_DATA);
    assert_int_equal(g_atomic_int_get(&fake->statuses), 1);
    assert_extent(blob, 4096 * 512, 4096, 512, CST_EXTENT_DATA);
    assert_int_equal(g_atomic_int_get(&fake->statuses), 2);
}

/* The protocol leaves the end of such an export to the server. */
static void test_size_that_is_no_multiple_of_blocks_is_read_to_its_end(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    uint8_t buf[600];

    fake->size += 512;
    fake->minimum = 4096;
    fake->maximum = 65536;
    blob = fake_open(LONG);
    assert_true(cst_blob_pread(blob, buf, sizeof(buf), fake->size - sizeof(buf), NULL));
    for (uint64_t i = 0; i < sizeof(buf); i++)
        assert_int_equal(buf[i], fake_byte(fake->size - sizeof(buf) + i));
    assert_extent(blob, fake->size - 5, 5, 5, CST_EXTENT_DATA);
}

static void test_server_without_block_status_has_one_run_of_data(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->no_status = TRUE;
    blob = fake_open(LONG);
    assert_extent(blob, 5, 100000, 100000, CST_EXTENT_DATA);
    assert_int_equal(g_atomic_int_get(&fake->statuses), 0);
}

static gboolean answer_with_error(const FakeClient *client, const FakeRequest *request)
{
    uint8_t error[6];

    if (request->offset != 4096)
        return fake_answer(client, request);
    nbd_put16(nbd_put32(error, NBD_EIO), 0);
    return fake_chunk(client, request, NBD_REPLY_FLAG_DONE, NBD_REPLY_ERROR, error, sizeof(error));
}

static void test_error_of_the_server_fails_one_request(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) error = NULL;
    char byte;

    fake->answer = answer_with_error;
    blob = fake_open(LONG);
    assert_false(cst_blob_pread(blob, &byte, 1, 4096, &error));
    assert_code(error, CST_ERROR_IO);
    assert_true(cst_blob_pread(blob, &byte, 1, 99, NULL));
    assert_int_equal(g_atomic_int_get(&fake->connections), 1);
}

/* --- dirty bitmaps ---------------------------------------------------------------------------- */

#define BITMAP "qemu:dirty-bitmap:b0"

static gboolean changes_of_fake(CstChanged *changed, GError **error)
{
    fake->bitmap = BITMAP;
    fake->minimum = fake->maximum = 4096;
    fake_nbd_start(fake);
    return cst_blob_nbd_changes(fake->socket, "disk", geteuid(), BITMAP, "me", LONG, changed,
                                error);
}

/* The first answer ends inside of a block. An unaligned request ends the connection. */
static gboolean answer_part_of_a_block(const FakeClient *client, const FakeRequest *request)
{
    const uint32_t first[] = {10000, 1}, rest[] = {request->length, 0};

    if (request->offset % 4096 != 0)
        return FALSE;
    return fake_status(client, request, NBD_REPLY_FLAG_DONE, request->offset == 0 ? first : rest,
                       1);
}

static void test_changes_that_end_inside_of_a_block_are_reported(void **state)
{
    const CstRange wanted = {0, 10000};
    g_auto(CstChanged) changed = {.max = 10};
    g_autoptr(GError) error = NULL;

    fake->answer = answer_part_of_a_block;
    if (!changes_of_fake(&changed, &error))
        fail_msg("%s", error->message);
    assert_int_equal(changed.ranges->len, 1);
    assert_memory_equal(changed.ranges->data, &wanted, sizeof(wanted));
    assert_int_equal(changed.next, changed.capacity);
    assert_int_equal(g_atomic_int_get(&fake->statuses), 2);
}

static gboolean answer_dirty(const FakeClient *client, const FakeRequest *request)
{
    const uint32_t extent[] = {request->length, 1};

    return request->offset % 4096 == 0 &&
           fake_status(client, request, NBD_REPLY_FLAG_DONE, extent, 1);
}

/* The next part of a report begins where the last one has ended. */
static void test_changes_from_the_inside_of_a_block_are_reported(void **state)
{
    const CstRange wanted = {9000, 1000};
    g_auto(CstChanged) changed = {.max = 10, .offset = 9000};
    g_autoptr(GError) error = NULL;

    fake->size = 10000;
    fake->answer = answer_dirty;
    if (!changes_of_fake(&changed, &error))
        fail_msg("%s", error->message);
    assert_int_equal(changed.ranges->len, 1);
    assert_memory_equal(changed.ranges->data, &wanted, sizeof(wanted));
}

static gboolean answer_less_than_a_block(const FakeClient *client, const FakeRequest *request)
{
    const uint32_t extent[] = {100, 1};

    return fake_status(client, request, NBD_REPLY_FLAG_DONE, extent, 1);
}

static void test_changes_of_less_than_a_block_are_refused(void **state)
{
    g_auto(CstChanged) changed = {.max = 10};
    g_autoptr(GError) error = NULL;

    fake->answer = answer_less_than_a_block;
    assert_false(changes_of_fake(&changed, &error));
    assert_code(error, CST_ERROR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_malformed_reply_to_a_read_is_refused),
        TEST(test_read_reply_with_missing_data_is_refused),
        TEST(test_malformed_block_status_is_refused),
        TEST(test_block_status_without_extents_is_refused),
        TEST(test_flags_are_mapped_and_neighbours_joined),
        TEST(test_last_extent_beyond_the_request_is_clipped),
        TEST(test_cached_extents_are_bounded),
        TEST(test_size_that_is_no_multiple_of_blocks_is_read_to_its_end),
        TEST(test_server_without_block_status_has_one_run_of_data),
        TEST(test_error_of_the_server_fails_one_request),
        TEST(test_changes_that_end_inside_of_a_block_are_reported),
        TEST(test_changes_from_the_inside_of_a_block_are_reported),
        TEST(test_changes_of_less_than_a_block_are_refused),
    };

    return cmocka_run_group_tests_name("nbd-reply", tests, NULL, NULL);
}
