/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../await.h"
#include "../blob_size.h"
#include "../points.h"
#include "nbd_fixture.h"

/* Exports of a server that has few connections, hangs or ends. */

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);

/* From this time on the clock of the product runs twenty times as fast; 0: it does not. */
static gint64 fast_since;

gint64 __wrap_g_get_monotonic_time(void)
{
    gint64 now = __real_g_get_monotonic_time(),
           since = __atomic_load_n(&fast_since, __ATOMIC_ACQUIRE);

    return since ? now + (now - since) * 19 : now;
}

static void assert_open_fails(guint timeout_s, int code)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_blob_nbd_open(fake->socket, "disk", geteuid(), "the disk", timeout_s, &error));
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
    assert_int_equal(g_atomic_int_get(&fake->reads), 1);
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
    assert_true(g_atomic_int_get(&fake->reads) >= 5);
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
    assert_int_equal(g_atomic_int_get(&fake->connections), 1);
    for (guint i = 0; i < 4; i++)
        threads[i] = g_thread_new("read", byte_read, blob);
    for (guint i = 0; i < 4; i++)
        assert_true(GPOINTER_TO_INT(g_thread_join(threads[i])));
    assert_int_equal(g_atomic_int_get(&fake->connections), 4);
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
    assert_int_equal(g_atomic_int_get(&fake->connections), 1);
}

static void test_refused_further_connection_leaves_the_first_one(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->further = FAKE_ENDS;
    fake->answer = answer_together;
    blob = fake_open(LONG);
    assert_two_reads_share_a_session(blob);
    assert_int_equal(g_atomic_int_get(&fake->connections), 2);
    assert_true(GPOINTER_TO_INT(byte_read(blob)));
    assert_int_equal(g_atomic_int_get(&fake->connections), 2);
}

static void test_unanswered_further_connection_leaves_the_first_one(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake->further = FAKE_NO_GREETING;
    fake->answer = answer_together;
    blob = fake_open(LONG);
    assert_two_reads_share_a_session(blob);
    assert_int_equal(g_atomic_int_get(&fake->connections), 2);
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
    assert_int_equal(g_atomic_int_get(&fake->connections), 1);
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

/* Sends a chunk byte by byte, until the client ends the connection. */
static gboolean answer_in_drops(const FakeClient *client, const FakeRequest *request)
{
    uint8_t byte = 0, start[28];

    __atomic_store_n(&fast_since, __real_g_get_monotonic_time(), __ATOMIC_RELEASE);
    nbd_put32(
        nbd_put64(nbd_put16(nbd_put16(nbd_put32(start, NBD_STRUCTURED_MAGIC), NBD_REPLY_FLAG_DONE),
                            NBD_REPLY_OFFSET_DATA),
                  request->cookie),
        request->length + 8);
    nbd_put64(start + 20, request->offset);
    if (send(client->fd, start, sizeof(start), MSG_NOSIGNAL) != sizeof(start))
        return FALSE;
    while (send(client->fd, &byte, 1, MSG_NOSIGNAL) == 1)
        await_pause();
    return FALSE;
}

static void test_silence_in_the_negotiation_times_out(void **state)
{
    const FakeStage stages[] = {FAKE_NO_GREETING, FAKE_NO_OPTION};

    for (guint i = 0; i < G_N_ELEMENTS(stages); i++) {
        if (i > 0)
            fake_replace();
        fake->stage = stages[i];
        fake_nbd_start(fake);
        assert_open_fails(SHORT, CST_ERROR_TIMEOUT);
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
    assert_null(cst_blob_nbd_open(path, "disk", geteuid(), "the disk", SHORT, &error));
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

static void test_refused_export_is_reported(void **state)
{
    const struct {
        uint32_t refusal;
        int code;
    } cases[] = {{NBD_REP_ERR_TLS_REQD, CST_ERROR_UNSUPPORTED},
                 {NBD_REP_ERR_UNKNOWN, CST_ERROR_NOT_FOUND}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (i > 0)
            fake_replace();
        fake->refusal = cases[i].refusal;
        fake_nbd_start(fake);
        assert_open_fails(LONG, cases[i].code);
    }
}

static void test_silence_in_a_read_times_out(void **state)
{
    fake->answer = answer_with_silence;
    assert_read_kills(SHORT, CST_ERROR_TIMEOUT);
}

/* The clock runs fast, because the limit of a request that makes progress is long. */
static void test_slow_reply_times_out(void **state)
{
    fake->answer = answer_in_drops;
    assert_read_kills(SHORT, CST_ERROR_TIMEOUT);
    __atomic_store_n(&fast_since, 0, __ATOMIC_RELEASE);
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

static void test_end_between_requests_is_reported(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) error = NULL;
    char byte;

    fake->stage = FAKE_LEAVES;
    blob = fake_open(LONG);
    AWAIT(g_atomic_int_get(&fake->ended) == 1);
    assert_false(cst_blob_pread(blob, &byte, 1, 0, &error));
    assert_code(error, CST_ERROR_UNREACHABLE);
    assert_dead(blob, error);
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
        TEST(test_refused_export_is_reported),
        TEST(test_silence_in_a_read_times_out),
        TEST(test_slow_reply_times_out),
        TEST(test_silence_after_half_a_read_times_out),
        TEST(test_silence_in_a_block_status_times_out),
        TEST(test_end_in_a_read_is_reported),
        TEST(test_end_between_requests_is_reported),
        TEST(test_end_after_half_a_read_is_reported),
        TEST(test_reply_without_end_is_refused),
    };

    return cmocka_run_group_tests_name("nbd-hostile", tests, NULL, NULL);
}
