/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * LD_PRELOAD=fail.so CST_FAULT_LOG=LOG [CST_FAULT=KIND:NUMBER:ERROR[+]] CST_FAULT_BELOW=DIR[:DIR…]
 * program…
 *
 * Counts the system calls of each kind that concern files below the directories. The NUMBER'th one
 * of KIND, counted from 1, fails with ERROR; with "+", so does each later one of the kind. Each
 * call is a line "KIND PATH" of LOG, and the failed one has a '!' before its kind.
 *
 * The kinds are write, allocate, size, sync, rename, link, mkdir, unlink and open. Calls by way of
 * io_uring are not seen.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef long (*Syscall)(long number, ...);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *below = "";
static char wanted_kind[16];
static long wanted_number, passed;
static int wanted_error;
static bool lasts;

/* Constructors of other libraries get here before begin() has run. */
static Syscall kernel_call(void)
{
    static Syscall found;

    if (!found)
        found = (Syscall)dlsym(RTLD_NEXT, "syscall");
    return found;
}

#define kernel kernel_call()

__attribute__((constructor)) static void begin(void)
{
    static const struct {
        const char *name;
        int number;
    } errors[] = {{"ENOSPC", ENOSPC},
                  {"EIO", EIO},
                  {"EDQUOT", EDQUOT},
                  {"EMFILE", EMFILE},
                  {"ENOMEM", ENOMEM}};
    const char *path = getenv("CST_FAULT_LOG"), *fault = getenv("CST_FAULT");
    char name[16] = "", last = 0;

    below = getenv("CST_FAULT_BELOW") ? getenv("CST_FAULT_BELOW") : "";
    if (fault &&
        sscanf(fault, "%15[a-z]:%ld:%15[A-Z]%c", wanted_kind, &wanted_number, name, &last) < 3)
        abort();
    lasts = last == '+';
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (strcmp(errors[i].name, name) == 0)
            wanted_error = errors[i].number;
    if (fault && !wanted_error)
        abort();
    if (path)
        log_fd = (int)kernel(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
                             0600);
}

/* --- the files that count --------------------------------------------------------------------- */

static bool is_below(const char *path)
{
    for (const char *dir = below; *dir;) {
        size_t len = strcspn(dir, ":");

        if (len > 0 && strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0'))
            return true;
        dir += len + (dir[len] == ':');
    }
    return false;
}

static bool path_of_fd(int fd, char *path)
{
    char name[64];
    ssize_t len;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    len = readlink(name, path, PATH_MAX - 1);
    if (len < 0)
        return false;
    path[len] = '\0';
    return true;
}

/* The path that @name means in directory @dirfd, without regard to "..". */
static bool path_of_name(int dirfd, const char *name, char *path)
{
    char dir[PATH_MAX];

    if (name[0] == '/')
        return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
    if (dirfd == AT_FDCWD ? !getcwd(dir, sizeof(dir)) : !path_of_fd(dirfd, dir))
        return false;
    return snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

/* Notes a call about @path. Returns whether it fails; errno is set then. */
static bool fails(const char *kind, const char *path)
{
    char line[PATH_MAX + 32];
    bool failed = false;
    int saved = errno, len;

    if (log_fd < 0 || !is_below(path))
        return false;
    pthread_mutex_lock(&lock);
    if (wanted_error && strcmp(kind, wanted_kind) == 0) {
        passed++;
        failed = passed == wanted_number || (lasts && passed > wanted_number);
    }
    len = snprintf(line, sizeof(line), "%s%s %s\n", failed ? "!" : "", kind, path);
    kernel(SYS_write, log_fd, line, (size_t)len);
    pthread_mutex_unlock(&lock);
    errno = failed ? wanted_error : saved;
    return failed;
}

static bool fd_fails(const char *kind, int fd)
{
    char path[PATH_MAX];
    int saved = errno;
    bool known = path_of_fd(fd, path);

    errno = saved;
    return known && fails(kind, path);
}

static bool name_fails(const char *kind, int dirfd, const char *name)
{
    char path[PATH_MAX];
    int saved = errno;
    bool known = name && path_of_name(dirfd, name, path);

    errno = saved;
    return known && fails(kind, path);
}

/* --- the calls -------------------------------------------------------------------------------- */

#define FD_CALL(kind, type, name, declared, number, ...)                        \
    type name declared;                                                         \
    type name declared                                                          \
    {                                                                           \
        return fd_fails(kind, fd) ? -1 : (type)kernel(number, fd, __VA_ARGS__); \
    }

FD_CALL("write", ssize_t, write, (int fd, const void *data, size_t len), SYS_write, data, len)
FD_CALL("write", ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at), SYS_pwrite64,
        data, len, at)
FD_CALL("write", ssize_t, pwrite64, (int fd, const void *data, size_t len, off_t at), SYS_pwrite64,
        data, len, at)
FD_CALL("write", ssize_t, writev, (int fd, const struct iovec *parts, int count), SYS_writev, parts,
        count)
FD_CALL("write", ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at),
        SYS_pwritev, parts, count, at, 0)
FD_CALL("write", ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off_t at),
        SYS_pwritev, parts, count, at, 0)
FD_CALL("allocate", int, fallocate, (int fd, int mode, off_t at, off_t len), SYS_fallocate, mode,
        at, len)
FD_CALL("allocate", int, fallocate64, (int fd, int mode, off_t at, off_t len), SYS_fallocate, mode,
        at, len)
FD_CALL("size", int, ftruncate, (int fd, off_t size), SYS_ftruncate, size)
FD_CALL("size", int, ftruncate64, (int fd, off_t size), SYS_ftruncate, size)
FD_CALL("sync", int, fsync, (int fd), SYS_fsync, 0)
FD_CALL("sync", int, fdatasync, (int fd), SYS_fdatasync, 0)

int renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
    return name_fails("rename", to, b) ? -1 : (int)kernel(SYS_renameat2, from, a, to, b, flags);
}

int renameat(int from, const char *a, int to, const char *b)
{
    return renameat2(from, a, to, b, 0);
}

int rename(const char *a, const char *b)
{
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, 0);
}

int linkat(int from, const char *a, int to, const char *b, int flags)
{
    return name_fails("link", to, b) ? -1 : (int)kernel(SYS_linkat, from, a, to, b, flags);
}

int link(const char *a, const char *b)
{
    return linkat(AT_FDCWD, a, AT_FDCWD, b, 0);
}

int symlinkat(const char *target, int dirfd, const char *name)
{
    return name_fails("link", dirfd, name) ? -1 : (int)kernel(SYS_symlinkat, target, dirfd, name);
}

int symlink(const char *target, const char *name)
{
    return symlinkat(target, AT_FDCWD, name);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
    return name_fails("mkdir", dirfd, name) ? -1 : (int)kernel(SYS_mkdirat, dirfd, name, mode);
}

int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}

int unlinkat(int dirfd, const char *name, int flags)
{
    return name_fails("unlink", dirfd, name) ? -1 : (int)kernel(SYS_unlinkat, dirfd, name, flags);
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
    return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

#define MODE_OF(flags, mode) ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? (mode) : 0)

static int open_at(int dirfd, const char *name, int flags, mode_t mode)
{
    return name_fails("open", dirfd, name)
               ? -1
               : (int)kernel(SYS_openat, dirfd, name, flags, MODE_OF(flags, mode));
}

#define OPENING(name, declared, dirfd)               \
    int name declared                                \
    {                                                \
        mode_t mode;                                 \
        va_list rest;                                \
                                                     \
        va_start(rest, flags);                       \
        mode = MODE_OF(flags, va_arg(rest, mode_t)); \
        va_end(rest);                                \
        return open_at(dirfd, path, flags, mode);    \
    }

int open64(const char *path, int flags, ...);
int openat64(int dir, const char *path, int flags, ...);

OPENING(open, (const char *path, int flags, ...), AT_FDCWD)
OPENING(open64, (const char *path, int flags, ...), AT_FDCWD)
OPENING(openat, (int dir, const char *path, int flags, ...), dir)
OPENING(openat64, (int dir, const char *path, int flags, ...), dir)

/* The C library has no openat2(). */
long syscall(long number, ...)
{
    long a[6];
    va_list rest;

    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_openat2 && name_fails("open", (int)a[0], (const char *)a[1]))
        return -1;
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
