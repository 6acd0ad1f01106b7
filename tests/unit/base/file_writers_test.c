/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writers of a file without locks: descriptors, mappings, children, and stamps of the content. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/file.h>
#include <base/file_writers.h>

#include "points.h"

typedef struct {
    char path[64];
    int fd; /* for reading */
} Fixture;

static int set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    int fd;

    g_strlcpy(fixture->path, "/var/tmp/cistern-writers-XXXXXX", sizeof(fixture->path));
    fd = mkstemp(fixture->path);
    assert_int_equal(ftruncate(fd, 4096), 0);
    close(fd);
    fixture->fd = open(fixture->path, O_RDONLY | O_CLOEXEC);
    *state = fixture;
    return fixture->fd < 0;
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    close(fixture->fd);
    unlink(fixture->path);
    g_free(fixture);
    return 0;
}

/* A grandchild, because a child of the test counts as ending. It keeps or maps @path. */
static pid_t writer_start(const char *path, gboolean map, int *ret_stop)
{
    int ready[2], stop[2];
    pid_t middle, pid = 0;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(stop), 0);
    middle = fork();
    if (middle == 0) {
        if (fork() == 0) {
            int fd = open(path, O_RDWR | O_CLOEXEC);
            char byte;

            if (map && mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
                close(fd);
            pid = getpid();
            close(stop[1]);
            if (write(ready[1], &pid, sizeof(pid)) == sizeof(pid) && read(stop[0], &byte, 1) < 0)
                _exit(1);
        }
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    assert_int_equal(read(ready[0], &pid, sizeof(pid)), sizeof(pid));
    close(ready[0]);
    close(ready[1]);
    close(stop[0]);
    *ret_stop = stop[1];
    return pid;
}

static void assert_writer(const Fixture *fixture, pid_t pid)
{
    g_autoptr(GArray) writers = cst_file_writers(fixture->fd);

    assert_int_equal(writers->len, 1);
    assert_int_equal(g_array_index(writers, CstFileWriter, 0).pid, pid);
    assert_false(g_array_index(writers, CstFileWriter, 0).ending);
}

static void assert_none(const Fixture *fixture)
{
    g_autoptr(GArray) writers = cst_file_writers(fixture->fd);

    assert_int_equal(writers->len, 0);
}

static void test_process_with_descriptor_for_writing_is_found(void **state)
{
    int stop;
    pid_t pid = writer_start(((Fixture *)*state)->path, FALSE, &stop);

    assert_writer(*state, pid);
    kill(pid, SIGKILL);
    close(stop);
}

static void test_process_with_mapping_and_no_descriptor_is_found(void **state)
{
    int stop;
    pid_t pid = writer_start(((Fixture *)*state)->path, TRUE, &stop);

    assert_writer(*state, pid);
    kill(pid, SIGKILL);
    close(stop);
}

static void test_own_descriptors_do_not_count(void **state)
{
    int fd = open(((Fixture *)*state)->path, O_RDWR | O_CLOEXEC);

    assert_none(*state);
    close(fd);
}

static void test_file_without_writer_costs_no_search(void **state)
{
    int fd;

    point_watch("file.writers.search");
    assert_none(*state);
    assert_int_equal(point_passed("file.writers.search"), 0);
    fd = open(((Fixture *)*state)->path, O_RDWR | O_CLOEXEC);
    assert_none(*state);
    assert_int_equal(point_passed("file.writers.search"), 1);
    close(fd);
    points_clear();
}

static int writer_fd;

static void close_writer(gpointer data)
{
    close(writer_fd);
}

/* The kernel is asked again after the search, so the writer is not reported without a name. */
static void test_writer_that_closes_during_the_search_is_not_reported(void **state)
{
    writer_fd = open(((Fixture *)*state)->path, O_RDWR | O_CLOEXEC);
    point_run("file.writers.search", close_writer, NULL);
    assert_none(*state);
    points_clear();
}

/* A guard waits for a writer that is ending, and refuses for another writer. */
static void test_child_that_ends_after_the_search_counts_as_ending(void **state)
{
    const Fixture *fixture = *state;
    int fd = open(fixture->path, O_RDWR | O_CLOEXEC);
    g_autoptr(CstFileUsers) users = cst_file_users_new(NULL);
    g_autoptr(GArray) writers = NULL;
    pid_t child = fork();

    if (child == 0) {
        pause();
        _exit(1);
    }
    cst_file_users_want(users, fixture->fd);
    assert_true(cst_file_users_search(users, NULL, NULL));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    writers = cst_file_writers_among(fixture->fd, users);
    assert_int_equal(writers->len, 1);
    assert_int_equal(g_array_index(writers, CstFileWriter, 0).pid, child);
    assert_true(g_array_index(writers, CstFileWriter, 0).ending);
    close(fd);
}

static void test_open_is_repeated_only_for_a_lease(void **state)
{
    unsigned tries = 0;

    errno = ENOENT;
    assert_false(cst_open_again(-1, &tries));
    assert_false(cst_open_again(3, &tries));
    errno = EWOULDBLOCK;
    assert_true(cst_open_again(-1, &tries));
    assert_int_equal(errno, EWOULDBLOCK);
    tries = 1000000;
    assert_false(cst_open_again(-1, &tries));
}

static void test_stamp_differs_after_a_write_and_not_after_a_read(void **state)
{
    const Fixture *fixture = *state;
    CstFileStamp before = cst_file_stamp(fixture->fd), now, none = cst_file_stamp(-1);
    int fd = open(fixture->path, O_RDWR | O_CLOEXEC);
    char byte;

    assert_int_equal(pread(fixture->fd, &byte, 1, 0), 1);
    now = cst_file_stamp(fixture->fd);
    assert_false(cst_file_stamp_differs(&before, &now));
    do { /* the kernel's clock for files may have ticks */
        assert_int_equal(pwrite(fd, "x", 1, 0), 1);
        now = cst_file_stamp(fixture->fd);
    } while (!cst_file_stamp_differs(&before, &now));
    assert_false(cst_file_stamp_differs(&none, &now));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_process_with_descriptor_for_writing_is_found, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_process_with_mapping_and_no_descriptor_is_found,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_descriptors_do_not_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_without_writer_costs_no_search, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_writer_that_closes_during_the_search_is_not_reported,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_child_that_ends_after_the_search_counts_as_ending,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_is_repeated_only_for_a_lease, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stamp_differs_after_a_write_and_not_after_a_read,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
