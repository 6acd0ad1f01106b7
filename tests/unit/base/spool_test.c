/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spools: files without a name, where the file system has O_TMPFILE and where it lacks it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <base/file.h>
#include <base/spool.h>
#include <base/units.h>

static int tmpfile_errno; /* 0: the call is made */

int __real_openat64(int dirfd, const char *path, int flags, ...);
int __wrap_openat64(int dirfd, const char *path, int flags, ...);

int __wrap_openat64(int dirfd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list arguments;

    va_start(arguments, flags);
    if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
        mode = va_arg(arguments, mode_t);
    va_end(arguments);
    if (tmpfile_errno && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = tmpfile_errno;
        return -1;
    }
    return __real_openat64(dirfd, path, flags, mode);
}

static fsblkcnt_t free_blocks;
static gboolean statvfs_fails;

int __wrap_fstatvfs64(int fd, struct statvfs *fs);

int __wrap_fstatvfs64(int fd, struct statvfs *fs)
{
    errno = EIO;
    *fs = (struct statvfs){.f_bavail = free_blocks, .f_frsize = 4096, .f_bsize = 1};
    return statvfs_fails ? -1 : 0;
}

static void spool_has_no_name(void **state)
{
    static const int errors[] = {0, EOPNOTSUPP, EISDIR};
    g_autofree char *dir = g_dir_make_tmp("base-spool-XXXXXX", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_auto(CstFd) fd = -1;
        g_auto(GStrv) names = NULL;
        struct stat st;

        tmpfile_errno = errors[i];
        fd = cst_spool_open(dir);
        tmpfile_errno = 0;
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_nlink, 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(write(fd, "x", 1), 1);
        names = cst_kernel_list(dir);
        assert_int_equal(g_strv_length(names), 0);
    }
    tmpfile_errno = ENOSPC;
    assert_int_equal(cst_spool_open(dir), -1);
    assert_int_equal(errno, ENOSPC);
    tmpfile_errno = 0;
    assert_int_equal(rmdir(dir), 0);
}

static void room_leaves_a_reserve(void **state)
{
    uint64_t room = 7;

    free_blocks = 64 * CST_MIB / 4096 + 1;
    assert_true(cst_spool_room(-1, &room));
    assert_int_equal(room, 4096);
    free_blocks--;
    assert_true(cst_spool_room(-1, &room));
    assert_int_equal(room, 0);
    free_blocks = 1;
    assert_true(cst_spool_room(-1, &room));
    assert_int_equal(room, 0);
    statvfs_fails = TRUE;
    room = 7;
    assert_false(cst_spool_room(-1, &room));
    assert_int_equal(room, 7);
}

static void spool_directory_is_the_given_one_or_tmpdir(void **state)
{
    g_setenv("TMPDIR", "/somewhere", TRUE);
    assert_string_equal(cst_spool_dir("/given"), "/given");
    assert_string_equal(cst_spool_dir(NULL), "/somewhere");
    assert_string_equal(cst_spool_dir(""), "/var/tmp");
    g_setenv("TMPDIR", "", TRUE);
    assert_string_equal(cst_spool_dir(NULL), "/var/tmp");
    g_unsetenv("TMPDIR");
    assert_string_equal(cst_spool_dir(NULL), "/var/tmp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spool_has_no_name),
        cmocka_unit_test(room_leaves_a_reserve),
        cmocka_unit_test(spool_directory_is_the_given_one_or_tmpdir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
