/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The index of the users of several files: locks, writers, limits of its content, cancellation. */
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

#include <base/error.h>
#include <base/file_users.h>

enum { WANTED, WANTED_TOO, UNWANTED, FILES };

static const CstFileBytes lock_bytes = {3, {100, 101, 201}};

typedef struct {
    char path[FILES][64];
    int fd[FILES]; /* for reading */
    pid_t child;
} Fixture;

static int set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    for (int i = 0; i < FILES; i++) {
        int fd;

        g_strlcpy(fixture->path[i], "/var/tmp/cistern-users-XXXXXX", sizeof(fixture->path[i]));
        fd = mkstemp(fixture->path[i]);
        assert_int_equal(ftruncate(fd, 4096), 0);
        close(fd);
        fixture->fd[i] = open(fixture->path[i], O_RDONLY | O_CLOEXEC);
        assert_true(fixture->fd[i] >= 0);
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    if (fixture->child > 0) {
        kill(fixture->child, SIGKILL);
        waitpid(fixture->child, NULL, 0);
    }
    for (int i = 0; i < FILES; i++) {
        close(fixture->fd[i]);
        unlink(fixture->path[i]);
    }
    g_free(fixture);
    return 0;
}

/* Starts a child that runs @act and keeps its files until the end of the test. */
static void child_start(Fixture *fixture, gboolean (*act)(const Fixture *fixture))
{
    int ready[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    fixture->child = fork();
    if (fixture->child == 0) {
        for (int i = 0; i < FILES; i++)
            close(fixture->fd[i]);
        if (act(fixture) && write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
}

static CstFileUsers *users_search(const Fixture *fixture)
{
    CstFileUsers *users = cst_file_users_new(&lock_bytes);

    cst_file_users_want(users, fixture->fd[WANTED]);
    cst_file_users_want(users, fixture->fd[WANTED_TOO]);
    cst_file_users_want(users, fixture->fd[WANTED]);
    cst_file_users_want(users, -1);
    assert_int_equal(cst_file_users_wanted(users), 2);
    assert_true(cst_file_users_search(users, NULL, NULL));
    return users;
}

/* Returns the entry of process @pid for the file; NULL if there is none. Fails if there are two. */
static const CstFileUser *user_find(const CstFileUsers *users, int fd, pid_t pid)
{
    const GArray *found = cst_file_users_of(users, fd);
    const CstFileUser *user = NULL;

    for (guint i = 0; found && i < found->len; i++) {
        if (g_array_index(found, CstFileUser, i).pid != pid)
            continue;
        assert_null(user);
        user = &g_array_index(found, CstFileUser, i);
    }
    return user;
}

static gboolean lock_and_write(const Fixture *fixture)
{
    int locked = open(fixture->path[WANTED], O_RDONLY | O_CLOEXEC);
    int written = open(fixture->path[WANTED_TOO], O_WRONLY | O_CLOEXEC);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 100};

    return written >= 0 && fcntl(locked, F_OFD_SETLK, &lock) == 0;
}

static void one_search_finds_the_users_of_all_wanted_files(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(CstFileUsers) users = NULL;
    const CstFileUser *user;

    child_start(fixture, lock_and_write);
    users = users_search(fixture);
    user = user_find(users, fixture->fd[WANTED], fixture->child);
    assert_non_null(user);
    assert_false(user->writes);
    assert_int_equal(user->locked, 1 << 1); /* 101 to 200: neither 100 nor 201 */
    user = user_find(users, fixture->fd[WANTED_TOO], fixture->child);
    assert_non_null(user);
    assert_true(user->writes);
    assert_int_equal(user->locked, 0);
}

/* The test itself reads both files. Other users must not be able to fill the index as it does. */
static void reader_without_lock_has_no_entry(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(CstFileUsers) users = NULL;

    child_start(fixture, lock_and_write);
    users = users_search(fixture);
    assert_null(user_find(users, fixture->fd[WANTED], getpid()));
    assert_int_equal(cst_file_users_of(users, fixture->fd[WANTED])->len, 1);
    assert_int_equal(cst_file_users_of(users, fixture->fd[WANTED_TOO])->len, 1);
}

static gboolean open_often(const Fixture *fixture)
{
    for (int i = 0; i < 200; i++)
        if (open(fixture->path[UNWANTED], O_RDWR | O_CLOEXEC) < 0 ||
            open(fixture->path[WANTED], i == 7 ? O_RDWR : O_RDONLY) < 0)
            return FALSE;
    return TRUE;
}

static void process_with_many_descriptors_has_one_entry_for_each_wanted_file(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(CstFileUsers) users = NULL;

    child_start(fixture, open_often);
    users = users_search(fixture);
    assert_true(user_find(users, fixture->fd[WANTED], fixture->child)->writes);
    assert_int_equal(cst_file_users_of(users, fixture->fd[WANTED])->len, 1);
    assert_null(cst_file_users_of(users, fixture->fd[UNWANTED]));
    assert_int_equal(cst_file_users_wanted(users), 2);
}

static gboolean map_and_close(const Fixture *fixture)
{
    int fd = open(fixture->path[WANTED], O_RDWR | O_CLOEXEC);

    return mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED && close(fd) == 0;
}

static void mapping_without_descriptor_is_found(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(CstFileUsers) users = NULL;

    child_start(fixture, map_and_close);
    users = users_search(fixture);
    assert_true(user_find(users, fixture->fd[WANTED], fixture->child)->writes);
    assert_null(user_find(users, fixture->fd[WANTED_TOO], fixture->child));
}

static void cancelled_search_fails(void **state)
{
    const Fixture *fixture = *state;
    g_autoptr(CstFileUsers) users = cst_file_users_new(NULL);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    cst_file_users_want(users, fixture->fd[WANTED]);
    cst_task_cancel(task);
    assert_false(cst_file_users_search(users, task, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_search_finds_the_users_of_all_wanted_files, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(reader_without_lock_has_no_entry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            process_with_many_descriptors_has_one_entry_for_each_wanted_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mapping_without_descriptor_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancelled_search_fails, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
