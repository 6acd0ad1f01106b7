/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each step of opening the daemon's sockets fails in turn: afterwards no descriptor and no name is
 * left, and opening works when it is repeated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <sockets.h>

#include "../descriptors.h"

int __wrap_listen(int fd, int backlog);
int __real_listen(int fd, int backlog);
int __wrap_chmod(const char *path, mode_t mode);
int __real_chmod(const char *path, mode_t mode);
int __wrap_chown(const char *path, uid_t owner, gid_t group);
int __real_chown(const char *path, uid_t owner, gid_t group);
int __wrap_rename(const char *from, const char *to);
int __real_rename(const char *from, const char *to);

static const char *failing; /* call that fails; NULL: each one succeeds */
static int countdown;       /* so many of its calls succeed before */
static gboolean watching;   /* the access is compared when a socket gets its name */
static mode_t named_modes[4];
static guint named;

static gboolean fails(const char *name)
{
    if (g_strcmp0(failing, name) != 0 || countdown-- != 0)
        return FALSE;
    errno = EPERM;
    return TRUE;
}

int __wrap_listen(int fd, int backlog)
{
    return fails("listen") ? -1 : __real_listen(fd, backlog);
}

int __wrap_chmod(const char *path, mode_t mode)
{
    return fails("chmod") ? -1 : __real_chmod(path, mode);
}

int __wrap_chown(const char *path, uid_t owner, gid_t group)
{
    return fails("chown") ? -1 : __real_chown(path, owner, group);
}

int __wrap_rename(const char *from, const char *to)
{
    struct stat st;

    if (watching && stat(from, &st) == 0 && named < G_N_ELEMENTS(named_modes))
        named_modes[named++] = st.st_mode & 07777;
    return fails("rename") ? -1 : __real_rename(from, to);
}

typedef struct {
    char *root;
    CstPaths *paths;
    DaemonConfig config;
} Place;

static int setup(void **state)
{
    Place *place = g_new0(Place, 1);

    place->root = g_dir_make_tmp("cst-rollback-XXXXXX", NULL);
    place->paths = cst_paths_new(place->root);
    place->config.mode = 0770;
    place->config.mode_ro = 0777;
    place->config.has_group = TRUE;
    place->config.group = getegid();
    assert_true(cst_dir_ensure(place->paths->run_dir, 0755, NULL));
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    Place *place = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", place->root);

    failing = NULL;
    assert_int_equal(system(command), 0);
    cst_paths_free(place->paths);
    g_free(place->root);
    g_free(place);
    return 0;
}

static guint count_names(const Place *place)
{
    GDir *dir = g_dir_open(place->paths->run_dir, 0, NULL);
    guint count = 0;

    assert_non_null(dir);
    while (g_dir_read_name(dir))
        count++;
    g_dir_close(dir);
    return count;
}

static void finish(GPtrArray *sockets, guint first)
{
    for (guint i = first; i < sockets->len; i++) {
        const DaemonSocket *s = g_ptr_array_index(sockets, i);

        close(s->fd);
        unlink(s->path);
    }
    g_ptr_array_set_size(sockets, (gint)first);
}

static const struct {
    const char *call;
    int before;
} steps[] = {
    {"listen", 0}, {"chown", 0}, {"chmod", 0},  {"rename", 0},
    {"listen", 1}, {"chmod", 1}, {"rename", 1},
};

static void set_failing(size_t step)
{
    failing = steps[step].call;
    countdown = steps[step].before;
}

static void failed_step_leaves_no_socket(void **state)
{
    const Place *place = *state;
    guint names = count_names(place), descriptors = count_descriptors();

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autoptr(GError) error = NULL;
        GPtrArray *sockets;

        set_failing(i);
        assert_null(daemon_sockets_open(place->paths, &place->config, &error));
        assert_non_null(error);
        assert_non_null(strstr(error->message, g_strerror(EPERM)));
        assert_int_equal(count_names(place), names);
        assert_int_equal(count_descriptors(), descriptors);
        failing = NULL;
        sockets = daemon_sockets_open(place->paths, &place->config, NULL);
        assert_non_null(sockets);
        assert_int_equal(sockets->len, 2);
        finish(sockets, 0);
        g_ptr_array_unref(sockets);
    }
}

/* The sockets that are open already stay as they are. */
static void failed_step_leaves_the_other_sockets(void **state)
{
    const Place *place = *state;
    GPtrArray *sockets = daemon_sockets_open(place->paths, &place->config, NULL);
    guint names = count_names(place), descriptors = count_descriptors();

    assert_non_null(sockets);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autoptr(GError) error = NULL;

        set_failing(i);
        assert_false(daemon_sockets_add_secrets(place->paths, &place->config, sockets, &error));
        assert_non_null(error);
        assert_int_equal(sockets->len, 2);
        assert_int_equal(count_names(place), names);
        assert_int_equal(count_descriptors(), descriptors);
        assert_int_equal(access(place->paths->socket, F_OK), 0);
        failing = NULL;
        assert_true(daemon_sockets_add_secrets(place->paths, &place->config, sockets, NULL));
        assert_int_equal(sockets->len, 4);
        finish(sockets, 2);
    }
    finish(sockets, 0);
    g_ptr_array_unref(sockets);
}

static void socket_gets_its_name_after_its_mode(void **state)
{
    const Place *place = *state;
    mode_t mask = umask(0022), after;
    GPtrArray *sockets;

    watching = TRUE;
    named = 0;
    sockets = daemon_sockets_open(place->paths, &place->config, NULL);
    watching = FALSE;
    after = umask(mask);
    assert_non_null(sockets);
    assert_int_equal(after, 0022);
    assert_int_equal(named, 2);
    assert_int_equal(named_modes[0], 0770);
    assert_int_equal(named_modes[1], 0777);
    finish(sockets, 0);
    g_ptr_array_unref(sockets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(failed_step_leaves_no_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_step_leaves_the_other_sockets, setup, teardown),
        cmocka_unit_test_setup_teardown(socket_gets_its_name_after_its_mode, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
