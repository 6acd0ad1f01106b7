/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files that are replaced atomically and read with a limit. Errors name the failed file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <glib/gstdio.h>

#include "points.h"

static int setup(void **state)
{
    char *dir = g_dir_make_tmp("base-file-XXXXXX", NULL);

    *state = dir;
    return chdir(dir);
}

static int teardown(void **state)
{
    g_auto(GStrv) names = cst_kernel_list(".");

    for (char **name = names; *name; name++)
        g_remove(*name);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(g_rmdir(*state), 0);
    g_free(*state);
    return 0;
}

/* The directory holds these files alone. */
static void assert_files(const char *const *wanted)
{
    g_auto(GStrv) names = cst_kernel_list(".");

    assert_int_equal(g_strv_length(names), g_strv_length((char **)wanted));
    for (; *wanted; wanted++)
        assert_true(g_strv_contains((const char *const *)names, *wanted));
}

static void assert_content(const char *path, const char *wanted)
{
    g_autofree char *text = NULL;
    size_t len = 0;

    assert_true(cst_file_read(path, 100, &text, &len, NULL));
    assert_int_equal(len, strlen(wanted));
    assert_string_equal(text, wanted);
}

static void assert_failed(gboolean ok, GError **error, CstErrorCode code, const char *message)
{
    assert_false(ok);
    assert_string_equal((*error)->message, message);
    assert_int_equal(cst_error_code(*error), code);
    g_clear_error(error);
}

static void a_file_is_replaced_whole_with_its_mode(void **state)
{
    struct stat st;

    assert_true(cst_file_replace("a", "one", 3, 0600, NULL));
    assert_true(cst_file_replace("a", "other", 5, 0664, NULL));
    assert_content("a", "other");
    assert_int_equal(stat("a", &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0664);
    assert_files((const char *const[]){"a", NULL});
}

static void failed_replacement_keeps_the_old_file(void **state)
{
    g_autoptr(GError) error = NULL;
    struct rlimit before, none = {0};

    assert_false(cst_file_replace("nosuch/a", "x", 1, 0600, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND));
    g_clear_error(&error);
    assert_int_equal(mkdir("d", 0700), 0);
    assert_false(cst_file_replace("d", "x", 1, 0600, &error));
    assert_true(g_str_has_prefix(error->message, "cannot rename 'd."));
    g_clear_error(&error);

    assert_true(cst_file_replace("a", "one", 3, 0600, NULL));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_false(cst_file_replace("a", "other", 5, 0600, &error));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(g_str_has_prefix(error->message, "cannot write 'a."));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    assert_content("a", "one");
    assert_files((const char *const[]){"a", "d", NULL});
}

/* Linked with --wrap: the @fault_at'th call of the step named @fault fails. */
static const char *fault;
static int fault_at;

int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

static gboolean strikes(const char *step)
{
    if (g_strcmp0(fault, step) != 0 || --fault_at != 0)
        return FALSE;
    errno = EIO;
    return TRUE;
}

int __wrap_fchmod(int fd, mode_t mode)
{
    return strikes("fchmod") ? -1 : __real_fchmod(fd, mode);
}

int __wrap_fsync(int fd)
{
    return strikes("fsync") ? -1 : __real_fsync(fd);
}

/* Before the rename the old file exists. After it the new one exists and may not be durable. */
static void a_replacement_that_fails_leaves_a_whole_file(void **state)
{
    static const struct {
        const char *fault;
        int at;
        const char *says, *left;
    } rows[] = {
        {"fchmod", 1, "cannot set the mode of", "old"},
        {"fsync", 1, "cannot sync", "old"},
        {"fsync", 2, "the change of 'a' is done, but a power cut may undo it", "newer"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        assert_true(cst_file_replace("a", "old", 3, 0600, NULL));
        fault = rows[i].fault;
        fault_at = rows[i].at;
        assert_false(cst_file_replace("a", "newer", 5, 0600, &error));
        fault = NULL;
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        assert_non_null(strstr(error->message, rows[i].says));
        assert_content("a", rows[i].left);
        assert_files((const char *const[]){"a", NULL});
    }
}

static void a_dry_run_changes_no_file(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_file_replace("a", "one", 3, 0600, NULL));
    cst_dry_run_set(TRUE);
    assert_false(cst_file_replace("a", "other", 5, 0600, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DRY_RUN));
    g_clear_error(&error);
    assert_false(cst_file_remove("a", &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DRY_RUN));
    g_clear_error(&error);
    assert_false(cst_dir_ensure("d/e", 0700, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DRY_RUN));
    assert_true(cst_dir_ensure(".", 0700, NULL));
    cst_dry_run_set(FALSE);
    assert_content("a", "one");
    assert_files((const char *const[]){"a", NULL});
}

static void a_file_is_read_up_to_its_limit(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    assert_true(cst_file_replace("a", "abc", 3, 0600, NULL));
    assert_failed(cst_file_read("a", 2, &text, NULL, &error), &error, CST_ERROR_LIMIT,
                  "'a' is larger than 2 bytes");
    assert_true(cst_file_read("a", 3, &text, NULL, NULL));
    assert_string_equal(text, "abc");
    g_clear_pointer(&text, g_free);
    assert_failed(cst_file_read(".", 3, &text, NULL, &error), &error, CST_ERROR_INVALID,
                  "'.' is not a regular file");
    assert_failed(cst_file_read("nosuch", 3, &text, NULL, &error), &error, CST_ERROR_NOT_FOUND,
                  "cannot open 'nosuch': No such file or directory");
    assert_null(text);
}

static void removal_that_a_power_cut_may_undo_is_reported(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_file_replace("a", "one", 3, 0600, NULL));
    fault = "fsync";
    fault_at = 1;
    assert_false(cst_file_remove("a", &error));
    fault = NULL;
    assert_true(g_str_has_prefix(error->message, "the change of 'a' is done, but a power cut"));
    assert_files((const char *const[]){NULL});
}

static void removal_of_a_missing_file_succeeds(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_file_replace("a", "", 0, 0600, NULL));
    assert_true(cst_file_remove("a", NULL));
    assert_true(cst_file_remove("a", NULL));
    assert_files((const char *const[]){NULL});
    assert_int_equal(mkdir("d", 0700), 0);
    assert_false(cst_file_remove("d", &error));
    assert_true(g_str_has_prefix(error->message, "cannot remove 'd': "));
}

static void directories_are_created_with_their_parents(void **state)
{
    g_autoptr(GError) error = NULL;
    struct stat st;

    assert_true(cst_dir_ensure("d/e", 0750, NULL));
    assert_true(cst_dir_ensure("d/e", 0700, NULL));
    assert_int_equal(stat("d/e", &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0750);
    assert_int_equal(rmdir("d/e"), 0);
    assert_true(cst_file_replace("a", "", 0, 0600, NULL));
    assert_failed(cst_dir_ensure("a", 0700, &error), &error, CST_ERROR_IO,
                  "'a' is not a directory");
    assert_failed(cst_dir_ensure("a/b", 0700, &error), &error, CST_ERROR_IO,
                  "cannot create directory 'a/b': Not a directory");
    assert_failed(cst_dir_ensure("a/b/c", 0700, &error), &error, CST_ERROR_IO,
                  "cannot create directory 'a/b': Not a directory");
    assert_failed(cst_parent_sync("nosuch/a", &error), &error, CST_ERROR_NOT_FOUND,
                  "cannot open directory 'nosuch': No such file or directory");
}

static void leftovers_are_known_by_their_names(void **state)
{
    static const struct {
        const char *name;
        gboolean temporary;
    } rows[] = {
        {"a.0123abcd.new", TRUE},   {"a.b.01234567.new", TRUE},
        {".01234567.new", FALSE},   {"a.0123abc.new", FALSE},
        {"a.0123abcde.new", FALSE}, {"a.0123abcg.new", FALSE},
        {"a.0123abcd.neu", FALSE},  {"a-0123abcd.new", FALSE},
        {"a.0123abcd.new.", FALSE}, {"", FALSE},
        {"a.0123ABCD.new", FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_int_equal(cst_file_is_temporary(rows[i].name), rows[i].temporary);
    assert_true(g_file_set_contents("a.0123abcd.new", "", 0, NULL));
    assert_true(g_file_set_contents("a.new", "", 0, NULL));
    cst_file_drop_temporaries("nosuch");
    cst_file_drop_temporaries(".");
    assert_files((const char *const[]){"a.new", NULL});
}

static void leftovers_of_one_file_go_alone(void **state)
{
    const char *const others[] = {
        "a", "a.new", "a.b.0123abcd.new", "ab.0123abcd.new", "b.0123abcd.new", NULL};

    for (guint i = 0; others[i]; i++)
        assert_true(g_file_set_contents(others[i], "", 0, NULL));
    assert_true(g_file_set_contents("a.0123abcd.new", "", 0, NULL));
    assert_true(g_file_set_contents("a.01234567.new", "", 0, NULL));
    cst_file_drop_temporaries_of("a");
    assert_files(others);
    cst_file_drop_temporaries_of("nosuch/a");
}

static void a_read_or_write_is_whole_or_fails(void **state)
{
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) fd = open("a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_auto(CstFd) full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    char buf[4] = "";

    assert_true(cst_pwrite_full(fd, "abcd", 4, 2, "a", NULL));
    assert_true(cst_pread_full(fd, buf, 4, 2, "a", NULL));
    assert_memory_equal(buf, "abcd", 4);
    assert_failed(cst_pread_full(fd, buf, 4, 3, "a", &error), &error, CST_ERROR_IO,
                  "cannot read 'a': unexpected end of file");
    assert_failed(cst_pwrite_full(full, "abcd", 4, 0, "full", &error), &error, CST_ERROR_NO_SPACE,
                  "cannot write 'full': No space left on device");
    assert_failed(cst_pread_full(full, buf, 4, 0, "full", &error), &error, CST_ERROR_IO,
                  "cannot read 'full': Bad file descriptor");
}

/* The bytes that one pread() or pwrite() moves at most, after an interruption; 0: all. */
static size_t short_io;
static gboolean interrupted;

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);

/* Every second call is interrupted. */
static gboolean is_interrupted(void)
{
    interrupted = short_io > 0 && !interrupted;
    if (interrupted)
        errno = EINTR;
    return interrupted;
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset)
{
    return is_interrupted() ? -1
                            : __real_pread64(fd, buf, short_io ? MIN(len, short_io) : len, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    return is_interrupted() ? -1
                            : __real_pwrite64(fd, buf, short_io ? MIN(len, short_io) : len, offset);
}

static void short_and_interrupted_io_is_continued(void **state)
{
    g_auto(CstFd) fd = open("a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char buf[10] = "";

    short_io = 3;
    assert_true(cst_pwrite_full(fd, "0123456789", 10, 5, "a", NULL));
    assert_true(cst_pread_full(fd, buf, 10, 5, "a", NULL));
    short_io = 0;
    assert_memory_equal(buf, "0123456789", 10);
    assert_int_equal(lseek(fd, 0, SEEK_END), 15);
}

static void closing_keeps_errno(void **state)
{
    CstFd fd = open("a", O_RDWR | O_CREAT | O_CLOEXEC, 0600), bad = 12345;

    errno = ENOTTY;
    cst_fd_clear(&fd);
    assert_int_equal(fd, -1);
    cst_fd_clear(&bad);
    assert_int_equal(errno, ENOTTY);
}

static void file_that_is_writable_for_other_users_is_not_trusted(void **state)
{
    static const struct {
        mode_t mode;
        gboolean trusted;
    } rows[] = {{0600, TRUE}, {0644, TRUE}, {0620, FALSE}, {0602, FALSE}};
    g_autoptr(GError) error = NULL;

    assert_true(cst_file_replace("a", "abc", 3, 0600, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = NULL;

        assert_int_equal(chmod("a", rows[i].mode), 0);
        assert_int_equal(cst_file_read_trusted("a", 3, &text, NULL, &error), rows[i].trusted);
        assert_true(rows[i].trusted || cst_error_code(error) == CST_ERROR_DENIED);
        g_clear_error(&error);
    }
}

static void path_that_leaves_its_directory_is_denied(void **state)
{
    g_auto(CstFd) dir = -1, inside = -1;
    g_autoptr(GError) error = NULL;

    assert_int_equal(mkdir("d", 0700), 0);
    assert_true(g_file_set_contents("a", "", 0, NULL));
    assert_int_equal(symlink("../a", "d/link"), 0);
    dir = open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(cst_open_beneath(dir, "link", O_RDONLY, 0, &error), -1);
    assert_failed(FALSE, &error, CST_ERROR_DENIED, "'link' leads out of its directory");
    assert_int_equal(cst_open_beneath(dir, "../a", O_RDONLY, 0, &error), -1);
    assert_failed(FALSE, &error, CST_ERROR_DENIED, "'../a' leads out of its directory");
    assert_int_equal(cst_open_beneath(dir, "nosuch", O_RDONLY, 0, &error), -1);
    assert_failed(FALSE, &error, CST_ERROR_NOT_FOUND,
                  "cannot open 'nosuch': No such file or directory");
    inside = cst_open_beneath(dir, "new", O_WRONLY | O_CREAT, 0640, NULL);
    assert_true(inside >= 0 && (fcntl(inside, F_GETFD) & FD_CLOEXEC));
    assert_int_equal(g_remove("d/new") + g_remove("d/link"), 0);
}

static void names_are_of_one_file(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *longest = g_strnfill(255, 'x');
    g_autofree char *longer = g_strnfill(256, 'x');

    assert_true(cst_name_check("a b", "volume", NULL));
    assert_true(cst_name_check("...", "volume", NULL));
    assert_true(cst_name_check(longest, "volume", NULL));
    assert_failed(cst_name_check(longer, "volume", &error), &error, CST_ERROR_INVALID,
                  "volume name is longer than 255 bytes");
    assert_failed(cst_name_check("", "volume", &error), &error, CST_ERROR_INVALID,
                  "volume name is empty");
    assert_failed(cst_name_check(".", "volume", &error), &error, CST_ERROR_INVALID,
                  "volume name cannot be '.'");
    assert_failed(cst_name_check("..", "volume", &error), &error, CST_ERROR_INVALID,
                  "volume name cannot be '..'");
    assert_failed(cst_name_check("a/", "volume", &error), &error, CST_ERROR_INVALID,
                  "volume name 'a/' cannot contain '/'");
    assert_failed(cst_name_check("a\n", "volume", &error), &error, CST_ERROR_INVALID,
                  "volume name contains a control character");
}

/* A control file accepts a command as a whole, or reports the reason. */
static void a_command_is_written_whole_or_fails(void **state)
{
    assert_true(g_file_set_contents("scan", "", 0, NULL));
    assert_true(cst_kernel_write("scan", "- - -"));
    assert_content("scan", "- - -");
    assert_false(cst_kernel_write("none", "1"));
    assert_int_equal(errno, ENOENT);
    assert_false(cst_kernel_write("/dev/full", "1"));
    assert_int_equal(errno, ENOSPC);
}

static void a_path_of_the_kernel_has_no_links(void **state)
{
    g_autofree char *path = NULL, *wanted = g_build_filename(*state, "host2", NULL);

    assert_true(g_file_set_contents("host2", "", 0, NULL));
    assert_int_equal(symlink("host2", "link"), 0);
    path = cst_kernel_resolve("link");
    assert_string_equal(path, wanted);
    assert_null(cst_kernel_resolve("none"));
}

/* tests/lab tests this for devices that can be opened. */
static void file_that_is_not_a_device_is_opened_directly(void **state)
{
    const char *path = "plain";
    struct stat by_name, opened;
    int fd;

    assert_true(g_file_set_contents(path, "x", 1, NULL));
    fd = cst_node_open_aside(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(stat(path, &by_name), 0);
    assert_int_equal(fstat(fd, &opened), 0);
    assert_int_equal(opened.st_ino, by_name.st_ino);
    close(fd);
    g_unlink(path);
    assert_int_equal(cst_node_open_aside(path, O_RDWR), -1);
    assert_int_equal(errno, ENOENT);
}

static void unlock_file(gpointer fd)
{
    assert_int_equal(flock(GPOINTER_TO_INT(fd), LOCK_UN), 0);
}

static void a_lock_is_waited_for(void **state)
{
    g_auto(CstFd) theirs = open("locked", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    g_auto(CstFd) ours = open("locked", O_RDWR | O_CLOEXEC);
    g_auto(CstFd) third = open("locked", O_RDWR | O_CLOEXEC);
    g_autoptr(GError) busy = NULL, broken = NULL;

    assert_int_equal(flock(theirs, LOCK_SH), 0);
    assert_false(cst_flock_wait(ours, "locked", 0, "they are at it", &busy));
    assert_true(g_error_matches(busy, CST_ERROR, CST_ERROR_BUSY));
    assert_string_equal(busy->message, "they are at it");
    point_run("file.flock.wait", unlock_file, GINT_TO_POINTER(theirs));
    assert_true(cst_flock_wait(ours, "locked", G_TIME_SPAN_HOUR, "they are at it", NULL));
    points_clear();
    assert_int_equal(flock(third, LOCK_SH | LOCK_NB), -1);
    assert_false(cst_flock_wait(-1, "locked", G_TIME_SPAN_MINUTE, "they are at it", &broken));
    assert_string_equal(broken->message, "cannot lock 'locked': Bad file descriptor");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_replaced_whole_with_its_mode),
        TEST(failed_replacement_keeps_the_old_file),
        TEST(a_replacement_that_fails_leaves_a_whole_file),
        TEST(a_dry_run_changes_no_file),
        TEST(a_file_is_read_up_to_its_limit),
        TEST(removal_that_a_power_cut_may_undo_is_reported),
        TEST(removal_of_a_missing_file_succeeds),
        TEST(a_command_is_written_whole_or_fails),
        TEST(a_path_of_the_kernel_has_no_links),
        TEST(directories_are_created_with_their_parents),
        TEST(leftovers_are_known_by_their_names),
        TEST(leftovers_of_one_file_go_alone),
        TEST(a_read_or_write_is_whole_or_fails),
        TEST(short_and_interrupted_io_is_continued),
        TEST(closing_keeps_errno),
        TEST(file_that_is_writable_for_other_users_is_not_trusted),
        TEST(path_that_leaves_its_directory_is_denied),
        TEST(names_are_of_one_file),
        TEST(file_that_is_not_a_device_is_opened_directly),
        TEST(a_lock_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
