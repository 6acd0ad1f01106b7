/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <blob/nbd.h>

#include "../await.h"
#include "../blob_size.h"
#include "../points.h"
#include "extent.h"
#include "nbd_fake.h"

/* Exports of a server that hangs, ends or sends malformed replies. */

/* Limit of calls that must time out, and of calls that must not, in seconds. */
#define SHORT 1
#define LONG  120

#define HOLE (CST_EXTENT_HOLE | CST_EXTENT_ZERO)

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static FakeNbd *fake;

static int set_up(void **state)
{
    fake = fake_nbd_new();
    return 0;
}

static int tear_down(void **state)
{
    fake_nbd_free(fake);
    return 0;
}

static CstBlob *fake_open(guint timeout_s)
{
    g_autoptr(GError) error = NULL;
    CstBlob *blob;

    fake_nbd_start(fake);
    blob = cst_blob_nbd_open(fake->socket, "disk", "the disk", timeout_s, &error);
    if (!blob)
        fail_msg("%s", error->message);
    return blob;
}

/* Asserts that the blob is dead: the server receives no further request. */
static void assert_dead(CstBlob *blob, const GError *first)
{
    gint connections = g_atomic_int_get(&fake->connections);
    gint requests = g_atomic_int_get(&fake->reads) + g_atomic_int_get(&fake->statuses);
    g_autoptr(GError) error = NULL;
    CstExtent extent;
    char byte;

    assert_false(cst_blob_pread(blob, &byte, 1, 0, &error));
    assert_int_equal(error->code, first->code);
    assert_string_equal(error->message, first->message);
    g_clear_error(&error);
    assert_false(cst_blob_extent(blob, 0, 1, &extent, &error));
    assert_string_equal(error->message, first->message);
    assert_int_equal(g_atomic_int_get(&fake->connections), connections);
    assert_int_equal(g_atomic_int_get(&fake->reads) + g_atomic_int_get(&fake->statuses), requests);
}

/* Reads 64 KiB and asserts the class of the failure, and that the blob is dead. */
static void assert_read_kills(guint timeout_s, int code)
{
    g_autoptr(CstBlob) blob = fake_open(timeout_s);
    g_autoptr(GError) error = NULL;
    char buf[65536];

    assert_false(cst_blob_pread(blob, buf, sizeof(buf), 4096, &error));
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("%d: %s", error->code, error->message);
    assert_non_null(strstr(error->message, fake->socket));
    assert_non_null(strstr(error->message, "'disk'"));
    assert_dead(blob, error);
}

static void assert_status_kills(guint timeout_s, int code)
{
    g_autoptr(CstBlob) blob = fake_open(timeout_s);
    g_autoptr(GError) error = NULL;
    CstExtent extent;

    assert_false(cst_blob_extent(blob, 8192, 4096, &extent, &error));
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("%d: %s", error->code, error->message);
    assert_dead(blob, error);
}

static void assert_open_fails(guint timeout_s, int code)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_blob_nbd_open(fake->socket, "disk", "the disk", timeout_s, &error));
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("%d: %s", error->code, error->message);
    assert_non_null(strstr(error->message, fake->socket));
}

/* --- the proper server ------------------------------------------------------------------------ */

static void test_content_of_the_fake_server_is_read(void **state)
{
    g_autoptr(CstBlob) blob = fake_open(LONG);
    g_autofree uint8_t *buf = g_malloc(fake->size);

    assert_int_equal(size_of(blob), fake->size);
    assert_true(cst_blob_pread(blob, buf, fake->size, 0, NULL));
    for (uint64_t i = 0; i < fake->size; i++)
        assert_int_equal(buf[i], fake_byte(i));
    assert_int_equal(fake->reads, 1);
}

static gboolean answer_in_reverse(const FakeClient *client, const FakeRequest *request)
{
    uint32_t half = request->length / 2;

    return fake_data(client, request, 0, request->offset + half, request->length - half) &&
           fake_data(client, request, NBD_REPLY_FLAG_DONE, request->offset, half);
}

static void test_chunks_in_reverse_order_are_accepted(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    uint8_t buf[10000];

    fake->answer = answer_in_reverse;
    blob = fake_open(LONG);
    assert_true(cst_blob_pread(blob, buf, sizeof(buf), 5, NULL));
    for (uint64_t i = 0; i < sizeof(buf); i++)
        assert_int_equal(buf[i], fake_byte(5 + i));
}

static void test_reads_keep_the_server_s_block_sizes(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    g_autofree uint8_t *buf = g_malloc(300000);

    fake->minimum = 4096;
    fake->maximum = 65536;
    blob = fake_open(LONG);
    assert_true(cst_blob_pread(blob, buf, 300000, 4095, NULL));
    for (uint64_t i = 0; i < 300000; i++)
        assert_int_equal(buf[i], fake_byte(4095 + i));
    assert_true(fake->reads >= 5);
}

/* --- threads and connections ------------------------------------------------------------------ */

/* Holds replies until this many requests have come in. */
static gint hold_until;

static gboolean answer_together(const FakeClient *client, const FakeRequest *request)
{
    while (g_atomic_int_get(&client->fake->reads) < g_atomic_int_get(&hold_until) &&
           !g_atomic_int_get(&client->fake->stopping))
        await_pause();
    return fake_answer(client, request);
}

static gpointer byte_read(gpointer data)
{
    uint8_t byte = 0;

    return GINT_TO_POINTER(cst_blob_pread(data, &byte, 1, 99, NULL) && byte == fake_byte(99));
}

static void test_four_threads_have_a_connection_each(void **state)
{
    GThread *threads[4];
    g_autoptr(CstBlob) blob = NULL;

    fake->answer = answer_together;
    hold_until = 4;
    blob = fake_open(LONG);
    assert_int_equal(fake->connections, 1);
    for (guint i = 0; i < 4; i++)
        threads[i] = g_thread_new("read", byte_read, blob);
    for (guint i = 0; i < 4; i++)
        assert_true(GPOINTER_TO_INT(g_thread_join(threads[i])));
    assert_int_equal(fake->connections, 4);
}

/* Starts a read, and another one that waits for its session, and asserts that both succeed. */
static void assert_two_reads_share_a_session(CstBlob *blob)
{
    GThread *threads[2];

    g_atomic_int_set(&hold_until, G_MAXINT);
    point_watch("nbd_blob.session.wait");
    for (guint i = 0; i < 2; i++)
        threads[i] = g_thread_new("read", byte_read, blob);
    point_await("nbd_blob.session.wait", 1);
    g_atomic_int_set(&hold_until, 0);
    for (guint i = 0; i < 2; i++)
        assert_true(GPOINTER_TO_INT(g_thread_join(threads[i])));
    points_clear();
}

static void test_server_without_multi_conn_gets_one_connection(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->flags &= (uint16_t)~NBD_FLAG_CAN_MULTI_CONN;
    fake->answer = answer_together;
    blob = fake_open(LONG);
    assert_two_reads_share_a_session(blob);
    assert_int_equal(fake->connections, 1);
}

static void test_refused_further_connection_leaves_the_first_one(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->further = FAKE_ENDS;
    fake->answer = answer_together;
    blob = fake_open(LONG);
    assert_two_reads_share_a_session(blob);
    assert_int_equal(fake->connections, 2);
    assert_true(GPOINTER_TO_INT(byte_read(blob)));
    assert_int_equal(fake->connections, 2);
}

static void test_unanswered_further_connection_leaves_the_first_one(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->further = FAKE_NO_GREETING;
    fake->answer = answer_together;
    blob = fake_open(LONG);
    assert_two_reads_share_a_session(blob);
    assert_int_equal(fake->connections, 2);
}

static gint other_export_reads;

static gboolean answer_first_export(const FakeClient *client, const FakeRequest *request)
{
    if (client->number > 0)
        g_atomic_int_inc(&other_export_reads);
    return answer_together(client, request);
}

static void test_connection_to_another_export_is_not_used(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->further_size = fake->size * 2;
    fake->answer = answer_first_export;
    other_export_reads = 0;
    blob = fake_open(LONG);
    assert_two_reads_share_a_session(blob);
    assert_int_equal(other_export_reads, 0);
}

static gboolean answer_none_after_all(const FakeClient *client, const FakeRequest *request)
{
    while (g_atomic_int_get(&client->fake->reads) < 2 && !g_atomic_int_get(&client->fake->stopping))
        await_pause();
    return FALSE;
}

static gpointer byte_read_error(gpointer data)
{
    GError *error = NULL;
    char byte;

    assert_false(cst_blob_pread(data, &byte, 1, 0, &error));
    return error;
}

/* The thread that waits for a session gets the error of the thread that has lost it. */
static void test_lost_session_ends_the_wait_of_other_threads(void **state)
{
    GThread *threads[2];
    g_autoptr(CstBlob) blob = NULL;

    fake->flags &= (uint16_t)~NBD_FLAG_CAN_MULTI_CONN;
    fake->answer = answer_none_after_all;
    blob = fake_open(LONG);
    point_watch("nbd_blob.session.wait");
    for (guint i = 0; i < 2; i++)
        threads[i] = g_thread_new("read", byte_read_error, blob);
    point_await("nbd_blob.session.wait", 1);
    g_atomic_int_set(&fake->reads, 2);
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) error = g_thread_join(threads[i]);

        assert_code(error, CST_ERROR_UNREACHABLE);
    }
    assert_int_equal(fake->connections, 1);
    points_clear();
}

/* --- servers that hang or end ----------------------------------------------------------------- */

static gboolean answer_with_silence(const FakeClient *client, const FakeRequest *request)
{
    return TRUE;
}

static gboolean answer_with_half(const FakeClient *client, const FakeRequest *request)
{
    return fake_data(client, request, 0, request->offset, request->length / 2);
}

static gboolean answer_with_end(const FakeClient *client, const FakeRequest *request)
{
    return FALSE;
}

static gboolean answer_half_and_end(const FakeClient *client, const FakeRequest *request)
{
    answer_with_half(client, request);
    return FALSE;
}

/* Sends chunks without data until the client ends the connection. */
static gboolean answer_without_end(const FakeClient *client, const FakeRequest *request)
{
    while (fake_data(client, request, 0, request->offset + 2, 1) &&
           fake_data(client, request, 0, request->offset, 1))
        continue;
    return FALSE;
}

static void test_silence_in_the_negotiation_times_out(void **state)
{
    const FakeStage stages[] = {FAKE_NO_GREETING, FAKE_NO_OPTION};

    for (guint i = 0; i < G_N_ELEMENTS(stages); i++) {
        fake->stage = stages[i];
        fake_nbd_start(fake);
        assert_open_fails(SHORT, CST_ERROR_TIMEOUT);
        if (i == 0) {
            fake_nbd_free(fake);
            fake = fake_nbd_new();
        }
    }
}

static void test_full_queue_of_the_listener_times_out(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd, connected;
    g_autofree char *path = g_strconcat(fake->socket, "2", NULL);
    g_autoptr(GError) error = NULL;

    fake_nbd_start(fake);
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 0), 0);
    do {
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        g_array_append_val(fds, fd);
        connected = connect(fd, (struct sockaddr *)&address, sizeof(address));
    } while (connected == 0);
    assert_null(cst_blob_nbd_open(path, "disk", "the disk", SHORT, &error));
    assert_code(error, CST_ERROR_TIMEOUT);
    for (guint i = 0; i < fds->len; i++)
        close(g_array_index(fds, int, i));
    close(listener);
    unlink(path);
}

static void test_end_in_the_negotiation_is_reported(void **state)
{
    fake->stage = FAKE_ENDS;
    fake_nbd_start(fake);
    assert_open_fails(LONG, CST_ERROR_UNREACHABLE);
}

static void test_silence_in_a_read_times_out(void **state)
{
    fake->answer = answer_with_silence;
    assert_read_kills(SHORT, CST_ERROR_TIMEOUT);
}

static void test_silence_after_half_a_read_times_out(void **state)
{
    fake->answer = answer_with_half;
    assert_read_kills(SHORT, CST_ERROR_TIMEOUT);
}

static void test_silence_in_a_block_status_times_out(void **state)
{
    fake->answer = answer_with_silence;
    assert_status_kills(SHORT, CST_ERROR_TIMEOUT);
}

static void test_end_in_a_read_is_reported(void **state)
{
    fake->answer = answer_with_end;
    assert_read_kills(LONG, CST_ERROR_UNREACHABLE);
}

static void test_end_after_half_a_read_is_reported(void **state)
{
    fake->answer = answer_half_and_end;
    assert_read_kills(LONG, CST_ERROR_UNREACHABLE);
}

static void test_reply_without_end_is_refused(void **state)
{
    fake->answer = answer_without_end;
    assert_read_kills(LONG, CST_ERROR_CORRUPT);
}

/* --- malformed replies ------------------------------------------------------------------------ */

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
        if (i > 0) {
            fake_nbd_free(fake);
            fake = fake_nbd_new();
        }
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

        if (i > 0) {
            fake_nbd_free(fake);
            fake = fake_nbd_new();
        }
        fake->answer = answers[i];
        blob = fake_open(LONG);
        assert_false(cst_blob_pread(blob, buf, sizeof(buf), 0, &error));
        assert_code(error, CST_ERROR_IO);
    }
}

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
    fake_nbd_free(fake);
    fake = fake_nbd_new();
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
    assert_int_equal(fake->statuses, 1);
    PAIRS(4096, 0);
    assert_extent(blob, 20480, 8192, 4096, CST_EXTENT_DATA);
    assert_int_equal(fake->statuses, 2);
    assert_extent(blob, 16384, 10, 10, CST_EXTENT_ZERO);
    assert_int_equal(fake->statuses, 2);
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
    assert_int_equal(fake->statuses, 1);
    assert_extent(blob, 4096 * 512, 4096, 512, CST_EXTENT_DATA);
    assert_int_equal(fake->statuses, 2);
}

static void test_server_without_block_status_has_one_run_of_data(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->no_status = TRUE;
    blob = fake_open(LONG);
    assert_extent(blob, 5, 100000, 100000, CST_EXTENT_DATA);
    assert_int_equal(fake->statuses, 0);
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
    assert_true(GPOINTER_TO_INT(byte_read(blob)));
    assert_int_equal(fake->connections, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_content_of_the_fake_server_is_read),
        TEST(test_chunks_in_reverse_order_are_accepted),
        TEST(test_reads_keep_the_server_s_block_sizes),
        TEST(test_four_threads_have_a_connection_each),
        TEST(test_server_without_multi_conn_gets_one_connection),
        TEST(test_refused_further_connection_leaves_the_first_one),
        TEST(test_unanswered_further_connection_leaves_the_first_one),
        TEST(test_connection_to_another_export_is_not_used),
        TEST(test_lost_session_ends_the_wait_of_other_threads),
        TEST(test_silence_in_the_negotiation_times_out),
        TEST(test_full_queue_of_the_listener_times_out),
        TEST(test_end_in_the_negotiation_is_reported),
        TEST(test_silence_in_a_read_times_out),
        TEST(test_silence_after_half_a_read_times_out),
        TEST(test_silence_in_a_block_status_times_out),
        TEST(test_end_in_a_read_is_reported),
        TEST(test_end_after_half_a_read_is_reported),
        TEST(test_reply_without_end_is_refused),
        TEST(test_malformed_reply_to_a_read_is_refused),
        TEST(test_read_reply_with_missing_data_is_refused),
        TEST(test_malformed_block_status_is_refused),
        TEST(test_block_status_without_extents_is_refused),
        TEST(test_flags_are_mapped_and_neighbours_joined),
        TEST(test_last_extent_beyond_the_request_is_clipped),
        TEST(test_cached_extents_are_bounded),
        TEST(test_server_without_block_status_has_one_run_of_data),
        TEST(test_error_of_the_server_fails_one_request),
    };

    return cmocka_run_group_tests_name("nbd-hostile", tests, NULL, NULL);
}
