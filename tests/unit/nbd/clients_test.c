/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients of a server that stops: each request under way is answered within the time of grace, and
 * the server ends after its last client. The test decides when times are over: the calls of the
 * server's thread that wait until a time, and the clock, are replaced.
 */
#include "points.h"

#include "await.h"
#include "recorder.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error.h>
#include <nbd/server.h>

gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);
gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);
gint64 __wrap_g_get_monotonic_time(void);
gint64 __real_g_get_monotonic_time(void);

static __thread gboolean is_server_thread;
static gint grace_is_over;  /* atomic */
static gint seconds_passed; /* atomic; added to those of the clock */

gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
    if (!is_server_thread)
        return __real_g_cond_wait_until(cond, mutex, end);
    if (g_atomic_int_get(&grace_is_over))
        return FALSE;
    g_cond_wait(cond, mutex);
    return TRUE;
}

gint64 __wrap_g_get_monotonic_time(void)
{
    return __real_g_get_monotonic_time() + g_atomic_int_get(&seconds_passed) * G_TIME_SPAN_SECOND;
}

typedef struct {
    Recorder *recorder;
    CstNbdServer *server;
    CstTask *task;
    GThread *thread;
    char *dir, *path;
} Bench;

static gpointer run_server(gpointer data)
{
    Bench *bench = data;

    is_server_thread = TRUE;
    g_assert_true(cst_nbd_server_run(bench->server, bench->task, NULL));
    g_assert_cmpuint(cst_nbd_server_clients(bench->server), ==, 0);
    return NULL;
}

static int bench_begin(void **state)
{
    Bench *bench = g_new0(Bench, 1);
    CstNbdExport export = {.name = "disk", .writable = TRUE};

    g_atomic_int_set(&grace_is_over, FALSE);
    g_atomic_int_set(&seconds_passed, 0);
    bench->recorder = recorder_new();
    export.blob = &bench->recorder->base;
    bench->server = cst_nbd_server_new(&export, NULL);
    assert_non_null(bench->server);
    bench->dir = g_dir_make_tmp("cst-nbd-XXXXXX", NULL);
    bench->path = g_build_filename(bench->dir, "socket", NULL);
    assert_true(cst_nbd_server_listen_unix(bench->server, bench->path, geteuid(), NULL));
    bench->task = cst_task_new();
    bench->thread = g_thread_new("server", run_server, bench);
    *state = bench;
    return 0;
}

/* Waits for the end of the server, which must have been asked to stop. */
static void await_end(Bench *bench)
{
    g_thread_join(g_steal_pointer(&bench->thread));
}

static int bench_end(void **state)
{
    Bench *bench = *state;

    cst_task_cancel(bench->task);
    recorder_let_all(bench->recorder);
    if (bench->thread)
        await_end(bench);
    cst_nbd_server_free(bench->server);
    recorder_free(bench->recorder);
    cst_task_unref(bench->task);
    rmdir(bench->dir);
    g_free(bench->dir);
    g_free(bench->path);
    g_free(bench);
    return 0;
}

/* Connects and reads the greeting; does not negotiate. */
static int connect_client(const Bench *bench)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint8_t greeting[18];

    g_strlcpy(address.sun_path, bench->path, sizeof(address.sun_path));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    nbd_client_init(fd);
    nbd_client_take(fd, greeting, sizeof(greeting));
    return fd;
}

static int open_client(const Bench *bench)
{
    int fd = connect_client(bench);
    uint8_t hello[20], answer[10], *at = nbd_put32(hello, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);

    nbd_put32(nbd_put32(nbd_put64(at, NBD_OPTION_MAGIC), NBD_OPT_EXPORT_NAME), 0);
    assert_int_equal(send(fd, hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
    nbd_client_take(fd, answer, sizeof(answer));
    assert_int_equal(nbd_get64(answer), RECORDER_SIZE);
    return fd;
}

/* Two clients whose flushes are held at the blob; the first one's is let go first. */
static void open_two_that_flush(Bench *bench, int fds[2])
{
    recorder_hold(bench->recorder);
    for (guint i = 0; i < 2; i++) {
        fds[i] = open_client(bench);
        nbd_client_ask(fds[i], NBD_CMD_FLUSH, 0, 7, 0, 0, NULL);
        recorder_await(bench->recorder, i + 1);
    }
}

static void stopping_server_answers_every_request_within_grace(void **state)
{
    Bench *bench = *state;
    int fds[2];

    open_two_that_flush(bench, fds);
    point_watch("nbd.clients.wait_grace");
    cst_task_cancel(bench->task);
    point_await("nbd.clients.wait_grace", 1);
    recorder_let(bench->recorder, 1);
    assert_int_equal(nbd_client_reply(fds[0], 0, NULL), 0);
    assert_true(nbd_client_is_over(fds[0]));
    point_await("nbd.clients.wait_grace", 2);
    recorder_let(bench->recorder, 1);
    assert_int_equal(nbd_client_reply(fds[1], 0, NULL), 0);
    assert_true(nbd_client_is_over(fds[1]));
    await_end(bench);
    points_clear();
    close(fds[0]);
    close(fds[1]);
}

/* After the time of grace the clients get no replies; their threads still end before the server. */
static void stopping_server_waits_for_every_client_after_grace(void **state)
{
    Bench *bench = *state;
    int fds[2];

    open_two_that_flush(bench, fds);
    g_atomic_int_set(&grace_is_over, TRUE);
    point_watch("nbd.clients.wait");
    cst_task_cancel(bench->task);
    point_await("nbd.clients.wait", 1);
    assert_true(nbd_client_is_over(fds[0]));
    assert_true(nbd_client_is_over(fds[1]));
    recorder_let(bench->recorder, 1);
    point_await("nbd.clients.wait", 2);
    recorder_let(bench->recorder, 1);
    await_end(bench);
    points_clear();
    close(fds[0]);
    close(fds[1]);
}

/* The reply does not fit into the socket, so its thread waits for the client. */
static void client_that_reads_nothing_does_not_hold_the_server(void **state)
{
    Bench *bench = *state;
    int fd = open_client(bench);
    uint8_t head[16];

    nbd_client_ask(fd, NBD_CMD_READ, 0, 7, 0, 32u << 20, NULL);
    nbd_client_take(fd, head, sizeof(head));
    g_atomic_int_set(&grace_is_over, TRUE);
    cst_task_cancel(bench->task);
    await_end(bench);
    close(fd);
}

static void client_that_does_not_negotiate_in_time_is_dropped(void **state)
{
    Bench *bench = *state;
    int open = open_client(bench), silent;

    nbd_client_ask(open, NBD_CMD_FLUSH, 0, 7, 0, 0, NULL);
    assert_int_equal(nbd_client_reply(open, 0, NULL), 0);
    silent = connect_client(bench);
    g_atomic_int_set(&seconds_passed, 3600);
    assert_true(nbd_client_is_over(silent));
    /* The same round has looked at the client that has negotiated. */
    nbd_client_ask(open, NBD_CMD_FLUSH, 0, 7, 0, 0, NULL);
    assert_int_equal(nbd_client_reply(open, 0, NULL), 0);
    close(open);
    close(silent);
}

static void await_clients(const Bench *bench, guint count)
{
    AWAIT_STATE(cst_nbd_server_clients(bench->server) == count, "%u clients instead of %u",
                cst_nbd_server_clients(bench->server), count);
}

static void client_over_the_limit_is_refused_until_one_leaves(void **state)
{
    enum { MOST = 64 };
    Bench *bench = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fds[MOST], refused = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    for (int i = 0; i < MOST; i++)
        fds[i] = connect_client(bench);
    g_strlcpy(address.sun_path, bench->path, sizeof(address.sun_path));
    assert_int_equal(connect(refused, (struct sockaddr *)&address, sizeof(address)), 0);
    nbd_client_init(refused);
    assert_true(nbd_client_is_over(refused));
    close(refused);
    close(fds[0]);
    await_clients(bench, MOST - 1);
    fds[0] = connect_client(bench);
    for (int i = 0; i < MOST; i++)
        close(fds[i]);
}

/* Until the client is out of the list, whose sockets a stopping server shuts down. */
static void listed_client_has_an_open_socket(void **state)
{
    Bench *bench = *state;
    int fd = open_client(bench);

    point_hold("nbd.client.ended");
    nbd_client_ask(fd, NBD_CMD_DISC, 0, 0, 0, 0, NULL);
    point_await("nbd.client.ended", 1);
    assert_int_equal(cst_nbd_server_clients(bench->server), 1);
    assert_false(nbd_client_has_bytes(fd));
    point_watch("nbd.clients.wait_grace");
    cst_task_cancel(bench->task);
    point_await("nbd.clients.wait_grace", 1);
    point_release("nbd.client.ended");
    await_end(bench);
    assert_true(nbd_client_is_over(fd));
    points_clear();
    close(fd);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(stopping_server_answers_every_request_within_grace),
        BENCH_TEST(stopping_server_waits_for_every_client_after_grace),
        BENCH_TEST(client_that_reads_nothing_does_not_hold_the_server),
        BENCH_TEST(client_that_does_not_negotiate_in_time_is_dropped),
        BENCH_TEST(client_over_the_limit_is_refused_until_one_leaves),
        BENCH_TEST(listed_client_has_an_open_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
