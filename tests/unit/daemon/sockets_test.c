/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <notify.h>
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
    g_autofree char *run = g_path_get_dirname(place->paths->run_dir);

    unlink(place->paths->socket);
    unlink(place->paths->socket_ro);
    rmdir(place->paths->run_dir);
    rmdir(run);
    rmdir(place->root);
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

static void both_sockets_listen_with_their_modes_whatever_the_umask(void **state)
{
    Place *place = *state;
    mode_t before = umask(0777);
    g_autoptr(GError) error = NULL;
    GPtrArray *sockets;

    umask(022);
    assert_int_equal(g_mkdir_with_parents(place->paths->run_dir, 0755), 0);
    umask(0777);
    sockets = daemon_sockets_open(place->paths, &place->config, &error);
    umask(before);
    assert_non_null(sockets);
    assert_int_equal(sockets->len, 2);
    assert_int_equal(mode_of(place->paths->socket), 0700);
    assert_int_equal(mode_of(place->paths->socket_ro), 0777);
    assert_true(answers(place->paths->socket));
    assert_true(answers(place->paths->socket_ro));
    daemon_sockets_remove(sockets);
    assert_int_equal(access(place->paths->socket, F_OK), -1);
    assert_int_equal(access(place->paths->socket_ro, F_OK), -1);
    finish(sockets);
}

static void a_left_over_name_is_taken(void **state)
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

static void a_name_where_somebody_answers_is_not_taken(void **state)
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

static void a_root_too_long_for_a_socket_is_told(void **state)
{
    Place *place = *state;
    g_autofree char *deep = g_strnfill(120, 'd');
    g_autoptr(GError) error = NULL;

    assert_int_equal(g_mkdir_with_parents(place->paths->run_dir, 0755), 0);
    g_free(place->paths->socket);
    place->paths->socket = g_build_filename(place->paths->run_dir, deep, NULL);
    assert_null(daemon_sockets_open(place->paths, &place->config, &error));
    assert_int_equal(error->code, CST_ERROR_CONFIG);
}

static void passed_descriptors_of_somebody_else_are_not_ours(void **state)
{
    Place *place = *state;
    GPtrArray *sockets;

    g_setenv("LISTEN_PID", "1", TRUE);
    g_setenv("LISTEN_FDS", "2", TRUE);
    sockets = daemon_sockets_open(place->paths, &place->config, NULL);
    assert_non_null(sockets);
    assert_non_null(((DaemonSocket *)g_ptr_array_index(sockets, 0))->path);
    assert_null(g_getenv("LISTEN_FDS"));
    finish(sockets);
}

static void the_service_manager_hears_that_it_is_ready(void **state)
{
    Place *place = *state;
    g_autofree char *path = g_build_filename(place->root, "notify", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[32] = "";

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    daemon_notify("READY=1");
    g_unsetenv("NOTIFY_SOCKET");
    daemon_notify("nobody hears this");
    assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), 7);
    assert_string_equal(text, "READY=1");
    assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), -1);
    close(fd);
    unlink(path);
}

int main(void)
{
#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PLACE_TEST(both_sockets_listen_with_their_modes_whatever_the_umask),
        PLACE_TEST(a_left_over_name_is_taken),
        PLACE_TEST(a_name_where_somebody_answers_is_not_taken),
        PLACE_TEST(a_root_too_long_for_a_socket_is_told),
        PLACE_TEST(passed_descriptors_of_somebody_else_are_not_ours),
        PLACE_TEST(the_service_manager_hears_that_it_is_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
