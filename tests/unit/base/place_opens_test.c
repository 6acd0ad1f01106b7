/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The system calls of the walk of a path, and an output that is the file of another user. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/place.h>

#define OTHER 12345 /* a user, and a group */

static guint opens;

int __real_openat64(int dirfd, const char *name, int flags, ...);
int __wrap_openat64(int dirfd, const char *name, int flags, ...);

int __wrap_openat64(int dirfd, const char *name, int flags, ...)
{
    va_list rest;
    mode_t mode = 0;

    va_start(rest, flags);
    if (flags & O_CREAT)
        mode = va_arg(rest, mode_t);
    va_end(rest);
    opens++;
    return __real_openat64(dirfd, name, flags, mode);
}

static void each_directory_is_opened_once(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autofree char *dir = g_dir_make_tmp("cst-place-XXXXXX", NULL);
    g_autofree char *inner = g_build_filename(dir, "a", "b", NULL);

    assert_int_equal(g_mkdir_with_parents(inner, 0700), 0);
    assert_int_equal(chdir(dir), 0);
    opens = 0;
    assert_true(cst_place_init(&place, "a/b/new", NULL));
    /* Two directories, the name, and the directory for reading. */
    assert_int_equal(opens, 4);
    assert_int_equal(rmdir("a/b"), 0);
    assert_int_equal(rmdir("a"), 0);
    assert_int_equal(rmdir(dir), 0);
}

static int open_output(const char *path, gboolean *ret_created)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    return cst_place_init(&place, path, NULL)
               ? cst_place_open_output(&place, 0640, ret_created, NULL)
               : -1;
}

/* The mode of another user's file cannot be changed. The kernel drops the bits at the write. */
static void output_to_a_file_that_the_group_may_write_is_opened(void **state)
{
    g_autofree char *dir = g_dir_make_tmp("cst-place-XXXXXX", NULL);
    gboolean created;
    int fd;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chdir(dir), 0);
    assert_true(g_file_set_contents("shared", "", 0, NULL));
    assert_int_equal(chown("shared", OTHER, OTHER), 0);
    assert_int_equal(chmod("shared", 04775), 0);
    assert_int_equal(chown(".", OTHER, OTHER), 0);
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(setegid(OTHER), 0);
    assert_int_equal(seteuid(OTHER + 1), 0);
    fd = open_output("shared", &created);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    assert_true(fd >= 0 && !created);
    close(fd);
    assert_int_equal(unlink("shared"), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_directory_is_opened_once),
        cmocka_unit_test(output_to_a_file_that_the_group_may_write_is_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
