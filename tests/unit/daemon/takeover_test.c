/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The exact output of --check-takeover. Each test creates one finding on its own root, and
 * compares the whole output.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/file.h>
#include <takeover.h>

#define NO_LOCK \
    "ok      no daemon manages the storage: 'ROOT/run/libvirt/storage/driver.pid' is not locked\n"
#define FREE     "ok      'ROOT/run/libvirt/virtstoraged-sock' is free\n"
#define FREE_RO  "ok      'ROOT/run/libvirt/virtstoraged-sock-ro' is free\n"
#define NO_UNITS "ok      no unit of libvirt's is enabled that would take the storage back\n"
#define NO_POOLS "ok      0 of 0 pool definitions in 'ROOT/etc/libvirt/storage' would be there\n"
#define CLEAR    "No obstacle was found.\n"

static DaemonConfig config; /* of the checked daemon */

static int setup(void **state)
{
    g_autofree char *root = g_dir_make_tmp("cst-takeover-XXXXXX", NULL);
    CstPaths *paths = cst_paths_new(root);

    config = (DaemonConfig){0};
    assert_true(cst_dir_ensure(paths->run_dir, 0755, NULL));
    *state = paths;
    return 0;
}

static int teardown(void **state)
{
    CstPaths *paths = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", paths->root);

    assert_int_equal(system(command), 0);
    cst_paths_free(paths);
    return 0;
}

/*
 * Returns the output, with the root of @paths replaced. *ret_clear is FALSE if a problem was found.
 */
static char *check(const CstPaths *paths, gboolean *ret_clear)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    g_auto(GStrv) parts = NULL;

    *ret_clear = daemon_check_takeover(paths, &config, out);
    fclose(out);
    parts = g_strsplit(text, paths->root, -1);
    free(text);
    return g_strjoinv("ROOT", parts);
}

static void assert_says(const CstPaths *paths, gboolean clear, const char *wanted)
{
    gboolean is_clear;
    g_autofree char *said = check(paths, &is_clear);

    assert_string_equal(said, wanted);
    assert_int_equal(is_clear, clear);
}

static void put(const CstPaths *paths, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(paths->root, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);

    assert_int_equal(g_mkdir_with_parents(dir, 0755), 0);
    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void remove_file(const CstPaths *paths, const char *name)
{
    g_autofree char *path = g_build_filename(paths->root, name, NULL);

    assert_int_equal(unlink(path), 0);
}

static void empty_root_has_no_problem(void **state)
{
    assert_says(*state, TRUE, NO_LOCK FREE FREE_RO NO_UNITS NO_POOLS CLEAR);
}

static void a_session_has_no_socket_for_reading_and_no_units(void **state)
{
    CstPaths *paths = *state;

    g_clear_pointer(&paths->socket_ro, g_free);
    paths->session = TRUE;
    assert_says(paths, TRUE, NO_LOCK FREE NO_POOLS CLEAR);
}

/* Locks as a manager does until its standard input ends. */
static pid_t start_manager(const char *dir, int *ret_end)
{
    g_autofree char *path = g_build_filename(dir, "driver.pid", NULL);
    struct flock request = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int ready[2], end[2];
    char byte;
    pid_t pid;

    assert_int_equal(g_mkdir_with_parents(dir, 0755), 0);
    assert_true(g_file_set_contents(path, "", -1, NULL));
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, "manager");
        close(end[1]);
        _exit(fcntl(open(path, O_RDWR | O_CLOEXEC), F_SETLK, &request) == 0 &&
                      write(ready[1], "", 1) == 1 && read(end[0], &byte, 1) == 0
                  ? 0
                  : 1);
    }
    close(end[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *ret_end = end[1];
    return pid;
}

static void holder_of_the_lock_is_a_problem(void **state)
{
    const CstPaths *paths = *state;
    int end, status;
    pid_t pid = start_manager(paths->pool_run_dir, &end);
    g_autofree char *wanted = g_strdup_printf(
        "problem process %d (manager) manages the storage (it holds "
        "'ROOT/run/libvirt/storage/driver.pid'); stop it\n" FREE FREE_RO NO_UNITS NO_POOLS
        "1 problems stand in the way.\n",
        (int)pid);

    assert_says(paths, FALSE, wanted);
    close(end);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_says(paths, TRUE, NO_LOCK FREE FREE_RO NO_UNITS NO_POOLS CLEAR);
}

static void holder_of_the_secrets_lock_is_reported_unless_serve_is_no(void **state)
{
    const CstPaths *paths = *state;
    int end, status;
    pid_t pid = start_manager(paths->secret_run_dir, &end);
    g_autofree char *wanted = g_strdup_printf(
        NO_LOCK FREE FREE_RO NO_UNITS NO_POOLS
        "note    process %d (manager) manages the secrets (it holds "
        "'ROOT/run/libvirt/secrets/driver.pid'), and cisternd would start without them\n" CLEAR,
        (int)pid);

    assert_says(paths, TRUE, wanted);
    config.leave_secrets = TRUE;
    assert_says(paths, TRUE, NO_LOCK FREE FREE_RO NO_UNITS NO_POOLS CLEAR);
    close(end);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    config.leave_secrets = FALSE;
    assert_says(paths, TRUE, NO_LOCK FREE FREE_RO NO_UNITS NO_POOLS CLEAR);
}

/* --- sockets --------------------------------------------------------------------------------- */

static int listen_at(const char *path, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void a_listener_at_a_socket_of_ours_is_a_problem(void **state)
{
    const CstPaths *paths = *state;
    const int pid = (int)getpid();
    int fd, fd_ro;
    g_autofree char *one = g_strdup_printf(
        NO_LOCK "problem process %d (listener) listens at 'ROOT/run/libvirt/virtstoraged-sock'; "
                "stop it\n" FREE_RO NO_UNITS NO_POOLS "1 problems stand in the way.\n",
        pid);
    g_autofree char *both = g_strdup_printf(
        NO_LOCK "problem process %d (listener) listens at 'ROOT/run/libvirt/virtstoraged-sock'; "
                "stop it\n"
                "problem process %d (listener) listens at 'ROOT/run/libvirt/virtstoraged-sock-ro'; "
                "stop it\n" NO_UNITS NO_POOLS "2 problems stand in the way.\n",
        pid, pid);

    prctl(PR_SET_NAME, "listener");
    fd = listen_at(paths->socket, 8);
    assert_says(paths, FALSE, one);
    fd_ro = listen_at(paths->socket_ro, 8);
    assert_says(paths, FALSE, both);
    close(fd);
    close(fd_ro);
}

/* More clients wait than the listener's queue holds. The kernel then names no process. */
static void a_listener_that_is_too_busy_to_answer_is_a_problem(void **state)
{
    const CstPaths *paths = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = listen_at(paths->socket, 0), clients[2];

    g_strlcpy(address.sun_path, paths->socket, sizeof(address.sun_path));
    for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(clients[i], (struct sockaddr *)&address, sizeof(address)) < 0)
            assert_int_equal(errno, EAGAIN);
    }
    assert_says(paths, FALSE,
                NO_LOCK
                "problem a program listens at 'ROOT/run/libvirt/virtstoraged-sock' and is too busy "
                "to answer; stop it\n" FREE_RO NO_UNITS NO_POOLS "1 problems stand in the way.\n");
    for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
        close(clients[i]);
    close(listener);
}

static void a_name_without_a_listener_is_left_over(void **state)
{
    const CstPaths *paths = *state;

    close(listen_at(paths->socket, 8));
    close(listen_at(paths->socket_ro, 8));
    assert_says(paths, TRUE,
                NO_LOCK "ok      'ROOT/run/libvirt/virtstoraged-sock' is stale, because no "
                        "program answers; a start would replace it\n"
                        "ok      'ROOT/run/libvirt/virtstoraged-sock-ro' is stale, because no "
                        "program answers; a start would replace it\n" NO_UNITS NO_POOLS CLEAR);
}

static void a_listener_at_libvirtds_socket_is_only_to_be_known(void **state)
{
    const CstPaths *paths = *state;
    g_autofree char *path = g_build_filename(paths->run_dir, "libvirt-sock", NULL);
    g_autofree char *wanted = g_strdup_printf(
        NO_LOCK FREE FREE_RO
        "note    process %d (listener) listens at 'ROOT/run/libvirt/libvirt-sock': clients of "
        "qemu:///system find no pools there once the storage is Cistern's; they find them at "
        "storage:///system\n" NO_UNITS NO_POOLS CLEAR,
        (int)getpid());
    int fd = listen_at(path, 8);

    prctl(PR_SET_NAME, "listener");
    assert_says(paths, TRUE, wanted);
    close(fd);
    assert_says(paths, TRUE, NO_LOCK FREE FREE_RO NO_UNITS NO_POOLS CLEAR); /* left over: no word */
}

/* Runs @play as process 1 of a new PID namespace, as systemd would be. */
static int as_first_process(void (*play)(const CstPaths *paths), const CstPaths *paths)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (unshare(geteuid() == 0 ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID) < 0)
            _exit(77);
        pid = fork();
        if (pid == 0) {
            play(paths);
            _exit(0);
        }
        waitpid(pid, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void listen_and_check(const CstPaths *paths)
{
    g_autofree char *libvirt = g_build_filename(paths->run_dir, "libvirt-sock", NULL);
    g_autofree char *report = g_build_filename(paths->root, "report", NULL);
    g_autofree char *said = NULL;
    gboolean is_clear;

    listen_at(paths->socket, 8);
    listen_at(libvirt, 8);
    said = check(paths, &is_clear);
    if (!is_clear || !g_file_set_contents(report, said, -1, NULL))
        _exit(1);
}

static void a_socket_of_systemds_may_be_meant_for_us(void **state)
{
    const CstPaths *paths = *state;
    g_autofree char *report = g_build_filename(paths->root, "report", NULL);
    g_autofree char *said = NULL;
    int status = as_first_process(listen_and_check, paths);

    if (status == 77)
        skip();
    assert_int_equal(status, 0);
    assert_true(g_file_get_contents(report, &said, NULL, NULL));
    assert_true(g_str_has_prefix(
        said, NO_LOCK "note    systemd listens at 'ROOT/run/libvirt/virtstoraged-sock': for "
                      "cisternd.socket, or stop virtstoraged's\n" FREE_RO "note    process 1 ("));
    assert_true(g_str_has_suffix(said, NO_UNITS NO_POOLS CLEAR));
}

/*
 * The longest valid name is checked. A name that is one byte longer must not match by its
 * beginning.
 */
static void a_name_too_long_for_a_socket_is_nobodys(void **state)
{
    CstPaths *paths = *state;
    const size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    g_autofree char *fill = g_strnfill(longest - strlen(paths->run_dir) - 1, 's');
    gboolean is_clear;
    int fd;

    g_free(paths->socket);
    paths->socket = g_build_filename(paths->run_dir, fill, NULL);
    assert_int_equal(strlen(paths->socket), longest);
    fd = listen_at(paths->socket, 8);
    g_free(check(paths, &is_clear));
    assert_false(is_clear);
    g_free(paths->socket);
    paths->socket = g_strconcat(paths->run_dir, "/", fill, "s", NULL);
    g_free(check(paths, &is_clear));
    assert_true(is_clear);
    close(fd);
}

/* --- units ----------------------------------------------------------------------------------- */

#define DRIVER        "usr/lib/any-triplet/libvirt/connection-driver/libvirt_driver_storage.so"
#define SECRET_DRIVER "usr/lib/any-triplet/libvirt/connection-driver/libvirt_driver_secret.so"

static void enable(const CstPaths *paths, const char *target, const char *unit)
{
    g_autofree char *dir = g_build_filename(paths->root, "etc/systemd/system", target, NULL);
    g_autofree char *link = g_build_filename(dir, unit, NULL);

    assert_int_equal(g_mkdir_with_parents(dir, 0755), 0);
    assert_int_equal(symlink("/nowhere", link), 0);
}

static void disable(const CstPaths *paths, const char *target, const char *unit)
{
    g_autofree char *name = g_build_filename("etc/systemd/system", target, unit, NULL);

    remove_file(paths, name);
}

static char *libvirtd_note(const char *unit)
{
    return g_strdup_printf(NO_LOCK FREE FREE_RO
                           "note    %s is enabled; libvirtd has no storage driver, so that is no "
                           "matter\n" NO_UNITS NO_POOLS CLEAR,
                           unit);
}

static char *libvirtd_problem(const char *unit)
{
    return g_strdup_printf(
        NO_LOCK FREE FREE_RO
        "problem %s is enabled: libvirtd would be started, for a client or at boot, and one of the "
        "two would not get the storage; systemctl disable --now %s, or take its storage driver "
        "away (see cisternd(8))\n" NO_POOLS "1 problems stand in the way.\n",
        unit, unit);
}

static char *virtstoraged_problem(const char *unit)
{
    return g_strdup_printf(NO_LOCK FREE FREE_RO
                           "problem %s is enabled; systemctl disable --now %s\n" NO_POOLS
                           "1 problems stand in the way.\n",
                           unit, unit);
}

static void enabled_units_of_libvirt_are_problems(void **state)
{
    static const char *const targets[] = {"sockets.target.wants", "multi-user.target.wants"};
    static const char *const units[] = {
        "libvirtd.service",    "libvirtd.socket",        "libvirtd-ro.socket",
        "libvirtd-tcp.socket", "libvirtd-tls.socket",    "virtstoraged.service",
        "virtstoraged.socket", "virtstoraged-ro.socket",
    };
    const CstPaths *paths = *state;

    for (guint driver = 0; driver < 2; driver++) {
        if (driver)
            put(paths, DRIVER, "");
        for (size_t i = 0; i < G_N_ELEMENTS(targets) * G_N_ELEMENTS(units); i++) {
            const char *target = targets[i % 2], *unit = units[i / 2];
            gboolean libvirtd = g_str_has_prefix(unit, "libvirtd");
            g_autofree char *wanted = !libvirtd ? virtstoraged_problem(unit)
                                      : driver  ? libvirtd_problem(unit)
                                                : libvirtd_note(unit);

            enable(paths, target, unit);
            assert_says(paths, libvirtd && !driver, wanted);
            disable(paths, target, unit);
        }
    }
}

static void enabled_libvirtd_with_secrets_is_a_problem_unless_serve_is_no(void **state)
{
    const CstPaths *paths = *state;
    g_autofree char *without = libvirtd_note("libvirtd.socket");

    put(paths, SECRET_DRIVER, "");
    enable(paths, "sockets.target.wants", "libvirtd.socket");
    enable(paths, "multi-user.target.wants", "virtsecretd.service");
    assert_says(paths, FALSE,
                NO_LOCK FREE FREE_RO
                "problem libvirtd manages the secrets, and does not start while cisternd holds "
                "their lock; set serve = no under [secrets] in cisternd.conf\n"
                "note    libvirtd.socket is enabled; libvirtd has no storage driver, so that is "
                "no matter\n" NO_POOLS "1 problems stand in the way.\n");
    config.leave_secrets = TRUE;
    assert_says(paths, TRUE, without);
}

#define LIBVIRT    "usr/lib/any-triplet/libvirt.so.0.%u.0"
#define ASKS       "ok      libvirtd asks cisternd: 'ROOT/" DRIVER "' is Cistern's driver\n"
#define DIVERSIONS "/" DRIVER "\n/" DRIVER ".libvirt\ncistern-libvirt\n"

/* Cistern's driver as its package installs it: a link with an absolute target. */
static void install_module(const CstPaths *paths)
{
    g_autofree char *link = g_build_filename(paths->root, DRIVER, NULL);

    put(paths, DRIVER, "");
    remove_file(paths, DRIVER);
    put(paths, "usr/lib/cistern/module.so", "ELF libvirt_driver_storage of Cistern: %s");
    assert_int_equal(symlink("/usr/lib/cistern/module.so", link), 0);
    put(paths, "var/lib/dpkg/status", "");
    put(paths, "var/lib/dpkg/diversions", "/a\n/b\nother\n" DIVERSIONS);
}

static void enabled_libvirtd_with_the_module_is_no_problem(void **state)
{
    const CstPaths *paths = *state;
    g_autofree char *libvirt = g_build_filename(paths->run_dir, "libvirt-sock", NULL);
    int fd = listen_at(libvirt, 8);

    install_module(paths);
    enable(paths, "sockets.target.wants", "libvirtd.socket");
    assert_says(paths, TRUE, NO_LOCK FREE FREE_RO NO_UNITS ASKS NO_POOLS CLEAR);
    close(fd);
}

static void module_without_a_diversion_is_a_problem_where_dpkg_is_used(void **state)
{
    const CstPaths *paths = *state;

    install_module(paths);
    put(paths, "var/lib/dpkg/diversions", "/a\n/" DRIVER "\nother\n");
    assert_says(paths, FALSE,
                NO_LOCK FREE FREE_RO NO_UNITS ASKS
                "problem dpkg has no diversion of '/" DRIVER
                "': an upgrade of libvirt replaces Cistern's driver; dpkg-divert --local "
                "--no-rename --divert /" DRIVER ".libvirt --add /" DRIVER "\n" NO_POOLS
                "1 problems stand in the way.\n");
    remove_file(paths, "var/lib/dpkg/status");
    assert_says(paths, TRUE, NO_LOCK FREE FREE_RO NO_UNITS ASKS NO_POOLS CLEAR);
}

static void module_in_a_newer_libvirt_is_a_problem_unless_it_is_allowed(void **state)
{
    const CstPaths *paths = *state;
    const guint tested = CST_LIBVIRT_TESTED;
    g_autofree char *known = g_strdup_printf(LIBVIRT, tested / 1000);
    g_autofree char *newer = g_strdup_printf(LIBVIRT, tested / 1000 + 1);
    g_autofree char *wanted = g_strdup_printf(
        NO_LOCK FREE FREE_RO NO_UNITS ASKS
        "problem libvirt %u.%u.0 is newer than %u.%u.0, the newest tested version: libvirtd would "
        "start without storage, and end running guests that use volumes; create "
        "'/etc/cistern/libvirt-any' to use it all the same\n" NO_POOLS
        "1 problems stand in the way.\n",
        tested / 1000000, tested / 1000 % 1000 + 1, tested / 1000000, tested / 1000 % 1000);

    install_module(paths);
    put(paths, known, "");
    assert_says(paths, TRUE, NO_LOCK FREE FREE_RO NO_UNITS ASKS NO_POOLS CLEAR);
    put(paths, newer, "");
    assert_says(paths, FALSE, wanted);
    put(paths, "etc/cistern/libvirt-any", "");
    assert_says(paths, TRUE, NO_LOCK FREE FREE_RO NO_UNITS ASKS NO_POOLS CLEAR);
}

static void other_files_and_units_are_no_matter(void **state)
{
    const CstPaths *paths = *state;

    enable(paths, "sockets.target.wants", "libvirtd-admin.socket");
    enable(paths, "sockets.target.wants", "virtsecretd.socket");
    put(paths, "etc/systemd/system/sockets.target.wants/libvirtd.socket", "not a link");
    put(paths, DRIVER, "");
    assert_says(paths, TRUE, NO_LOCK FREE FREE_RO NO_UNITS NO_POOLS CLEAR);
}

/* --- definitions ----------------------------------------------------------------------------- */

static void unreadable_definitions_are_problems(void **state)
{
    const CstPaths *paths = *state;
    gboolean is_clear;
    g_autofree char *said = NULL;

    put(paths, "etc/libvirt/storage/good.xml",
        "<pool type='dir'><name>good</name><uuid>11111111-2222-3333-4444-555555555555</uuid>"
        "<target><path>/images</path></target></pool>");
    assert_says(paths, TRUE,
                NO_LOCK FREE FREE_RO NO_UNITS "ok      1 of 1 pool definitions in "
                                              "'ROOT/etc/libvirt/storage' would be there\n" CLEAR);
    put(paths, "etc/libvirt/storage/bad.xml", "<pool");
    said = check(paths, &is_clear);
    assert_false(is_clear);
    assert_non_null(
        strstr(said, "\nproblem 'ROOT/etc/libvirt/storage/bad.xml' would not be loaded: "));
    assert_true(g_str_has_suffix(said, "\nok      1 of 2 pool definitions in "
                                       "'ROOT/etc/libvirt/storage' would be there\n"
                                       "1 problems stand in the way.\n"));
}

int main(void)
{
#define ROOT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROOT_TEST(empty_root_has_no_problem),
        ROOT_TEST(a_session_has_no_socket_for_reading_and_no_units),
        ROOT_TEST(holder_of_the_lock_is_a_problem),
        ROOT_TEST(holder_of_the_secrets_lock_is_reported_unless_serve_is_no),
        ROOT_TEST(a_listener_at_a_socket_of_ours_is_a_problem),
        ROOT_TEST(a_listener_that_is_too_busy_to_answer_is_a_problem),
        ROOT_TEST(a_name_without_a_listener_is_left_over),
        ROOT_TEST(a_listener_at_libvirtds_socket_is_only_to_be_known),
        ROOT_TEST(a_socket_of_systemds_may_be_meant_for_us),
        ROOT_TEST(a_name_too_long_for_a_socket_is_nobodys),
        ROOT_TEST(enabled_units_of_libvirt_are_problems),
        ROOT_TEST(enabled_libvirtd_with_secrets_is_a_problem_unless_serve_is_no),
        ROOT_TEST(enabled_libvirtd_with_the_module_is_no_problem),
        ROOT_TEST(module_without_a_diversion_is_a_problem_where_dpkg_is_used),
        ROOT_TEST(module_in_a_newer_libvirt_is_a_problem_unless_it_is_allowed),
        ROOT_TEST(other_files_and_units_are_no_matter),
        ROOT_TEST(unreadable_definitions_are_problems),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
