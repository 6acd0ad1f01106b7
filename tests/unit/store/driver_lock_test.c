/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"
#include "recorder.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <store/driver_lock.h>

#define FILE_NAME "driver.pid"
#define NOBODY    65534

/* A clock that advances only on request. */
static gint64 now;

gint64 __wrap_g_get_monotonic_time(void);

gint64 __wrap_g_get_monotonic_time(void)
{
    return now;
}

static void pass_10_ms(gpointer unused)
{
    now += 10 * G_TIME_SPAN_MILLISECOND;
}

static void acquired_lock_has_our_pid_and_a_released_one_is_empty(void **state)
{
    Scratch *s = *state;
    g_autofree char *path = g_build_filename(s->paths->pool_run_dir, FILE_NAME, NULL);
    g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
    g_autofree char *taken = NULL;
    g_autofree char *released = NULL;
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);

    assert_false(cst_driver_lock_is_held(lock));
    scratch_put(s->paths->pool_run_dir, FILE_NAME, "a pid that is longer than ours");
    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    assert_true(cst_driver_lock_is_held(lock));
    assert_true(g_file_get_contents(path, &taken, NULL, NULL));
    assert_string_equal(taken, pid);
    cst_driver_lock_release(lock);
    assert_false(cst_driver_lock_is_held(lock));
    cst_driver_lock_release(lock);
    assert_true(g_file_get_contents(path, &released, NULL, NULL));
    assert_string_equal(released, "");
    cst_driver_lock_free(lock);
    assert_int_not_equal(scratch_mode(s->paths->pool_run_dir, FILE_NAME), -1);
}

static void manager_removes_its_file_at_its_end(void **state)
{
    Scratch *s = *state;
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);

    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    assert_int_equal(scratch_mode(s->paths->pool_run_dir, FILE_NAME), 0600);
    cst_driver_lock_free(lock);
    assert_int_equal(scratch_mode(s->paths->pool_run_dir, FILE_NAME), -1);
    cst_driver_lock_free(NULL);
}

static void each_driver_has_a_file_and_a_directory_of_its_own(void **state)
{
    Scratch *s = *state;
    CstDriverLock *storage = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);
    CstDriverLock *secret = cst_driver_lock_new(s->paths, CST_DRIVER_SECRET);

    assert_true(cst_driver_lock_acquire(storage, 0, NULL));
    assert_true(cst_driver_lock_acquire(secret, 0, NULL));
    assert_int_equal(scratch_mode(s->paths->pool_run_dir, "."), 0755);
    assert_int_equal(scratch_mode(s->paths->secret_run_dir, "."), 0700);
    assert_int_equal(scratch_mode(s->paths->secret_run_dir, FILE_NAME), 0600);
    cst_driver_lock_free(storage);
    cst_driver_lock_free(secret);
}

static void file_that_cannot_be_opened_is_reported(void **state)
{
    Scratch *s = *state;
    g_autofree char *path = g_build_filename(s->paths->pool_run_dir, FILE_NAME, NULL);
    g_autofree char *target = g_build_filename(s->root, "target", NULL);
    g_autoptr(GError) error = NULL;
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);

    /* The directory is ours. Still, neither libvirt nor Cistern would create a link in it. */
    scratch_put(s->root, "target", "kept");
    assert_int_equal(g_mkdir_with_parents(s->paths->pool_run_dir, 0755), 0);
    assert_int_equal(symlink(target, path), 0);
    scratch_failed(cst_driver_lock_acquire(lock, 0, &error), &error, CST_ERROR_IO);
    assert_false(cst_driver_lock_is_held(lock));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(s->paths->pool_run_dir), 0);
    scratch_block(s->paths->pool_run_dir);
    scratch_failed(cst_driver_lock_acquire(lock, 0, &error), &error, CST_ERROR_IO);
    cst_driver_lock_free(lock);
}

/* Another process, which holds a lock from its start until it gets a command. */
typedef struct {
    pid_t pid;
    int tell; /* a byte: frees the lock; end of file: the process exits */
} Holder;

static Holder start_holder(Scratch *s, CstDriver driver)
{
    int told[2], ready[2];
    Holder holder;
    char byte;

    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(ready), 0);
    holder.pid = fork();
    if (holder.pid == 0) {
        CstDriverLock *lock = cst_driver_lock_new(s->paths, driver);

        close(told[1]);
        if (!cst_driver_lock_acquire(lock, 0, NULL) || write(ready[1], "r", 1) != 1)
            _exit(1);
        if (read(told[0], &byte, 1) == 1)
            cst_driver_lock_free(lock);
        _exit(read(told[0], &byte, 1) != 0);
    }
    close(told[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    holder.tell = told[1];
    return holder;
}

static void end_holder(Holder *holder)
{
    int status;

    close(holder->tell);
    assert_int_equal(waitpid(holder->pid, &status, 0), holder->pid);
    assert_int_equal(status, 0);
}

static void holder_of_the_lock_is_named(void **state)
{
    static const char *const managed[] = {
        [CST_DRIVER_STORAGE] = "the storage definitions", [CST_DRIVER_SECRET] = "the secrets"};
    Scratch *s = *state;

    for (CstDriver driver = CST_DRIVER_STORAGE; driver <= CST_DRIVER_SECRET; driver++) {
        Holder holder = start_holder(s, driver);
        CstDriverLock *lock = cst_driver_lock_new(s->paths, driver);
        g_autofree char *pid = g_strdup_printf("process %d (", (int)holder.pid);
        g_autofree char *described = cst_driver_lock_holder(s->paths, CST_DRIVER_STORAGE);
        g_autoptr(GError) error = NULL;

        point_run_always("driver_lock.acquire.wait", pass_10_ms, NULL);
        assert_false(cst_driver_lock_acquire(lock, 30, &error));
        assert_int_equal(point_passed("driver_lock.acquire.wait"), 3);
        points_clear();
        assert_int_equal(cst_error_code(error), CST_ERROR_BUSY);
        assert_non_null(strstr(error->message, pid));
        assert_non_null(strstr(error->message, managed[driver]));
        assert_false(cst_driver_lock_is_held(lock));
        /* Only the storage's is asked for. */
        assert_true(driver == CST_DRIVER_STORAGE ? g_str_has_prefix(described, pid) : !described);
        cst_driver_lock_free(lock);
        end_holder(&holder);
    }
}

static gboolean another_process_acquires(const Scratch *s)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(!cst_driver_lock_acquire(cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE), 0, NULL));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 0;
}

static void another_process_acquires_it_after_the_release_only(void **state)
{
    Scratch *s = *state;
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);

    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    assert_false(another_process_acquires(s));
    cst_driver_lock_release(lock);
    assert_true(another_process_acquires(s));
    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    assert_false(another_process_acquires(s));
    cst_driver_lock_free(lock);
    assert_true(another_process_acquires(s));
}

static void lock_that_is_given_up_is_free_for_another_process(void **state)
{
    Scratch *s = *state;
    g_autofree char *path = g_build_filename(s->paths->pool_run_dir, FILE_NAME, NULL);
    g_autofree char *content = NULL;
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);

    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    assert_false(another_process_acquires(s));
    cst_driver_locks_give_up(s->paths);
    assert_true(g_file_get_contents(path, &content, NULL, NULL));
    assert_string_equal(content, "");
    assert_true(another_process_acquires(s));
    cst_driver_lock_release(lock);
    cst_driver_lock_free(lock);
}

static void pid_of_a_successor_is_kept_when_no_lock_is_given_up(void **state)
{
    Scratch *s = *state;
    g_autofree char *path = g_build_filename(s->paths->pool_run_dir, FILE_NAME, NULL);
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    Holder holder = start_holder(s, CST_DRIVER_STORAGE);

    assert_true(g_file_get_contents(path, &before, NULL, NULL));
    cst_driver_locks_give_up(s->paths);
    assert_true(g_file_get_contents(path, &after, NULL, NULL));
    assert_string_equal(before, after);
    assert_false(another_process_acquires(s));
    end_holder(&holder);
}

static void holder_is_a_daemon_by_its_command_only(void **state)
{
    Scratch *s = *state;
    Holder holder;

    assert_false(cst_driver_lock_is_of_daemon(s->paths));
    holder = start_holder(s, CST_DRIVER_STORAGE);
    assert_false(cst_driver_lock_is_of_daemon(s->paths));
    end_holder(&holder);
    /* The child inherits the name. */
    prctl(PR_SET_NAME, "cisternd");
    holder = start_holder(s, CST_DRIVER_STORAGE);
    assert_true(cst_driver_lock_is_of_daemon(s->paths));
    end_holder(&holder);
    prctl(PR_SET_NAME, "driver-lock");
}

/* A link to a locked file is not the lock. */
static void a_link_has_no_holder(void **state)
{
    Scratch *s = *state;
    g_autofree char *path = g_build_filename(s->paths->pool_run_dir, FILE_NAME, NULL);
    g_autofree char *secret = g_build_filename(s->paths->secret_run_dir, FILE_NAME, NULL);
    Holder holder = start_holder(s, CST_DRIVER_SECRET);

    assert_int_equal(g_mkdir_with_parents(s->paths->pool_run_dir, 0755), 0);
    assert_int_equal(symlink(secret, path), 0);
    assert_null(cst_driver_lock_holder(s->paths, CST_DRIVER_STORAGE));
    end_holder(&holder);
}

static void tell_holder(gpointer data)
{
    assert_int_equal(write(((Holder *)data)->tell, "f", 1), 1);
}

static void it_is_waited_for(void **state)
{
    Scratch *s = *state;
    Holder holder = start_holder(s, CST_DRIVER_STORAGE);
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);

    /* The clock is stopped, so the wait has no timeout. */
    point_run("driver_lock.acquire.wait", tell_holder, &holder);
    /* The file of the wait is removed. The acquired lock is one on the present file. */
    assert_true(cst_driver_lock_acquire(lock, 1, NULL));
    points_clear();
    assert_int_equal(scratch_mode(s->paths->pool_run_dir, FILE_NAME), 0600);
    cst_driver_lock_free(lock);
    end_holder(&holder);
}

static void remove_file(gpointer path)
{
    assert_int_equal(unlink(path), 0);
}

/* Another holder has removed its file and made a new one. */
static void replace_file(gpointer data)
{
    g_autofree char *kept = g_strconcat(data, ".kept", NULL);

    /* The inode stays in use, so that the new file has another one. */
    assert_int_equal(rename(data, kept), 0);
    assert_true(g_file_set_contents(data, "", 0, NULL));
}

static void a_lock_on_a_file_that_was_replaced_is_no_lock(void **state)
{
    Scratch *s = *state;
    g_autofree char *path = g_build_filename(s->paths->pool_run_dir, FILE_NAME, NULL);
    g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
    g_autofree char *text = NULL;
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);

    point_run("driver_lock.acquire.opened", replace_file, path);
    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    points_clear();
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_string_equal(text, pid);
    cst_driver_lock_free(lock);
}

/* Otherwise another process could acquire it, and its file would be removed. */
static void the_file_is_removed_before_the_lock_is_released(void **state)
{
    Scratch *s = *state;
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);
    g_autofree char *released = NULL, *freed = NULL;

    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    recorder_begin(s->paths->pool_run_dir);
    cst_driver_lock_release(lock);
    released = recorder_end();
    assert_string_equal(released, "truncate " FILE_NAME);
    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    recorder_begin(s->paths->pool_run_dir);
    cst_driver_lock_free(lock);
    freed = recorder_end();
    assert_string_equal(freed, "remove " FILE_NAME "; truncate " FILE_NAME " (deleted)");
}

typedef struct {
    Scratch *scratch;
    CstDriverLock *lock;
} Attempt;

static void prepare_empty_file(gpointer data)
{
    Attempt *attempt = data;
    g_autofree char *path =
        g_build_filename(attempt->scratch->paths->pool_run_dir, FILE_NAME, NULL);

    g_clear_pointer(&attempt->lock, cst_driver_lock_free);
    scratch_put(attempt->scratch->paths->pool_run_dir, FILE_NAME, "");
    assert_int_equal(chmod(path, 0600), 0);
}

static gboolean acquire_anew(gpointer data, GError **error)
{
    Attempt *attempt = data;

    g_clear_pointer(&attempt->lock, cst_driver_lock_free);
    attempt->lock = cst_driver_lock_new(attempt->scratch->paths, CST_DRIVER_STORAGE);
    return cst_driver_lock_acquire(attempt->lock, 0, error);
}

static void each_failed_step_is_an_error_and_no_lock(void **state)
{
    Attempt attempt = {.scratch = *state};
    const char *dir = attempt.scratch->paths->pool_run_dir;
    const RecordedSteps steps = {dir, prepare_empty_file, acquire_anew, &attempt, NULL};
    g_autofree char *text = recorder_fail_each(&steps);

    assert_string_equal(text, "create " FILE_NAME "; lock " FILE_NAME "; truncate " FILE_NAME
                              "; write " FILE_NAME);
    cst_driver_lock_free(attempt.lock);
}

static void lock_on_a_removed_file_is_acquired_again(void **state)
{
    Scratch *s = *state;
    g_autofree char *path = g_build_filename(s->paths->pool_run_dir, FILE_NAME, NULL);
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);

    point_run("driver_lock.acquire.opened", remove_file, path);
    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    points_clear();
    assert_int_equal(scratch_mode(s->paths->pool_run_dir, FILE_NAME), 0600);
    cst_driver_lock_free(lock);
}

/* Return: 0 or errno of another user who opens @path and locks it for reading. */
static int read_lock_of_another_user(const char *path)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct flock request = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
        int fd;

        if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
            _exit(255);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        _exit(fd >= 0 && fcntl(fd, F_SETLK, &request) == 0 ? 0 : errno);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void another_user_can_not_lock_the_file_for_reading(void **state)
{
    Scratch *s = *state;
    g_autofree char *path = g_build_filename(s->paths->pool_run_dir, FILE_NAME, NULL);
    CstDriverLock *lock = cst_driver_lock_new(s->paths, CST_DRIVER_STORAGE);

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(s->root, 0755), 0);
    assert_int_equal(g_mkdir_with_parents(s->paths->pool_run_dir, 0755), 0);
    /* As libvirt's daemons leave it. */
    scratch_put(s->paths->pool_run_dir, FILE_NAME, "");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(read_lock_of_another_user(path), 0);
    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    cst_driver_lock_release(lock);
    assert_int_equal(read_lock_of_another_user(path), EACCES);
    assert_true(cst_driver_lock_acquire(lock, 0, NULL));
    cst_driver_lock_free(lock);
}

static void missing_or_unlocked_file_has_no_holder(void **state)
{
    Scratch *s = *state;
    g_autoptr(GError) error = NULL;

    assert_null(cst_driver_lock_holder(s->paths, CST_DRIVER_STORAGE));
    scratch_put(s->paths->pool_run_dir, FILE_NAME, "1");
    assert_null(cst_driver_lock_holder(s->paths, CST_DRIVER_STORAGE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(acquired_lock_has_our_pid_and_a_released_one_is_empty),
        scratch_test(manager_removes_its_file_at_its_end),
        scratch_test(another_user_can_not_lock_the_file_for_reading),
        scratch_test(each_driver_has_a_file_and_a_directory_of_its_own),
        scratch_test(file_that_cannot_be_opened_is_reported),
        scratch_test(holder_of_the_lock_is_named),
        scratch_test(another_process_acquires_it_after_the_release_only),
        scratch_test(lock_that_is_given_up_is_free_for_another_process),
        scratch_test(pid_of_a_successor_is_kept_when_no_lock_is_given_up),
        scratch_test(holder_is_a_daemon_by_its_command_only),
        scratch_test(a_link_has_no_holder),
        scratch_test(it_is_waited_for),
        scratch_test(lock_on_a_removed_file_is_acquired_again),
        scratch_test(a_lock_on_a_file_that_was_replaced_is_no_lock),
        scratch_test(the_file_is_removed_before_the_lock_is_released),
        scratch_test(each_failed_step_is_an_error_and_no_lock),
        scratch_test(missing_or_unlocked_file_has_no_holder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
