/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver lock (see the header).
 *
 * A holder may unlink the file while other processes wait for it. So a lock counts only if the
 * locked file is still the file at the path; otherwise the path is opened again. POSIX locks have
 * no wait with a timeout, so the lock is polled every RETRY_US.
 *
 * A holder that was killed while one of its threads hangs in the kernel keeps the lock until the
 * kernel releases that thread, which may never happen. It makes no further changes, so its file is
 * unlinked and the next file is locked. flock(2) on the old file makes this one step among the
 * processes that try it. The second process finds another file at the path and does not unlink it.
 *
 * The file contains the holder's pid while the lock is held, and is empty after it was released.
 */
#include <store/driver_lock.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/process.h>
#include <base/test_point.h>

#define RETRY_US 10000 /* between two attempts to lock */
/*
 * A user that can read the file could hold a read lock on it and so prevent every manager from
 * starting.
 */
#define FILE_MODE 0600

struct CstDriverLock {
    CstDriver driver;
    char *dir;
    mode_t dir_mode; /* mode with which libvirt creates it */
    char *path;
    CstFd fd;
};

CstDriverLock *cst_driver_lock_new(const CstPaths *paths, CstDriver driver)
{
    CstDriverLock *lock = g_new0(CstDriverLock, 1);

    lock->driver = driver;
    lock->dir =
        g_strdup(driver == CST_DRIVER_STORAGE ? paths->pool_run_dir : paths->secret_run_dir);
    lock->dir_mode = driver == CST_DRIVER_STORAGE ? 0755 : 0700;
    lock->path = g_build_filename(lock->dir, "driver.pid", NULL);
    lock->fd = -1;
    return lock;
}

void cst_driver_lock_free(CstDriverLock *lock)
{
    if (!lock)
        return;
    /* The lock is still held, so no other process can have locked the file that is unlinked. */
    if (lock->fd >= 0)
        unlink(lock->path);
    cst_driver_lock_release(lock);
    g_free(lock->dir);
    g_free(lock->path);
    g_free(lock);
}

/* Describes the process that holds the lock on @fd. The caller frees the text. */
static char *describe_holder(int fd)
{
    struct flock query = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    /* If the lock was released since, the pid remains 0 and is described as "another process". */
    fcntl(fd, F_GETLK, &query);
    return cst_process_describe(query.l_pid);
}

/* Returns the pid of the holder of the lock of @driver, 0 if it is unknown; -1: no holder. */
static int64_t holder_pid(const CstPaths *paths, CstDriver driver)
{
    const char *dir = driver == CST_DRIVER_SECRET ? paths->secret_run_dir : paths->pool_run_dir;
    struct flock query = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    g_autofree char *path = g_build_filename(dir, "driver.pid", NULL);
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || fcntl(fd, F_GETLK, &query) < 0 || query.l_type == F_UNLCK)
        return -1;
    return query.l_pid;
}

char *cst_driver_lock_holder(const CstPaths *paths, CstDriver driver)
{
    int64_t pid = holder_pid(paths, driver);

    return pid < 0 ? NULL : cst_process_describe(pid);
}

gboolean cst_driver_lock_is_of_daemon(const CstPaths *paths)
{
    int64_t pid = holder_pid(paths, CST_DRIVER_STORAGE);
    g_autofree char *command = pid > 0 ? cst_process_command(pid) : NULL;

    return command && !cst_process_is_ending(pid) &&
           (strcmp(command, "cisternd") == 0 || strcmp(command, "virtstoraged") == 0);
}

/* libvirt's daemons and older versions create the file with mode 0644. */
static void lock_file_tighten(int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) && fchmod(fd, FILE_MODE) < 0)
        cst_log(CST_LOG_WARNING, "cannot change the mode of '%s': %s", path, g_strerror(errno));
}

/* Unlinks the file at @path if it is the file of @fd and its holder is ending. */
static void drop_file_of_ending(int fd, const char *path)
{
    struct flock query = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    struct stat held, current;

    if (fcntl(fd, F_GETLK, &query) < 0 || query.l_type == F_UNLCK ||
        !cst_process_is_ending(query.l_pid) || flock(fd, LOCK_EX) < 0)
        return;
    if (fstat(fd, &held) == 0 && stat(path, &current) == 0 && held.st_ino == current.st_ino) {
        cst_log(CST_LOG_WARNING, "process %d is ending and keeps the lock on '%s': replacing it",
                (int)query.l_pid, path);
        unlink(path);
    }
    flock(fd, LOCK_UN);
}

typedef enum { TRY_ACQUIRED, TRY_HELD, TRY_STALE, TRY_FAILED } TryResult;

/*
 * TRY_STALE: @fd is locked, but its holder has unlinked the file, so it is not the file at @path.
 */
static TryResult driver_lock_try(int fd, const char *path, GError **error)
{
    struct flock request = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    struct stat ours, current;
    char pid[32];

    if (fcntl(fd, F_SETLK, &request) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return TRY_HELD;
        cst_fail_errno(error, errno, _("cannot lock '%s'"), path);
        return TRY_FAILED;
    }
    if (fstat(fd, &ours) < 0 || stat(path, &current) < 0 || ours.st_ino != current.st_ino)
        return TRY_STALE;
    g_snprintf(pid, sizeof(pid), "%d", (int)getpid());
    if (ftruncate(fd, 0) < 0) {
        cst_fail_errno(error, errno, _("cannot write '%s'"), path);
        return TRY_FAILED;
    }
    return cst_pwrite_full(fd, pid, strlen(pid), 0, path, error) ? TRY_ACQUIRED : TRY_FAILED;
}

static gboolean driver_lock_fail_held(const CstDriverLock *lock, const char *holder, GError **error)
{
    if (lock->driver == CST_DRIVER_SECRET)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("%s manages the secrets (it holds '%s'); change them through it, or "
                          "stop it"),
                        holder, lock->path);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("%s manages the storage definitions (it holds '%s'); stop it, or connect to "
                      "it with -c"),
                    holder, lock->path);
}

gboolean cst_driver_lock_acquire(CstDriverLock *lock, unsigned timeout_ms, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    if (!cst_dir_ensure(lock->dir, lock->dir_mode, error))
        return FALSE;
    for (;;) {
        g_auto(CstFd) fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
        g_autofree char *holder = NULL;

        if (fd < 0)
            return cst_fail_errno(error, errno, _("cannot open '%s'"), lock->path);
        lock_file_tighten(fd, lock->path);
        CST_TEST_POINT("driver_lock.acquire.opened");
        switch (driver_lock_try(fd, lock->path, error)) {
        case TRY_ACQUIRED: lock->fd = g_steal_fd(&fd); return TRUE;
        case TRY_FAILED: return FALSE;
        /* Closing the descriptor releases the lock on the unlinked file. */
        case TRY_STALE: continue;
        case TRY_HELD: drop_file_of_ending(fd, lock->path); break;
        }
        if (g_get_monotonic_time() >= deadline) {
            holder = describe_holder(fd);
            return driver_lock_fail_held(lock, holder, error);
        }
        CST_TEST_POINT("driver_lock.acquire.wait");
        g_usleep(RETRY_US);
    }
}

void cst_driver_lock_release(CstDriverLock *lock)
{
    if (lock->fd < 0)
        return;
    /* So that the pid is not mistaken for a holder's. A failure is harmless. */
    if (ftruncate(lock->fd, 0) < 0)
        cst_log(CST_LOG_DEBUG, "cannot empty '%s'", lock->path);
    /* The file remains, because other processes may be waiting for it. */
    cst_fd_clear(&lock->fd);
}

/*
 * POSIX locks belong to the process, so any descriptor of the file can release them. The pid is
 * removed before the release, because afterwards the file may have a successor's pid.
 */
static void lock_file_give_up(const char *dir)
{
    struct flock request = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_len = 1};
    g_autofree char *path = g_build_filename(dir, "driver.pid", NULL);
    g_auto(CstFd) fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    char pid[32] = "";

    if (fd < 0 || pread(fd, pid, sizeof(pid) - 1, 0) < 0 ||
        g_ascii_strtoll(pid, NULL, 10) != getpid())
        return;
    if (ftruncate(fd, 0) < 0 || fcntl(fd, F_SETLK, &request) < 0)
        cst_log(CST_LOG_WARNING, "cannot unlock '%s': %s", path, g_strerror(errno));
}

void cst_driver_locks_give_up(const CstPaths *paths)
{
    lock_file_give_up(paths->secret_run_dir);
    lock_file_give_up(paths->pool_run_dir);
}

gboolean cst_driver_lock_is_held(const CstDriverLock *lock)
{
    return lock->fd >= 0;
}
