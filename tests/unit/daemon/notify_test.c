/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <notify.h>

/* A receiver of datagrams at @name; "@" at its beginning: the abstract name space. */
static int receiver(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(len <= sizeof(address.sun_path));
    memcpy(address.sun_path, name, len);
    if (*name == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    return fd;
}

static void assert_hears(int fd, const char *wanted)
{
    char text[32] = "";
    ssize_t got = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    assert_int_equal(got, wanted ? (ssize_t)strlen(wanted) : -1);
    if (wanted)
        assert_string_equal(text, wanted);
}

static void the_service_manager_hears_that_it_is_ready(void **state)
{
    const char *dir = *state;
    g_autofree char *path = g_build_filename(dir, "notify", NULL);
    g_autofree char *shortest = g_strdup("@c");
    g_autofree char *fill = g_strnfill(107, 'c');
    g_autofree char *longest = g_strconcat("@", fill, NULL);
    const char *const names[] = {path, shortest, longest};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        int fd = receiver(names[i]);

        g_setenv("NOTIFY_SOCKET", names[i], TRUE);
        daemon_notify("READY=1");
        g_unsetenv("NOTIFY_SOCKET");
        daemon_notify("nobody hears this");
        assert_hears(fd, "READY=1");
        assert_hears(fd, NULL);
        close(fd);
        unlink(names[i]);
    }
}

static void names_that_no_service_manager_gives_are_left_alone(void **state)
{
    const char *dir = *state;
    g_autofree char *fill = g_strnfill(108, 'c');
    g_autofree char *too_long = g_strconcat("@", fill, NULL);
    g_autofree char *before = g_get_current_dir();
    int relative, none;

    assert_int_equal(chdir(dir), 0);
    relative = receiver("notify");
    none = receiver("@");
    g_setenv("NOTIFY_SOCKET", "notify", TRUE);
    daemon_notify("READY=1");
    assert_hears(relative, NULL);
    g_setenv("NOTIFY_SOCKET", "@", TRUE);
    daemon_notify("READY=1");
    assert_hears(none, NULL);
    g_setenv("NOTIFY_SOCKET", "", TRUE);
    daemon_notify("READY=1");
    g_setenv("NOTIFY_SOCKET", too_long, TRUE);
    daemon_notify("READY=1");
    g_unsetenv("NOTIFY_SOCKET");
    assert_int_equal(chdir(before), 0);
    close(relative);
    close(none);
}

int main(void)
{
    g_autofree char *dir = g_dir_make_tmp("cst-notify-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "notify", NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_service_manager_hears_that_it_is_ready, dir),
        cmocka_unit_test_prestate(names_that_no_service_manager_gives_are_left_alone, dir),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    unlink(path);
    rmdir(dir);
    return failed;
}
