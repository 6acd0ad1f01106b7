/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of one connection over a blob that records its calls: the order of changes, flushes and
 * replies, and the limits of requests in flight.
 */
#include "points.h"

#include "recorder.h"

#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>

#include "connection.h"

#define FLIGHT_REQUESTS 64
#define FLIGHT_BYTES    (UINT64_C(64) << 20)
#define MIB             (1u << 20)

typedef struct {
    Recorder *recorder;
    CstNbdExport export;
    NbdConnection connection;
    NbdBudget budget;
    NbdStatus status;
    GThread *thread;
    int fd; /* the client's end */
} Session;

static gpointer transmit(gpointer data)
{
    NbdConnection *connection = data;

    nbd_transmit(connection);
    close(connection->fd);
    return NULL;
}

static int session_begin(void **state)
{
    Session *session = g_new0(Session, 1);
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    session->recorder = recorder_new();
    session->export =
        (CstNbdExport){.name = "disk", .blob = &session->recorder->base, .writable = TRUE};
    nbd_budget_init(&session->budget);
    nbd_status_init(&session->status);
    session->connection = (NbdConnection){.fd = pair[1],
                                          .export = &session->export,
                                          .size = RECORDER_SIZE,
                                          .budget = &session->budget,
                                          .status = &session->status};
    session->fd = pair[0];
    nbd_client_init(session->fd);
    session->thread = g_thread_new("transmit", transmit, &session->connection);
    *state = session;
    return 0;
}

static int session_end(void **state)
{
    Session *session = *state;

    recorder_let_all(session->recorder);
    close(session->fd);
    if (session->thread)
        g_thread_join(session->thread);
    assert_int_equal(session->budget.common, 0);
    nbd_budget_clear(&session->budget);
    nbd_status_clear(&session->status);
    recorder_free(session->recorder);
    g_free(session);
    return 0;
}

/* Asks and returns the error of the reply. */
static uint32_t ask(Session *session, uint16_t type, uint16_t flags, uint32_t len)
{
    g_autofree uint8_t *data = type == NBD_CMD_WRITE ? g_malloc0(len) : NULL;
    uint64_t handle = 0;
    uint32_t error;

    nbd_client_ask(session->fd, type, flags, 77, 0, len, data);
    error = nbd_client_reply(session->fd, type == NBD_CMD_READ ? len : 0, &handle);
    assert_int_equal(handle, 77);
    return error;
}

static const struct {
    uint16_t type;
    const char *name;
} changes[] = {{NBD_CMD_WRITE, "write"}, {NBD_CMD_TRIM, "discard"}, {NBD_CMD_WRITE_ZEROES, "zero"}};

/* --- flushes ---------------------------------------------------------------------------------- */

/* Each call of the blob checks whether the client has its reply already. */
static void forced_change_is_flushed_before_its_reply(void **state)
{
    static const uint32_t lengths[] = {512, 64 * 1024};
    Session *session = *state;

    session->recorder->client = session->fd;
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(lengths); j++) {
            g_autofree char *expected = g_strdup_printf("%s flush ", changes[i].name);

            assert_int_equal(ask(session, changes[i].type, NBD_CMD_FLAG_FUA, lengths[j]), 0);
            recorder_expect(session->recorder, expected);
        }
}

static void flush_request_flushes_before_its_reply(void **state)
{
    Session *session = *state;

    session->recorder->client = session->fd;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(session, NBD_CMD_WRITE, 0, 512), 0);
        assert_int_equal(ask(session, NBD_CMD_FLUSH, 0, 0), 0);
        recorder_expect(session->recorder, "write flush ");
    }
    assert_int_equal(ask(session, NBD_CMD_FLUSH, NBD_CMD_FLAG_FUA, 0), 0);
    recorder_expect(session->recorder, "flush ");
}

static void change_without_fua_is_not_flushed(void **state)
{
    Session *session = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *expected = g_strdup_printf("%s ", changes[i].name);

        assert_int_equal(ask(session, changes[i].type, 0, 4096), 0);
        recorder_expect(session->recorder, expected);
    }
}

static void failed_flush_fails_each_request_that_needs_it(void **state)
{
    Session *session = *state;

    recorder_fail(session->recorder, "flush", CST_ERROR_IO);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(ask(session, NBD_CMD_FLUSH, 0, 0), NBD_EIO);
        for (size_t i = 0; i < G_N_ELEMENTS(changes); i++)
            assert_int_equal(ask(session, changes[i].type, NBD_CMD_FLAG_FUA, 512), NBD_EIO);
        recorder_expect(session->recorder, "flush write flush discard flush zero flush ");
    }
    recorder_fail(session->recorder, "flush", CST_ERROR_NO_SPACE);
    assert_int_equal(ask(session, NBD_CMD_FLUSH, 0, 0), NBD_ENOSPC);
    recorder_fail(session->recorder, NULL, 0);
    assert_int_equal(ask(session, NBD_CMD_FLUSH, 0, 0), 0);
}

/* A flush that succeeds after a failed write must not turn the reply into a success. */
static void failed_change_is_not_flushed(void **state)
{
    Session *session = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *expected = g_strdup_printf("%s ", changes[i].name);

        recorder_fail(session->recorder, changes[i].name, CST_ERROR_NO_SPACE);
        assert_int_equal(ask(session, changes[i].type, NBD_CMD_FLAG_FUA, 512), NBD_ENOSPC);
        recorder_expect(session->recorder, expected);
    }
}

static void failed_read_is_reported(void **state)
{
    Session *session = *state;

    recorder_fail(session->recorder, "read", CST_ERROR_IO);
    assert_int_equal(ask(session, NBD_CMD_READ, 0, 512), NBD_EIO);
    assert_int_equal(ask(session, NBD_CMD_READ, 0, 64 * 1024), NBD_EIO);
    recorder_fail(session->recorder, NULL, 0);
    assert_int_equal(ask(session, NBD_CMD_READ, 0, 512), 0);
}

/*
 * --- requests in flight --------------------------------------------------------------------------
 */

static void request_over_the_number_waits_for_one_to_end(void **state)
{
    Session *session = *state;

    point_watch("nbd.flight.wait");
    recorder_hold(session->recorder);
    for (guint i = 0; i < FLIGHT_REQUESTS + 1; i++)
        nbd_client_ask(session->fd, NBD_CMD_FLUSH, 0, i, 0, 0, NULL);
    point_await("nbd.flight.wait", 1);
    recorder_let(session->recorder, 1);
    assert_int_equal(nbd_client_reply(session->fd, 0, NULL), 0);
    nbd_client_ask(session->fd, NBD_CMD_FLUSH, 0, 0, 0, 0, NULL);
    point_await("nbd.flight.wait", 2);
    recorder_let_all(session->recorder);
    for (guint i = 0; i < FLIGHT_REQUESTS + 1; i++)
        assert_int_equal(nbd_client_reply(session->fd, 0, NULL), 0);
    points_clear();
}

/* Asks for a read, which becomes the call @number at the blob. The handle is the length. */
static void ask_read(Session *session, guint number, uint32_t len)
{
    nbd_client_ask(session->fd, NBD_CMD_READ, 0, len, 0, len, NULL);
    recorder_await(session->recorder, number);
}

/* The end of a short request makes too little room for a long one, which must go on waiting. */
static void request_over_the_limit_of_bytes_waits_for_room(void **state)
{
    Session *session = *state;

    point_watch("nbd.flight.wait");
    recorder_hold(session->recorder);
    ask_read(session, 1, 1 * MIB);
    ask_read(session, 2, 32 * MIB);
    ask_read(session, 3, 31 * MIB);
    nbd_client_ask(session->fd, NBD_CMD_READ, 0, 32 * MIB, 0, 32 * MIB, NULL);
    point_await("nbd.flight.wait", 1);
    recorder_let(session->recorder, 1);
    assert_int_equal(nbd_client_reply(session->fd, 1 * MIB, NULL), 0);
    point_await("nbd.flight.wait", 2);
    recorder_let_all(session->recorder);
    for (int i = 0; i < 3; i++) {
        uint8_t head[16];
        g_autofree uint8_t *data = NULL;

        nbd_client_take(session->fd, head, sizeof(head));
        data = g_malloc(nbd_get64(head + 8));
        nbd_client_take(session->fd, data, nbd_get64(head + 8));
    }
    assert_int_equal(recorder_most_bytes(session->recorder), FLIGHT_BYTES);
    points_clear();
}

/*
 * The requests of another connection hold all shared bytes. Short requests go on; a long one waits
 * before the blob is read, until the other connection gives its bytes back.
 */
static void long_request_waits_for_the_bytes_of_other_connections(void **state)
{
    enum { PARTS = NBD_COMMON_BYTES / NBD_PAYLOAD_MAX };
    Session *session = *state;
    NbdFlight others[PARTS];

    for (guint i = 0; i < PARTS; i++) {
        nbd_flight_init(&others[i], &session->budget);
        assert_int_equal(nbd_flight_begin(&others[i], NBD_PAYLOAD_MAX), NBD_PAYLOAD_MAX);
    }
    assert_int_equal(ask(session, NBD_CMD_READ, 0, 2 * MIB), 0);
    assert_int_equal(ask(session, NBD_CMD_WRITE, 0, 2 * MIB), 0);
    recorder_expect(session->recorder, "read write ");
    point_watch("nbd.budget.wait");
    nbd_client_ask(session->fd, NBD_CMD_READ, 0, 7, 0, 3 * MIB, NULL);
    point_await("nbd.budget.wait", 1);
    recorder_expect(session->recorder, "");
    for (guint i = 0; i < PARTS; i++) {
        nbd_flight_end(&others[i], NBD_PAYLOAD_MAX, NBD_PAYLOAD_MAX);
        nbd_flight_clear(&others[i]);
    }
    assert_int_equal(nbd_client_reply(session->fd, 3 * MIB, NULL), 0);
    points_clear();
}

/* More requests of each kind than the limit, one after another: no request may wait. */
static void each_request_gives_its_place_back(void **state)
{
    Session *session = *state;

    for (guint i = 0; i < FLIGHT_REQUESTS + 6; i++) {
        assert_int_equal(ask(session, NBD_CMD_READ, 0, 512), 0);
        assert_int_equal(ask(session, NBD_CMD_READ, 0, MIB), 0);
        assert_int_equal(ask(session, NBD_CMD_WRITE, 0, MIB), 0);
        assert_int_equal(ask(session, NBD_CMD_TRIM, 0, MIB), 0);
        assert_int_equal(ask(session, NBD_CMD_FLUSH, 0, 0), 0);
        /* Refused: too long, a flag, an unknown type, a range beyond the end. */
        assert_int_equal(ask(session, NBD_CMD_READ, 0, 33 * MIB), NBD_EINVAL);
        assert_int_equal(ask(session, NBD_CMD_WRITE, NBD_CMD_FLAG_DF, MIB), NBD_EINVAL);
        assert_int_equal(ask(session, 5, 0, MIB), NBD_EINVAL);
        nbd_client_ask(session->fd, NBD_CMD_READ, 0, 1, RECORDER_SIZE, MIB, NULL);
        assert_int_equal(nbd_client_reply(session->fd, MIB, NULL), NBD_EINVAL);
        recorder_fail(session->recorder, "read", CST_ERROR_IO);
        assert_int_equal(ask(session, NBD_CMD_READ, 0, MIB), NBD_EIO);
        recorder_fail(session->recorder, NULL, 0);
    }
}

/* The client disconnects: requests at the blob, and requests without a worker, are answered. */
static void requests_in_flight_end_before_the_connection(void **state)
{
    enum { WORKERS = 8, COUNT = 20 };
    Session *session = *state;

    point_watch("nbd.transmit.ending");
    recorder_hold(session->recorder);
    for (guint i = 0; i < COUNT; i++)
        nbd_client_ask(session->fd, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, i, 0, 3, "abc");
    nbd_client_ask(session->fd, NBD_CMD_DISC, 0, 0, 0, 0, NULL);
    recorder_await(session->recorder, WORKERS);
    point_await("nbd.transmit.ending", 1);
    recorder_let_all(session->recorder);
    for (guint i = 0; i < COUNT; i++)
        assert_int_equal(nbd_client_reply(session->fd, 0, NULL), 0);
    assert_true(nbd_client_is_over(session->fd));
    recorder_await(session->recorder, 2 * COUNT);
    points_clear();
}

/* The client no longer reads replies, but could still send requests. */
static void reply_that_cannot_be_sent_ends_the_connection(void **state)
{
    Session *session = *state;

    assert_int_equal(shutdown(session->fd, SHUT_RD), 0);
    nbd_client_ask(session->fd, NBD_CMD_FLUSH, 0, 1, 0, 0, NULL);
    g_thread_join(g_steal_pointer(&session->thread));
}

/* --- block status ----------------------------------------------------------------------------- */

static void learn_runs(Session *session)
{
    g_autoptr(GByteArray) runs = g_byte_array_new();

    assert_true(nbd_status_add(&session->status, session->export.blob, 0, MIB, FALSE, runs, NULL));
    assert_int_equal(session->status.runs->len, 1);
}

/* Runs of before the change are wrong at its end, and runs of during the change may be. */
static void change_forgets_the_known_runs_at_its_begin_and_end(void **state)
{
    Session *session = *state;

    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree uint8_t *data = g_malloc0(512);

        learn_runs(session);
        recorder_hold(session->recorder);
        nbd_client_ask(session->fd, changes[i].type, 0, 77, 0, 512,
                       changes[i].type == NBD_CMD_WRITE ? data : NULL);
        recorder_await(session->recorder, i + 1);
        assert_int_equal(session->status.runs->len, 0);
        learn_runs(session);
        recorder_let_all(session->recorder);
        assert_int_equal(nbd_client_reply(session->fd, 0, NULL), 0);
        assert_int_equal(session->status.runs->len, 0);
    }
    learn_runs(session);
    assert_int_equal(ask(session, NBD_CMD_READ, 0, 512), 0);
    assert_int_equal(ask(session, NBD_CMD_FLUSH, 0, 0), 0);
    assert_int_equal(session->status.runs->len, 1);
}

int main(void)
{
#define SESSION_TEST(name) cmocka_unit_test_setup_teardown(name, session_begin, session_end)
    const struct CMUnitTest tests[] = {
        SESSION_TEST(forced_change_is_flushed_before_its_reply),
        SESSION_TEST(flush_request_flushes_before_its_reply),
        SESSION_TEST(change_without_fua_is_not_flushed),
        SESSION_TEST(failed_flush_fails_each_request_that_needs_it),
        SESSION_TEST(failed_change_is_not_flushed),
        SESSION_TEST(failed_read_is_reported),
        SESSION_TEST(request_over_the_number_waits_for_one_to_end),
        SESSION_TEST(request_over_the_limit_of_bytes_waits_for_room),
        SESSION_TEST(long_request_waits_for_the_bytes_of_other_connections),
        SESSION_TEST(each_request_gives_its_place_back),
        SESSION_TEST(requests_in_flight_end_before_the_connection),
        SESSION_TEST(reply_that_cannot_be_sent_ends_the_connection),
        SESSION_TEST(change_forgets_the_known_runs_at_its_begin_and_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
