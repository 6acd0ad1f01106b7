/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The choice of the provider: by URI, root, environment, and reachable daemon. This program also
 * plays ssh: under the name "ssh" it connects its standard streams to the socket.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <conn/domains.h>

#include "side.h"

#define EMBED "storage:///embed"

typedef struct {
    Side side; /* a server on a root of its own */
    char *bin; /* holds "ssh" */
    char *path;
    char *told; /* file: the words that ssh got, and its number as a process */
} Place;

static int setup(void **state)
{
    Place *place = g_new0(Place, 1);
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *ssh = NULL, *run = NULL;

    side_open(&place->side, TRUE);
    run = g_build_filename(place->side.root, "run/libvirt", NULL);
    place->bin = g_build_filename(place->side.root, "bin", NULL);
    place->told = g_build_filename(place->side.root, "told", NULL);
    ssh = g_build_filename(place->bin, "ssh", NULL);
    assert_int_equal(g_mkdir_with_parents(place->bin, 0755), 0);
    assert_int_equal(symlink(self, ssh), 0);
    place->path = g_strdup(g_getenv("PATH"));
    g_setenv("PATH", place->bin, TRUE);
    g_setenv("TEST_TOLD", place->told, TRUE);
    g_setenv("TEST_RUN", run, TRUE);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    Place *place = *state;

    g_setenv("PATH", place->path, TRUE);
    g_unsetenv("CISTERN_URI");
    g_unsetenv("LIBVIRT_DEFAULT_URI");
    g_unsetenv("TEST_MISDEED");
    side_close(&place->side);
    g_free(place->path);
    g_free(place->bin);
    g_free(place->told);
    g_free(place);
    return 0;
}

/* Returns the URI that the connection to @uri reports; "" with its error if it cannot be opened. */
static char *opened(const char *uri, const CstConnOptions *options, gboolean *ret_embedded,
                    GError **error)
{
    g_autoptr(CstConn) conn = cst_conn_open(uri, options, error);

    if (!conn)
        return g_strdup("");
    *ret_embedded = cst_conn_is_embedded(conn);
    return cst_conn_uri(conn, NULL);
}

static void assert_opens(const char *uri, const CstConnOptions *options, gboolean embedded,
                         const char *wanted)
{
    g_autoptr(GError) error = NULL;
    gboolean is_embedded = FALSE;
    g_autofree char *got = opened(uri, options, &is_embedded, &error);

    if (error)
        fail_msg("%s: %s", uri ? uri : "no URI", error->message);
    assert_int_equal(is_embedded, embedded);
    assert_string_equal(got, wanted);
}

static void assert_fails(const char *uri, const CstConnOptions *options, int class,
                         const char *words)
{
    g_autoptr(GError) error = NULL;
    gboolean is_embedded;
    g_autofree char *got = opened(uri, options, &is_embedded, &error);

    assert_string_equal(got, "");
    assert_int_equal(error->code, class);
    if (!strstr(error->message, words))
        fail_msg("\"%s\" instead of \"…%s…\"", error->message, words);
}

/* --- which one ------------------------------------------------------------------------------- */

static void a_root_with_a_daemon_is_the_daemons(void **state)
{
    const Place *place = *state;
    const CstConnOptions here = {.root = place->side.root};
    const CstConnOptions reading = {.root = place->side.root, .read_only = TRUE};

    assert_opens(NULL, &here, FALSE, "storage:///system");
    assert_opens("", &here, FALSE, "storage:///system");
    assert_opens("storage:///system", &here, FALSE, "storage:///system");
    assert_opens("storage:///system", &reading, FALSE, "storage:///system");
    assert_fails("storage:///nonsense", &here, CST_ERROR_INTERNAL, "nonsense");
}

/* --- a daemon that is starting ---------------------------------------------------------------- */

static struct {
    const Place
        *place; /* its daemon has the driver lock, and no socket yet; NULL: no such daemon */
    guint asked;
} starting;

gboolean __wrap_cst_driver_lock_is_of_daemon(const CstPaths *paths);

static void move_socket(const Place *place, const char *from, const char *to)
{
    g_autofree char *old = g_build_filename(place->side.root, "run/libvirt", from, NULL);
    g_autofree char *new = g_build_filename(place->side.root, "run/libvirt", to, NULL);

    assert_int_equal(rename(old, new), 0);
}

/* The socket appears after the second question. */
gboolean __wrap_cst_driver_lock_is_of_daemon(const CstPaths *paths)
{
    if (starting.place && ++starting.asked == 2)
        move_socket(starting.place, "later", "virtstoraged-sock");
    return starting.place != NULL;
}

/* Runs before a test with an embedded service: the process then no longer asks for the lock. */
static void command_waits_for_a_daemon_that_is_starting(void **state)
{
    const Place *place = *state;
    const CstConnOptions options = {.root = place->side.root};

    move_socket(place, "virtstoraged-sock", "later");
    starting.place = place;
    assert_opens(NULL, &options, FALSE, "storage:///system");
    starting.place = NULL;
    assert_int_equal(starting.asked, 2);
}

static void without_a_daemon_this_process_does_the_work(void **state)
{
    const Place *place = *state;
    g_autofree char *root = g_build_filename(place->side.root, "an other", NULL);
    g_autofree char *uri =
        g_strconcat("storage:///embed?root=", place->side.root, "/an%20other", NULL);
    const CstConnOptions there = {.root = root}, must = {.root = root, .must_exist = TRUE};
    const CstConnOptions embedded = {.root = root, .embedded = TRUE};
    const CstConnOptions elsewhere = {.root = place->side.root};

    assert_fails(NULL, &must, CST_ERROR_NOT_FOUND, "there is no root directory '");
    assert_fails(EMBED, &must, CST_ERROR_NOT_FOUND, "there is no root directory '");
    assert_opens(NULL, &there, TRUE, uri);
    assert_int_equal(g_mkdir_with_parents(root, 0755), 0);
    assert_opens(NULL, &must, TRUE, uri);
    assert_opens(NULL, &embedded, TRUE, uri);
    assert_opens(EMBED, &there, TRUE, uri);
    assert_opens(uri, &elsewhere, TRUE, uri); /* the URI's root wins */
    assert_fails("storage:///system", &there, CST_ERROR_UNREACHABLE, root);
}

static void a_server_that_refuses_is_not_passed_over(void **state)
{
    const Place *place = *state;
    g_autofree char *root = g_build_filename(place->side.root, "other", NULL);
    g_autoptr(CstPaths) paths = cst_paths_new(root);
    const CstConnOptions there = {.root = root};
    g_autoptr(GError) error = NULL;
    gboolean embedded;
    g_autofree char *got = NULL;
    int fd, status;
    pid_t pid;

    assert_true(cst_dir_ensure(paths->run_dir, 0755, NULL));
    fd = listen_at(paths->socket);
    pid = fork();
    if (pid == 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        poll(&ready, 1, 5000);
        close(accept(fd, NULL, NULL)); /* hangs up on each client */
        _exit(0);
    }
    close(fd);
    got = opened(NULL, &there, &embedded, &error);
    assert_string_equal(got, "");
    assert_int_equal(error->code, CST_ERROR_UNREACHABLE);
    waitpid(pid, &status, 0);
}

static void socket_without_a_server_is_reported(void **state)
{
    const Place *place = *state;
    const size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    g_autofree char *left = g_strconcat(place->side.root, "/left", NULL);
    g_autofree char *long_name = g_strnfill(longest - strlen(place->side.root) - 1, 's');
    const struct {
        char *path;
        int class;
        const char *words;
    } rows[] = {
        {left, CST_ERROR_UNREACHABLE, "' any more; start it again"},
        {g_strconcat(place->side.root, "/missing", NULL), CST_ERROR_UNREACHABLE,
         "there is no such socket"},
        {g_strconcat(left, "/below", NULL), CST_ERROR_IO, "cannot connect to '"},
        {g_strconcat(place->side.root, "/", long_name, NULL), CST_ERROR_UNREACHABLE,
         "there is no such socket"},
        {g_strconcat(place->side.root, "/", long_name, "s", NULL), CST_ERROR_INVALID,
         "is longer than 107 bytes"},
    };

    close(listen_at(left));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *uri = g_strconcat("storage+unix:///system?socket=", rows[i].path, NULL);

        assert_fails(uri, NULL, rows[i].class, rows[i].words);
        if (i > 0)
            g_free(rows[i].path);
    }
}

static void environment_variables_apply_only_without_a_uri(void **state)
{
    const Place *place = *state;
    g_autofree char *one = g_strconcat(EMBED "?root=", place->side.root, "/one", NULL);
    g_autofree char *two = g_strconcat(EMBED "?root=", place->side.root, "/two", NULL);
    g_autofree char *three = g_strconcat(EMBED "?root=", place->side.root, "/three", NULL);
    const CstConnOptions here = {.root = place->side.root};

    g_setenv("CISTERN_URI", one, TRUE);
    g_setenv("LIBVIRT_DEFAULT_URI", two, TRUE);
    assert_opens(NULL, NULL, TRUE, one);
    assert_opens("", NULL, TRUE, one);
    assert_opens(three, NULL, TRUE, three);
    assert_opens(NULL, &here, FALSE, "storage:///system"); /* a root is meant more */
    g_setenv("CISTERN_URI", "", TRUE);
    assert_opens(NULL, NULL, TRUE, two);
    g_unsetenv("CISTERN_URI");
    assert_opens(NULL, NULL, TRUE, two);
}

static void a_connection_begins_with_no_dry_run(void **state)
{
    const Place *place = *state;
    const CstConnOptions here = {.root = place->side.root};

    cst_dry_run_set(TRUE);
    assert_opens(NULL, &here, FALSE, "storage:///system");
    assert_false(cst_dry_run());
}

/* --- ssh ------------------------------------------------------------------------------------- */

#define SSH "storage+ssh://somebody@far:2222/system"

/* The words of the ssh that ran, without its number, which is given back. */
static pid_t words_of_ssh(const Place *place, char **ret_words)
{
    g_autofree char *told = NULL;
    char *rest;
    pid_t pid;

    assert_true(g_file_get_contents(place->told, &told, NULL, NULL));
    pid = (pid_t)g_ascii_strtoll(told, &rest, 10);
    *ret_words = g_strdup(rest);
    assert_int_equal(unlink(place->told), 0);
    return pid;
}

static void assert_reaped(const Place *place)
{
    g_autofree char *words = NULL;
    pid_t pid = words_of_ssh(place, &words);

    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void ssh_carries_a_connection(void **state)
{
    const Place *place = *state;
    g_autofree char *words = NULL, *type = NULL;
    g_autoptr(GError) error = NULL;
    CstConn *conn = cst_conn_open(SSH, NULL, &error);
    pid_t pid;

    if (!conn)
        fail_msg("%s", error->message);
    assert_false(cst_conn_is_embedded(conn));
    type = cst_conn_type(conn, NULL);
    assert_string_equal(type, "storage");
    pid = words_of_ssh(place, &words);
    assert_non_null(strstr(words, " far "));
    assert_non_null(strstr(words, "2222"));
    assert_non_null(strstr(words, "somebody"));
    assert_non_null(strstr(words, "/run/libvirt/virtstoraged-sock"));
    assert_int_equal(kill(pid, 0), 0);
    cst_conn_free(conn);
    assert_int_equal(kill(pid, 0), -1);
}

/* libvirt of this host would get the paths of the other host. */
static void domain_is_not_defined_over_ssh(void **state)
{
    g_autoptr(CstConn) conn = cst_conn_open(SSH, NULL, NULL);
    g_autoptr(GError) error = NULL;

    assert_non_null(conn);
    assert_false(cst_conn_domain_define(conn, "web", NULL, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_SUPPORT));
    assert_non_null(strstr(error->message, "run the command there"));
}

/* For a thread, or for a process without a terminal: ssh could get no answer. */
static void repeated_connection_over_ssh_does_not_prompt(void **state)
{
    const CstConnOptions unattended = {.unattended = TRUE};
    const Place *place = *state;
    g_autofree char *first = NULL, *second = NULL, *third = NULL;
    g_autoptr(CstConn) conn = cst_conn_open(SSH, NULL, NULL);
    g_autoptr(CstConn) again = NULL, alone = NULL;

    assert_non_null(conn);
    words_of_ssh(place, &first);
    assert_null(strstr(first, "BatchMode"));
    again = cst_conn_open_again(conn, NULL);
    assert_non_null(again);
    words_of_ssh(place, &second);
    assert_non_null(strstr(second, "BatchMode=yes"));
    assert_non_null(strstr(second, " far "));
    alone = cst_conn_open(SSH, &unattended, NULL);
    assert_non_null(alone);
    words_of_ssh(place, &third);
    assert_string_equal(second, third);
}

static void ssh_that_exits_at_once_is_reported_with_the_host(void **state)
{
    const Place *place = *state;

    g_setenv("TEST_MISDEED", "ends", TRUE);
    assert_fails(SSH, NULL, CST_ERROR_UNREACHABLE, "ssh to 'far', remote socket '");
    assert_reaped(place);
}

/* An answer that is an error is the server's, and not ssh's. */
static void refusal_of_the_server_over_ssh_is_reported_unchanged(void **state)
{
    const Place *place = *state;
    g_autoptr(GError) error = NULL;
    gboolean embedded;
    g_autofree char *got = opened("storage+ssh://far/session?socket=/any", NULL, &embedded, &error);

    assert_string_equal(got, "");
    assert_null(strstr(error->message, "ssh to"));
    assert_reaped(place);
}

static void ssh_that_does_not_end_is_made_to(void **state)
{
    static const char *const misdeeds[] = {"stays", "ignores"};
    const Place *place = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(misdeeds); i++) {
        g_autofree char *asked = g_strconcat(place->told, ".asked", NULL);
        CstConn *conn;

        g_setenv("TEST_MISDEED", misdeeds[i], TRUE);
        conn = cst_conn_open(SSH, NULL, NULL);
        assert_non_null(conn);
        cst_conn_free(conn);
        assert_reaped(place);
        /* Asked to end before it is killed. */
        assert_int_equal(access(asked, F_OK), i == 0 ? 0 : -1);
        unlink(asked);
    }
}

static void missing_ssh_is_reported(void **state)
{
    Place *place = *state;
    g_autofree char *empty = g_build_filename(place->side.root, "empty", NULL);

    g_setenv("PATH", empty, TRUE);
    assert_fails(SSH, NULL, CST_ERROR_UNREACHABLE, "cannot run 'ssh'");
}

/* Copies readable bytes from @from to @to; FALSE at the end of @from. */
static gboolean carry(int from, int to)
{
    char buf[4096];
    ssize_t n = read(from, buf, sizeof(buf));

    return n > 0 && write(to, buf, (size_t)n) == n;
}

static char *asked_path;

/* A signal asks the process to end. */
static void write_asked(int number)
{
    close(open(asked_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    _exit(0);
}

/* Connects standard input and output to the server, as netcat on the remote host does. */
static int play_ssh(int argc, char **argv)
{
    const char *misdeed = g_getenv("TEST_MISDEED");
    g_autofree char *socket_path =
        g_build_filename(g_getenv("TEST_RUN"), "virtstoraged-sock", NULL);
    g_autofree char *words = g_strjoinv(" ", argv + 1);
    g_autofree char *text = g_strdup_printf("%d %s", (int)getpid(), words);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
    gboolean going = TRUE;

    g_file_set_contents(g_getenv("TEST_TOLD"), text, -1, NULL);
    if (g_strcmp0(misdeed, "ends") == 0)
        return 255;
    asked_path = g_strconcat(g_getenv("TEST_TOLD"), ".asked", NULL);
    if (misdeed)
        signal(SIGTERM, g_strcmp0(misdeed, "ignores") == 0 ? SIG_IGN : write_asked);
    g_strlcpy(address.sun_path, socket_path, sizeof(address.sun_path));
    fds[1].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fds[1].fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return 1;
    while (going && poll(fds, 2, -1) > 0)
        going = (!fds[0].revents || carry(STDIN_FILENO, fds[1].fd)) &&
                (!fds[1].revents || carry(fds[1].fd, STDOUT_FILENO));
    while (misdeed)
        pause();
    return 0;
}

int main(int argc, char **argv)
{
#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PLACE_TEST(command_waits_for_a_daemon_that_is_starting),
        PLACE_TEST(a_root_with_a_daemon_is_the_daemons),
        PLACE_TEST(without_a_daemon_this_process_does_the_work),
        PLACE_TEST(a_server_that_refuses_is_not_passed_over),
        PLACE_TEST(socket_without_a_server_is_reported),
        PLACE_TEST(environment_variables_apply_only_without_a_uri),
        PLACE_TEST(a_connection_begins_with_no_dry_run),
        PLACE_TEST(ssh_carries_a_connection),
        PLACE_TEST(domain_is_not_defined_over_ssh),
        PLACE_TEST(repeated_connection_over_ssh_does_not_prompt),
        PLACE_TEST(ssh_that_exits_at_once_is_reported_with_the_host),
        PLACE_TEST(refusal_of_the_server_over_ssh_is_reported_unchanged),
        PLACE_TEST(ssh_that_does_not_end_is_made_to),
        PLACE_TEST(missing_ssh_is_reported),
    };

    if (g_str_has_suffix(argv[0], "ssh"))
        return play_ssh(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
