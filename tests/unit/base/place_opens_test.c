/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The system calls that the walk of a path makes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/place.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_directory_is_opened_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
