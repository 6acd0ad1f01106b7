/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error.h>
#include <sockets.h>

typedef struct {
    char *root;
    CstPaths *paths;
    DaemonConfig config;
} Place;

static int setup(void **state)
{
    Place *place = g_new0(Place, 1);

    place->root = g_dir_make_tmp("cst-sockets-XXXXXX", NULL);
    place->paths = cst_paths_new(place->root);
    place->config.mode = 0700;
    place->config.mode_ro = 0777;
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    Place *place = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", place->root);

    assert_int_equal(system(command), 0);
    cst_paths_free(place->paths);
    g_free(place->root);
    g_free(place);
    return 0;
}

static void finish(GPtrArray *sockets)
{
    for (guint i = 0; i < sockets->len; i++)
        close(((DaemonSocket *)g_ptr_array_index(sockets, i))->fd);
    g_ptr_array_unref(sockets);
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    return st.st_mode & 0777;
}

static gboolean answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    gboolean ok;

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    ok = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return ok;
}

static const DaemonSocket *nth(GPtrArray *sockets, guint i)
{
    assert_true(i < sockets->len);
    return g_ptr_array_index(sockets, i);
}

static int listener(const char *path, int type, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void make_run_dir(const Place *place)
{
    assert_int_equal(g_mkdir_with_parents(place->paths->run_dir, 0755), 0);
}

static void assert_not_opened(const Place *place, int class, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_null(daemon_sockets_open(place->paths, &place->config, &error));
    assert_int_equal(error->code, class);
    assert_non_null(strstr(error->message, words));
}

static void both_sockets_have_their_modes_at_any_umask(void **state)
{
    Place *place = *state;
    mode_t before = umask(0777);
    g_autoptr(GError) error = NULL;
    GPtrArray *sockets;

    umask(022);
    assert_int_equal(g_mkdir_with_parents(place->paths->run_dir, 0755), 0);
    umask(0777);
    sockets = daemon_sockets_open(place->paths, &place->config, &error);
    assert_int_equal(umask(before), 0777); /* as it was */
    assert_non_null(sockets);
    assert_int_equal(sockets->len, 2);
    for (guint i = 0; i < 2; i++) {
        assert_int_equal(nth(sockets, i)->read_only, i);
        assert_false(nth(sockets, i)->secrets);
        assert_true(fcntl(nth(sockets, i)->fd, F_GETFL) & O_NONBLOCK);
    }
    assert_int_equal(daemon_sockets_secrets(sockets), DAEMON_SECRETS_OURS);
    assert_int_equal(mode_of(place->paths->socket), 0700);
    assert_int_equal(mode_of(place->paths->socket_ro), 0777);
    assert_true(answers(place->paths->socket));
    assert_true(answers(place->paths->socket_ro));
    daemon_sockets_remove(sockets);
    assert_int_equal(access(place->paths->socket, F_OK), -1);
    assert_int_equal(access(place->paths->socket_ro, F_OK), -1);
    finish(sockets);
}

static void leftover_socket_is_replaced(void **state)
{
    Place *place = *state;
    GPtrArray *sockets = daemon_sockets_open(place->paths, &place->config, NULL);

    assert_non_null(sockets);
    finish(sockets); /* as after a crash: the names stay */
    assert_false(answers(place->paths->socket));
    sockets = daemon_sockets_open(place->paths, &place->config, NULL);
    assert_non_null(sockets);
    assert_true(answers(place->paths->socket));
    finish(sockets);
}

static void socket_with_an_answering_server_is_not_replaced(void **state)
{
    Place *place = *state;
    GPtrArray *sockets = daemon_sockets_open(place->paths, &place->config, NULL);
    g_autoptr(GError) error = NULL;

    assert_null(daemon_sockets_open(place->paths, &place->config, &error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
    assert_non_null(strstr(error->message, place->paths->socket));
    assert_true(answers(place->paths->socket));
    finish(sockets);
}

static void socket_with_a_busy_server_is_not_replaced(void **state)
{
    Place *place = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int busy, clients[2];

    make_run_dir(place);
    busy = listener(place->paths->socket, SOCK_STREAM, 0);
    g_strlcpy(address.sun_path, place->paths->socket, sizeof(address.sun_path));
    for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(clients[i], (struct sockaddr *)&address, sizeof(address)) < 0)
            assert_int_equal(errno, EAGAIN);
    }
    assert_not_opened(place, CST_ERROR_BUSY, place->paths->socket);
    for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
        close(clients[i]);
    close(busy);
}

static void where_one_of_two_cannot_be_served_neither_is(void **state)
{
    Place *place = *state;
    int other;

    make_run_dir(place);
    other = listener(place->paths->socket_ro, SOCK_STREAM, 8);
    assert_not_opened(place, CST_ERROR_BUSY, place->paths->socket_ro);
    assert_int_equal(access(place->paths->socket, F_OK), -1);
    assert_true(answers(place->paths->socket_ro));
    close(other);
}

static void path_that_is_not_a_daemon_socket_is_reported(void **state)
{
    Place *place = *state;
    g_autofree char *fresh = g_strconcat(place->paths->socket, ".new", NULL);
    GPtrArray *sockets;
    int other;

    make_run_dir(place);
    other = listener(place->paths->socket, SOCK_DGRAM, 0);
    assert_not_opened(place, CST_ERROR_IO, "cannot determine the owner of '");
    close(other);
    unlink(place->paths->socket);
    assert_int_equal(mkdir(place->paths->socket, 0755), 0);
    assert_not_opened(place, CST_ERROR_IO, "cannot name the socket '");
    rmdir(place->paths->socket);
    unlink(fresh);
    assert_int_equal(mkdir(fresh, 0755), 0);
    assert_not_opened(place, CST_ERROR_IO, "cannot listen at '");
    rmdir(fresh);
    /* A file that a crash has left between the two names is replaced. */
    assert_true(g_file_set_contents(fresh, "", 0, NULL));
    sockets = daemon_sockets_open(place->paths, &place->config, NULL);
    assert_non_null(sockets);
    assert_int_equal(access(fresh, F_OK), -1);
    finish(sockets);
}

static void the_group_gets_the_socket_for_writing_only(void **state)
{
    Place *place = *state;
    const gid_t group = geteuid() == 0 ? 1 : getegid();
    struct stat st, st_ro;
    GPtrArray *sockets;

    place->config.has_group = TRUE;
    place->config.group = group;
    sockets = daemon_sockets_open(place->paths, &place->config, NULL);
    assert_non_null(sockets);
    assert_int_equal(stat(place->paths->socket, &st), 0);
    assert_int_equal(stat(place->paths->socket_ro, &st_ro), 0);
    assert_int_equal(st.st_gid, group);
    assert_int_equal(st_ro.st_gid, getegid());
    finish(sockets);
}

static void the_directory_of_a_session_is_its_users_alone(void **state)
{
    static const mode_t modes[] = {0755, 0700};
    Place *place = *state;

    g_clear_pointer(&place->paths->socket_ro, g_free);
    for (guint session = 0; session < 2; session++) {
        GPtrArray *sockets;
        struct stat st;

        place->paths->session = session;
        sockets = daemon_sockets_open(place->paths, &place->config, NULL);
        assert_non_null(sockets);
        assert_int_equal(sockets->len, 1);
        assert_int_equal(stat(place->paths->run_dir, &st), 0);
        assert_int_equal(st.st_mode & 0777, modes[session]);
        daemon_sockets_remove(sockets);
        finish(sockets);
        assert_int_equal(rmdir(place->paths->run_dir), 0);
    }
}

/* The name that a socket has first is longer by ".new". */
static void root_too_long_for_a_socket_is_reported(void **state)
{
    Place *place = *state;
    const size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1 - strlen(".new");

    make_run_dir(place);
    for (size_t len = longest; len <= 2 * longest; len += len == longest ? 1 : longest - 1) {
        g_autofree char *fill = g_strnfill(len - strlen(place->paths->run_dir) - 1, 'd');

        g_free(place->paths->socket);
        place->paths->socket = g_build_filename(place->paths->run_dir, fill, NULL);
        assert_int_equal(strlen(place->paths->socket), len);
        if (len == longest) {
            GPtrArray *sockets = daemon_sockets_open(place->paths, &place->config, NULL);

            assert_non_null(sockets);
            daemon_sockets_remove(sockets);
            finish(sockets);
        } else {
            assert_not_opened(place, CST_ERROR_CONFIG, "(at most 107 bytes)");
        }
    }
}

/* --- sockets of secrets ---------------------------------------------------------------------- */

static void the_sockets_of_secrets_are_added(void **state)
{
    Place *place = *state;
    GPtrArray *sockets = daemon_sockets_open(place->paths, &place->config, NULL);

    assert_non_null(sockets);
    assert_true(daemon_sockets_add_secrets(place->paths, &place->config, sockets, NULL));
    assert_int_equal(sockets->len, 4);
    for (guint i = 0; i < 4; i++) {
        assert_int_equal(nth(sockets, i)->secrets, i >= 2);
        assert_int_equal(nth(sockets, i)->read_only, i % 2);
    }
    assert_int_equal(mode_of(place->paths->secret_socket), 0700);
    assert_int_equal(mode_of(place->paths->secret_socket_ro), 0777);
    assert_true(answers(place->paths->secret_socket));
    assert_true(answers(place->paths->secret_socket_ro));
    daemon_sockets_remove(sockets);
    assert_int_equal(access(place->paths->secret_socket, F_OK), -1);
    assert_int_equal(access(place->paths->secret_socket_ro, F_OK), -1);
    finish(sockets);
}

static void where_another_serves_secrets_the_rest_stays_as_it_is(void **state)
{
    Place *place = *state;
    GPtrArray *sockets = daemon_sockets_open(place->paths, &place->config, NULL);
    const char *const names[] = {place->paths->secret_socket, place->paths->secret_socket_ro};

    assert_non_null(sockets);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        int other = listener(names[i], SOCK_STREAM, 8);
        g_autoptr(GError) error = NULL;

        assert_false(daemon_sockets_add_secrets(place->paths, &place->config, sockets, &error));
        assert_int_equal(error->code, CST_ERROR_BUSY);
        assert_non_null(strstr(error->message, names[i]));
        assert_int_equal(sockets->len, 2);
        assert_true(answers(names[i]));
        assert_int_equal(access(names[1 - i], F_OK), -1);
        assert_true(answers(place->paths->socket));
        assert_true(answers(place->paths->socket_ro));
        close(other);
        unlink(names[i]);
    }
    finish(sockets);
}

/* --- sockets of the service manager ---------------------------------------------------------- */

#define FIRST 3 /* the tests have no open descriptor from this number on */

static void set_listen(const char *pid, const char *fds)
{
    g_autofree char *own = g_strdup_printf("%d", (int)getpid());

    g_setenv("LISTEN_PID", pid ? pid : own, TRUE);
    g_setenv("LISTEN_FDS", fds, TRUE);
    g_setenv("LISTEN_FDNAMES", "a:b", TRUE);
}

/* Moves @fd to @place, where the service manager would put it. */
static void pass(int fd, int place)
{
    if (fd == place)
        return;
    assert_int_equal(dup2(fd, place), place);
    close(fd);
}

static void pass_listener(const Place *place, const char *name, int at)
{
    g_autofree char *path = g_build_filename(place->root, name, NULL);

    pass(listener(path, SOCK_STREAM, 8), at);
    unlink(path);
}

static void passed_sockets_are_known_by_their_names(void **state)
{
    static const struct {
        const char *name;
        gboolean read_only, secrets;
    } rows[] = {{"virtstoraged-sock", FALSE, FALSE},
                {"virtstoraged-sock-ro", TRUE, FALSE},
                {"virtsecretd-sock", FALSE, TRUE},
                {"virtsecretd-sock-ro", TRUE, TRUE},
                {"cistern", FALSE, FALSE}};
    Place *place = *state;
    g_autoptr(GError) error = NULL;
    GPtrArray *sockets;

    for (int i = 0; i < (int)G_N_ELEMENTS(rows); i++)
        pass_listener(place, rows[i].name, FIRST + i);
    set_listen(NULL, "5");
    sockets = daemon_sockets_open(place->paths, &place->config, &error);
    assert_non_null(sockets);
    assert_int_equal(sockets->len, G_N_ELEMENTS(rows));
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const DaemonSocket *s = nth(sockets, i);

        assert_int_equal(s->fd, FIRST + i);
        assert_int_equal(s->read_only, rows[i].read_only);
        assert_int_equal(s->secrets, rows[i].secrets);
        assert_null(s->path);
        assert_int_equal(fcntl(s->fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(fcntl(s->fd, F_GETFL), O_RDWR | O_NONBLOCK);
    }
    assert_int_equal(daemon_sockets_secrets(sockets), DAEMON_SECRETS_PASSED);
    /* Children must not use the passed sockets, and no socket of our own is created. */
    assert_null(g_getenv("LISTEN_PID"));
    assert_null(g_getenv("LISTEN_FDS"));
    assert_null(g_getenv("LISTEN_FDNAMES"));
    assert_int_equal(access(place->paths->run_dir, F_OK), -1);
    daemon_sockets_remove(sockets);
    finish(sockets);
}

static void passed_sockets_without_the_secrets_socket_leave_the_secrets(void **state)
{
    Place *place = *state;
    GPtrArray *sockets;

    pass_listener(place, "virtstoraged-sock", FIRST);
    set_listen(NULL, "1");
    sockets = daemon_sockets_open(place->paths, &place->config, NULL);
    assert_non_null(sockets);
    assert_int_equal(sockets->len, 1);
    assert_int_equal(daemon_sockets_secrets(sockets), DAEMON_SECRETS_LEFT);
    finish(sockets);
}

static void passed_descriptor_must_be_a_listening_unix_socket(void **state)
{
    static const struct {
        int domain, type;
        gboolean listens;
    } rows[] = {{AF_UNIX, SOCK_STREAM, FALSE},
                {AF_UNIX, SOCK_DGRAM, FALSE},
                {AF_INET, SOCK_STREAM, TRUE},
                {AF_INET, SOCK_STREAM, FALSE},
                {0, 0, FALSE} /* a file */};
    Place *place = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int fd = rows[i].domain ? socket(rows[i].domain, rows[i].type | SOCK_CLOEXEC, 0)
                                : open("/dev/null", O_RDONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        if (rows[i].listens)
            assert_int_equal(listen(fd, 1), 0);
        pass(fd, FIRST + 1);
        pass_listener(place, "virtstoraged-sock", FIRST);
        set_listen(NULL, "2");
        assert_not_opened(place, CST_ERROR_CONFIG, "descriptor 4 passed by the service manager");
        assert_int_equal(fcntl(FIRST, F_GETFD), -1); /* the valid one is closed */
        close(FIRST + 1);
    }
}

static void at_most_sixteen_passed_sockets_are_used(void **state)
{
    static const struct {
        const char *fds;
        guint taken;
    } rows[] = {{"15", 15}, {"16", 16}, {"17", 16}, {"1000000000000", 16}};
    Place *place = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        GPtrArray *sockets;

        for (int at = 0; at < 17; at++)
            pass_listener(place, "virtstoraged-sock", FIRST + at);
        set_listen(NULL, rows[i].fds);
        sockets = daemon_sockets_open(place->paths, &place->config, NULL);
        assert_non_null(sockets);
        assert_int_equal(sockets->len, rows[i].taken);
        finish(sockets);
        for (int at = (int)rows[i].taken; at < 17; at++)
            close(FIRST + at);
    }
}

static void descriptors_passed_to_another_process_are_ignored(void **state)
{
    static const struct {
        const char *pid, *fds;
    } rows[] = {{"1", "2"}, {NULL, "0"}, {NULL, "-1"}, {NULL, "two"}, {"", "1"}};
    Place *place = *state;

    for (size_t i = 0; i <= G_N_ELEMENTS(rows); i++) {
        GPtrArray *sockets;

        if (i < G_N_ELEMENTS(rows))
            set_listen(rows[i].pid, rows[i].fds);
        else
            g_setenv("LISTEN_FDS", "1", TRUE); /* without a process at all */
        sockets = daemon_sockets_open(place->paths, &place->config, NULL);
        assert_non_null(sockets);
        assert_string_equal(nth(sockets, 0)->path, place->paths->socket);
        assert_null(g_getenv("LISTEN_FDS"));
        finish(sockets);
    }
}

int main(void)
{
#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PLACE_TEST(both_sockets_have_their_modes_at_any_umask),
        PLACE_TEST(leftover_socket_is_replaced),
        PLACE_TEST(socket_with_an_answering_server_is_not_replaced),
        PLACE_TEST(socket_with_a_busy_server_is_not_replaced),
        PLACE_TEST(where_one_of_two_cannot_be_served_neither_is),
        PLACE_TEST(path_that_is_not_a_daemon_socket_is_reported),
        PLACE_TEST(the_group_gets_the_socket_for_writing_only),
        PLACE_TEST(the_directory_of_a_session_is_its_users_alone),
        PLACE_TEST(root_too_long_for_a_socket_is_reported),
        PLACE_TEST(the_sockets_of_secrets_are_added),
        PLACE_TEST(where_another_serves_secrets_the_rest_stays_as_it_is),
        PLACE_TEST(passed_sockets_are_known_by_their_names),
        PLACE_TEST(passed_sockets_without_the_secrets_socket_leave_the_secrets),
        PLACE_TEST(passed_descriptor_must_be_a_listening_unix_socket),
        PLACE_TEST(at_most_sixteen_passed_sockets_are_used),
        PLACE_TEST(descriptors_passed_to_another_process_are_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
