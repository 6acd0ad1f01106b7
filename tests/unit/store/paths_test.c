/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <store/paths.h>

#define NOBODY 65534

/* All names of @paths in one text, so that two layouts can be compared. */
static char *describe(const CstPaths *paths)
{
    const char *const names[] = {
        paths->etc_dir,          paths->pool_dir,       paths->autostart_dir, paths->pool_run_dir,
        paths->secret_dir,       paths->secret_run_dir, paths->system_token,  paths->data_dir,
        paths->run_dir,          paths->socket,         paths->socket_ro,     paths->secret_socket,
        paths->secret_socket_ro,
    };
    GString *text = g_string_new(paths->session ? "session" : "system");

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        g_string_append_printf(text, " %s", names[i] ? names[i] : "-");
    return g_string_free(text, FALSE);
}

#define SYSTEM(root)                                                                       \
    "system " root "/etc " root "/etc/libvirt/storage " root                               \
    "/etc/libvirt/storage/autostart " root "/run/libvirt/storage " root                    \
    "/etc/libvirt/secrets " root "/run/libvirt/secrets " root                              \
    "/run/libvirt/common/system.token " root "/var/lib/cistern " root "/run/libvirt " root \
    "/run/libvirt/virtstoraged-sock " root "/run/libvirt/virtstoraged-sock-ro " root       \
    "/run/libvirt/virtsecretd-sock " root "/run/libvirt/virtsecretd-sock-ro"

static void a_root_is_made_absolute(void **state)
{
    g_autoptr(CstPaths) paths = cst_paths_new("r");
    g_autofree char *here = g_get_current_dir();
    g_autofree char *wanted = g_build_filename(here, "r", NULL);

    assert_string_equal(paths->root, wanted);
}

static void all_paths_are_below_the_root(void **state)
{
    g_autoptr(CstPaths) paths = cst_paths_new("/r/./s/..");
    g_autoptr(CstPaths) copy = cst_paths_copy(paths);
    g_autofree char *text = describe(paths);
    g_autofree char *copied = describe(copy);

    assert_string_equal(text, SYSTEM("/r"));
    assert_string_equal(copied, text);
    assert_string_equal(copy->root, "/r");
    cst_paths_free(NULL);
}

/* In a process of its own: GLib remembers the directories of the user. */
static int status_of_child(gboolean (*good)(void))
{
    pid_t pid;
    int status;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        exit(!good()); /* not _exit(), so that coverage is recorded */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static gboolean session_is_right(void)
{
    g_autoptr(CstPaths) paths = NULL;
    g_autoptr(CstPaths) copy = NULL;
    g_autofree char *text = NULL;

    if (geteuid() == 0 && setuid(NOBODY) < 0)
        return FALSE;
    setenv("XDG_CONFIG_HOME", "/c", 1);
    setenv("XDG_RUNTIME_DIR", "/t", 1);
    setenv("XDG_DATA_HOME", "/d", 1);
    paths = cst_paths_new(NULL);
    copy = cst_paths_copy(paths);
    text = describe(copy);
    return !copy->root &&
           g_str_equal(text, "session /etc /c/libvirt/storage /c/libvirt/storage/autostart "
                             "/t/libvirt/storage/run /c/libvirt/secrets /t/libvirt/secrets/run "
                             "/t/libvirt/common/system.token /d/cistern /t/libvirt "
                             "/t/libvirt/virtstoraged-sock - /t/libvirt/virtsecretd-sock -");
}

static void a_user_has_libvirts_session_layout(void **state)
{
    assert_int_equal(status_of_child(session_is_right), 0);
}

static gboolean system_is_right(void)
{
    g_autoptr(CstPaths) paths = cst_paths_new(NULL);
    g_autofree char *text = describe(paths);

    return !paths->root && g_str_equal(text, SYSTEM(""));
}

static void root_has_the_system_layout(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(status_of_child(system_is_right), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_paths_are_below_the_root),
        cmocka_unit_test(a_root_is_made_absolute),
        cmocka_unit_test(a_user_has_libvirts_session_layout),
        cmocka_unit_test(root_has_the_system_layout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
