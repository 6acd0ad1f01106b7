/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver lock (see the header).
 *
 * A holder may unlink the file while others wait for it, so a lock counts only if the locked file
 * is still the one at the path; otherwise the path is opened again. POSIX locks cannot be waited
 * for with a timeout: the lock is polled every RETRY_US.
 *
 * The file contains the holder's pid while the lock is held, and is empty after it was released.
 */
#include <store/driver_lock.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/process.h>
#include <base/test_point.h>

#define RETRY_US 10000 /* between two attempts to lock */
/* A user who can read the file could hold a read lock on it, and no manager would start again. */
#define FILE_MODE 0600

struct CstDriverLock {
    CstDriver driver;
    char *dir;
    mode_t dir_mode; /* as libvirt creates it */
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
    /* While the lock is held: nobody else can have acquired the file that is unlinked. */
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

    /* If the lock was released meanwhile the pid stays 0, described as "another process". */
    fcntl(fd, F_GETLK, &query);
    return cst_process_describe(query.l_pid);
}

char *cst_driver_lock_holder(const CstPaths *paths)
{
    struct flock query = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    g_autofree char *path = g_build_filename(paths->pool_run_dir, "driver.pid", NULL);
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || fcntl(fd, F_GETLK, &query) < 0 || query.l_type == F_UNLCK)
        return NULL;
    return describe_holder(fd);
}

/* The file may be one of libvirt's daemons, or of an older version, which create it as 0644. */
static void lock_file_tighten(int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) && fchmod(fd, FILE_MODE) < 0)
        cst_log(CST_LOG_WARNING, "cannot change the mode of '%s': %s", path, g_strerror(errno));
}

typedef enum { TRY_ACQUIRED, TRY_HELD, TRY_STALE, TRY_FAILED } TryResult;

/* TRY_STALE: @fd is locked but no longer the file at @path, as its holder has unlinked it. */
static TryResult try_lock(int fd, const char *path, GError **error)
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

static gboolean fail_held(const CstDriverLock *lock, const char *holder, GError **error)
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
        switch (try_lock(fd, lock->path, error)) {
        case TRY_ACQUIRED: lock->fd = g_steal_fd(&fd); return TRUE;
        case TRY_FAILED: return FALSE;
        /* Closing the descriptor releases the lock on the file that is gone. */
        case TRY_STALE: continue;
        case TRY_HELD: break;
        }
        if (g_get_monotonic_time() >= deadline) {
            holder = describe_holder(fd);
            return fail_held(lock, holder, error);
        }
        CST_TEST_POINT("driver_lock.acquire.wait");
        g_usleep(RETRY_US);
    }
}

void cst_driver_lock_release(CstDriverLock *lock)
{
    if (lock->fd < 0)
        return;
    /* So that nobody takes the pid for a holder's; a failure to do so harms nothing. */
    if (ftruncate(lock->fd, 0) < 0)
        cst_log(CST_LOG_DEBUG, "cannot empty '%s'", lock->path);
    /* The file stays: others may be waiting for it. */
    cst_fd_clear(&lock->fd);
}

gboolean cst_driver_lock_is_held(const CstDriverLock *lock)
{
    return lock->fd >= 0;
}
