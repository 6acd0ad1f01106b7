/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients of a server that stops: each request under way is answered within the time of grace, and
 * the server ends after its last client. The test decides when times are over: the calls of the
 * server's thread that wait until a time, and the clock, are replaced.
 */
#include "points.h"

#include "await.h"
#include "logged.h"
#include "recorder.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error.h>
#include <base/log.h>
#include <nbd/server.h>

#include "admission.h"

gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);
gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);
gint64 __wrap_g_get_monotonic_time(void);
gint64 __real_g_get_monotonic_time(void);

static __thread gboolean is_server_thread;
static gint grace_is_over;  /* atomic */
static gint clock_stands;   /* atomic; for the server's thread */
static gint seconds_passed; /* atomic; added to the clock's time */

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
    if (is_server_thread && g_atomic_int_get(&clock_stands))
        return G_TIME_SPAN_HOUR;
    return __real_g_get_monotonic_time() + g_atomic_int_get(&seconds_passed) * G_TIME_SPAN_SECOND;
}

static GMutex log_lock; /* guards @logged */

/* As keep_message(), from any thread. */
static GLogWriterOutput keep_locked(GLogLevelFlags level, const GLogField *fields, gsize count,
                                    gpointer unused)
{
    g_mutex_lock(&log_lock);
    keep_message(level, fields, count, NULL);
    g_mutex_unlock(&log_lock);
    return G_LOG_WRITER_HANDLED;
}

static guint log_lines(void)
{
    guint lines = 0;

    g_mutex_lock(&log_lock);
    for (const char *at = logged->str; (at = strchr(at, '\n')); at++)
        lines++;
    g_mutex_unlock(&log_lock);
    return lines;
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
    g_atomic_int_set(&clock_stands, FALSE);
    g_atomic_int_set(&seconds_passed, 0);
    g_mutex_lock(&log_lock);
    g_string_truncate(logged, 0);
    g_mutex_unlock(&log_lock);
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

/*
 * Opens two clients whose flushes are held at the blob. The flush of the first one is released
 * first.
 */
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
static void client_that_does_not_read_does_not_delay_the_end_of_the_server(void **state)
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
    /* The same round has checked the client that has negotiated. */
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
    enum { MOST = NBD_PROVEN_MAX };
    Bench *bench = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fds[MOST], refused = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    for (int i = 0; i < MOST; i++) {
        fds[i] = open_client(bench);
        nbd_client_ask(fds[i], NBD_CMD_FLUSH, 0, 7, 0, 0, NULL);
        assert_int_equal(nbd_client_reply(fds[i], 0, NULL), 0);
    }
    g_strlcpy(address.sun_path, bench->path, sizeof(address.sun_path));
    assert_int_equal(connect(refused, (struct sockaddr *)&address, sizeof(address)), 0);
    nbd_client_init(refused);
    assert_true(nbd_client_is_over(refused));
    close(refused);
    close(fds[0]);
    await_clients(bench, MOST - 1);
    fds[0] = open_client(bench);
    for (int i = 0; i < MOST; i++)
        close(fds[i]);
}

static void oldest_unproven_client_is_replaced_by_a_new_one(void **state)
{
    enum { MOST = NBD_UNPROVEN_MAX };
    Bench *bench = *state;
    int open = open_client(bench), fds[MOST + 1];

    nbd_client_ask(open, NBD_CMD_FLUSH, 0, 7, 0, 0, NULL);
    assert_int_equal(nbd_client_reply(open, 0, NULL), 0);
    for (int i = 0; i <= MOST; i++)
        fds[i] = connect_client(bench);
    assert_true(nbd_client_is_over(fds[0]));
    for (int i = 1; i <= MOST; i++)
        assert_false(nbd_client_has_bytes(fds[i]));
    nbd_client_ask(open, NBD_CMD_FLUSH, 0, 7, 0, 0, NULL);
    assert_int_equal(nbd_client_reply(open, 0, NULL), 0);
    close(open);
    for (int i = 0; i <= MOST; i++)
        close(fds[i]);
}

static NbdHost host_of(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return nbd_host_of((struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return nbd_host_of((struct sockaddr *)&v6);
}

static gboolean is_one_host(const char *a, const char *b)
{
    NbdHost one = host_of(a), two = host_of(b);

    return one.local == two.local && memcmp(one.bytes, two.bytes, sizeof(one.bytes)) == 0;
}

static void hosts_are_identified_by_address_and_network(void **state)
{
    assert_true(is_one_host("192.0.2.1", "192.0.2.1"));
    assert_false(is_one_host("192.0.2.1", "192.0.2.2"));
    assert_true(is_one_host("192.0.2.1", "::ffff:192.0.2.1"));
    assert_false(is_one_host("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
    assert_true(is_one_host("2001:db8::1", "2001:db8::ffff:0:0:2"));
    assert_false(is_one_host("2001:db8::1", "2001:db8:0:1::1"));
    assert_false(host_of("127.0.0.1").local);
}

static void add_guests(GPtrArray *guests, guint count, const char *host, gboolean proven)
{
    for (guint i = 0; i < count; i++) {
        NbdGuest *guest = g_new0(NbdGuest, 1);

        guest->host = host_of(host);
        guest->proven = proven;
        g_ptr_array_add(guests, guest);
    }
}

static void unproven_guest_of_the_most_numerous_host_is_replaced(void **state)
{
    g_autoptr(GPtrArray) guests = g_ptr_array_new_with_free_func(g_free);
    NbdHost few = host_of("192.0.2.1"), many = host_of("192.0.2.2"), third = host_of("192.0.2.4");
    NbdGuest *replaced = NULL;

    add_guests(guests, 1, "192.0.2.1", FALSE);
    add_guests(guests, NBD_UNPROVEN_PER_HOST, "192.0.2.2", FALSE);
    assert_true(nbd_admit_unproven(guests, &few, &replaced));
    assert_null(replaced);
    assert_true(nbd_admit_unproven(guests, &many, &replaced));
    assert_ptr_equal(replaced, guests->pdata[1]);
    add_guests(guests, NBD_UNPROVEN_MAX - guests->len, "192.0.2.3", FALSE);
    assert_true(nbd_admit_unproven(guests, &third, &replaced));
    assert_ptr_equal(replaced, guests->pdata[1]);
    /* A replaced guest keeps no place. */
    replaced->replaced = TRUE;
    assert_true(nbd_admit_unproven(guests, &third, &replaced));
    assert_null(replaced);
    add_guests(guests, NBD_CONNECTIONS_MAX - guests->len, "192.0.2.4", FALSE);
    assert_false(nbd_admit_unproven(guests, &few, &replaced));
}

static void proven_guests_of_one_host_leave_places_for_another_host(void **state)
{
    g_autoptr(GPtrArray) guests = g_ptr_array_new_with_free_func(g_free);
    NbdHost many = host_of("192.0.2.1"), few = host_of("192.0.2.2");
    NbdGuest *replaced;

    add_guests(guests, NBD_PROVEN_PER_HOST, "192.0.2.1", TRUE);
    assert_false(nbd_admit_proven(guests, &many));
    assert_false(nbd_admit_unproven(guests, &many, &replaced));
    assert_true(nbd_admit_proven(guests, &few));
    assert_true(nbd_admit_unproven(guests, &few, &replaced));
    add_guests(guests, NBD_PROVEN_MAX - NBD_PROVEN_PER_HOST, "192.0.2.3", TRUE);
    assert_false(nbd_admit_proven(guests, &few));
}

static void failed_connections_make_one_line_a_second(void **state)
{
    enum { MOST = NBD_UNPROVEN_MAX, REPLACED = 5 };
    Bench *bench = *state;
    int fds[MOST + 1 + REPLACED];

    /*
     * The server's clock is stopped: it logs the first line, and a count of the rest when it ends.
     */
    g_atomic_int_set(&clock_stands, TRUE);
    for (int i = 0; i <= MOST; i++)
        fds[i] = connect_client(bench);
    AWAIT_STATE(log_lines() == 1, "%u lines", log_lines());
    for (int i = MOST + 1; i < MOST + 1 + REPLACED; i++)
        fds[i] = connect_client(bench);
    assert_true(nbd_client_is_over(fds[REPLACED]));
    cst_task_cancel(bench->task);
    await_end(bench);
    assert_int_equal(log_lines(), 2);
    assert_non_null(strstr(logged->str, "'disk': 1 connections are refused"));
    assert_non_null(strstr(logged->str, "'disk': 5 connections are refused"));
    for (int i = 0; i < MOST + 1 + REPLACED; i++)
        close(fds[i]);
}

/*
 * Until the client is removed from the list. A stopping server shuts down the sockets of that list.
 */
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
        BENCH_TEST(client_that_does_not_read_does_not_delay_the_end_of_the_server),
        BENCH_TEST(client_that_does_not_negotiate_in_time_is_dropped),
        BENCH_TEST(client_over_the_limit_is_refused_until_one_leaves),
        BENCH_TEST(oldest_unproven_client_is_replaced_by_a_new_one),
        cmocka_unit_test(hosts_are_identified_by_address_and_network),
        cmocka_unit_test(unproven_guest_of_the_most_numerous_host_is_replaced),
        cmocka_unit_test(proven_guests_of_one_host_leave_places_for_another_host),
        BENCH_TEST(failed_connections_make_one_line_a_second),
        BENCH_TEST(listed_client_has_an_open_socket),
    };

    logged = g_string_new(NULL);
    g_log_set_writer_func(keep_locked, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
