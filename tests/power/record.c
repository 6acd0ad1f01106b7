/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * LD_PRELOAD=record.so CST_RECORD=LOG CST_RECORD_BELOW=DIR program…
 *
 * Appends to LOG every change that the program makes below DIR, and every sync, in the order in
 * which they happen. tests/power/disk.py plays from that what a disk may hold after a power cut.
 *
 * A record is a line "VERB A B C LENGTH LENGTH", followed by two pieces of bytes of these lengths.
 * Files and directories are named by inode numbers:
 *
 *     create A=directory B=inode C=mode, name      mkdir, symlink, link: the same; symlink: target
 *     rename A=directory B=directory, name, name   remove A=directory, name
 *     write  A=inode B=offset, bytes               zero   A=inode B=offset C=length
 *     size   A=inode B=size                        grow   A=inode B=size (no smaller than it is)
 *     mode   A=inode B=mode                        attr   A=inode, name, value
 *     sync   A=inode                               datasync: the same; syncfs
 *
 * One lock is held over each call and its record, so that the order is the true one. Changes
 * through mapped memory and by calls that are not here go unseen: disk.py compares what it has
 * played to the end with the files that are there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PIECE (1u << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char below[PATH_MAX];

typedef long (*Syscall)(long number, ...);

/* Other libraries' constructors come here before our own has run. */
static Syscall found_syscall(void)
{
    static Syscall found;

    if (!found)
        found = (Syscall)dlsym(RTLD_NEXT, "syscall");
    return found;
}

#define kernel found_syscall()

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CST_RECORD"), *dir = getenv("CST_RECORD_BELOW");

    if (path && dir && realpath(dir, below))
        log_fd = (int)kernel(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
                             0600);
}

typedef struct {
    const void *data;
    size_t len;
} Bytes;

#define NOTHING ((Bytes){NULL, 0})

static Bytes text(const char *string)
{
    return (Bytes){string, strlen(string)};
}

static void note(const char *verb, unsigned long long a, unsigned long long b, unsigned long long c,
                 Bytes one, Bytes two)
{
    char line[256];
    int len = snprintf(line, sizeof(line), "%s %llu %llu %llu %zu %zu\n", verb, a, b, c, one.len,
                       two.len);
    const struct iovec parts[] = {
        {line, (size_t)len}, {(void *)one.data, one.len}, {(void *)two.data, two.len}};

    if (kernel(SYS_writev, log_fd, parts, 3) < 0)
        abort();
}

/* --- what a call is about --------------------------------------------------------------------- */

/* Whether @fd leads below the directory that is watched; *ret_st is what it is. */
static bool is_watched(int fd, struct stat *ret_st)
{
    size_t len = strlen(below);
    char link[64], path[PATH_MAX];
    long n;

    if (log_fd < 0)
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = kernel(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
    if (n < (long)len || memcmp(path, below, len) != 0 || (n > (long)len && path[len] != '/'))
        return false;
    return fstat(fd, ret_st) == 0 && (S_ISREG(ret_st->st_mode) || S_ISDIR(ret_st->st_mode));
}

/* An entry of a directory that is watched. */
typedef struct {
    bool watched;
    unsigned long long dir;
    const char *name;
    bool exists;
    struct stat st; /* of what it is now, if it exists */
} Entry;

static Entry entry_of(int dirfd, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int saved = errno;
    int fd = (int)kernel(SYS_openat, dirfd, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    Entry entry = {.name = slash ? slash + 1 : path};
    struct stat dir;

    if (fd >= 0) {
        entry.watched = is_watched(fd, &dir);
        entry.dir = entry.watched ? dir.st_ino : 0;
        entry.exists = fstatat(fd, entry.name, &entry.st, AT_SYMLINK_NOFOLLOW) == 0;
        close(fd);
    }
    free(parent);
    errno = saved;
    return entry;
}

/* --- files ------------------------------------------------------------------------------------ */

static void note_opened(const Entry *entry, int fd, int flags)
{
    struct stat st;

    if (fd < 0 || !is_watched(fd, &st))
        return;
    if (!entry->exists)
        note("create", entry->dir, st.st_ino, st.st_mode & 07777, text(entry->name), NOTHING);
    else if (flags & O_TRUNC)
        note("size", st.st_ino, 0, 0, NOTHING, NOTHING);
}

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
    Entry entry;
    int fd;

    if (log_fd < 0 || !(flags & (O_CREAT | O_TRUNC)))
        return (int)kernel(SYS_openat, dirfd, path, flags, mode);
    pthread_mutex_lock(&lock);
    entry = entry_of(dirfd, path);
    fd = (int)kernel(SYS_openat, dirfd, path, flags, mode);
    note_opened(&entry, fd, flags);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE_OF(flags, mode) ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? (mode) : 0)

int open(const char *path, int flags, ...)
{
    mode_t mode;
    va_list rest;

    va_start(rest, flags);
    mode = MODE_OF(flags, va_arg(rest, mode_t));
    va_end(rest);
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...)
{
    mode_t mode;
    va_list rest;

    va_start(rest, flags);
    mode = MODE_OF(flags, va_arg(rest, mode_t));
    va_end(rest);
    return open_at(dirfd, path, flags, mode);
}

/* The C library has no openat2: it comes this way, among what does not concern us. */
long syscall(long number, ...)
{
    long a[6], result;
    va_list rest;
    Entry entry;

    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if (number != SYS_openat2 || log_fd < 0 ||
        !(((const struct open_how *)a[2])->flags & (O_CREAT | O_TRUNC)))
        return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    pthread_mutex_lock(&lock);
    entry = entry_of((int)a[0], (const char *)a[1]);
    result = kernel(number, a[0], a[1], a[2], a[3]);
    note_opened(&entry, (int)result, (int)((const struct open_how *)a[2])->flags);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    unsigned long long at = (unsigned long long)offset;
    struct stat st;
    ssize_t left, n;

    pthread_mutex_lock(&lock);
    n = kernel(SYS_pwritev, fd, parts, count, offset, 0);
    if (n > 0 && is_watched(fd, &st)) {
        left = n;
        for (int i = 0; i < count && left > 0; i++) {
            size_t len = parts[i].iov_len < (size_t)left ? parts[i].iov_len : (size_t)left;

            note("write", st.st_ino, at, 0, (Bytes){parts[i].iov_base, len}, NOTHING);
            at += len;
            left -= (ssize_t)len;
        }
    }
    pthread_mutex_unlock(&lock);
    return n;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    const struct iovec part = {(void *)data, len};

    return pwritev(fd, &part, 1, offset);
}

ssize_t write(int fd, const void *data, size_t len)
{
    struct stat st;
    off_t offset;
    ssize_t n;

    if (!is_watched(fd, &st))
        return kernel(SYS_write, fd, data, len);
    pthread_mutex_lock(&lock);
    offset = fcntl(fd, F_GETFL) & O_APPEND ? st.st_size : lseek(fd, 0, SEEK_CUR);
    n = kernel(SYS_write, fd, data, len);
    if (n > 0)
        note("write", st.st_ino, (unsigned long long)offset, 0, (Bytes){data, (size_t)n}, NOTHING);
    pthread_mutex_unlock(&lock);
    return n;
}

int ftruncate(int fd, off_t size)
{
    struct stat st;
    int result;

    pthread_mutex_lock(&lock);
    result = (int)kernel(SYS_ftruncate, fd, size);
    if (result == 0 && is_watched(fd, &st))
        note("size", st.st_ino, (unsigned long long)size, 0, NOTHING, NOTHING);
    pthread_mutex_unlock(&lock);
    return result;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    unsigned long long at = (unsigned long long)offset, length = (unsigned long long)len;
    struct stat st;
    int result;

    pthread_mutex_lock(&lock);
    result = (int)kernel(SYS_fallocate, fd, mode, offset, len);
    if (result == 0 && is_watched(fd, &st)) {
        if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
            note("zero", st.st_ino, at, length, NOTHING, NOTHING);
        if (!(mode & FALLOC_FL_KEEP_SIZE))
            note("grow", st.st_ino, at + length, 0, NOTHING, NOTHING);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    return fallocate(fd, 0, offset, len) == 0 ? 0 : errno;
}

/* Records data that the kernel copied: all data of the file between @from and @end. */
static void note_content(int fd, off_t from, off_t end)
{
    static char piece[PIECE];
    char link[64];
    struct stat st;
    int readable;

    if (!is_watched(fd, &st))
        return;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    readable = (int)kernel(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    if (readable < 0)
        abort();
    for (off_t at = lseek(readable, from, SEEK_DATA); at >= 0 && at < end;) {
        off_t stop = lseek(readable, at, SEEK_HOLE);
        size_t len = (size_t)((stop < end ? stop : end) - at);
        ssize_t n = pread(readable, piece, len < PIECE ? len : PIECE, at);

        if (n <= 0)
            break;
        note("write", st.st_ino, (unsigned long long)at, 0, (Bytes){piece, (size_t)n}, NOTHING);
        at = lseek(readable, at + n, SEEK_DATA);
    }
    close(readable);
    note("grow", st.st_ino, (unsigned long long)(end < st.st_size ? end : st.st_size), 0, NOTHING,
         NOTHING);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
                        unsigned flags)
{
    ssize_t n;

    pthread_mutex_lock(&lock);
    n = kernel(SYS_copy_file_range, from, from_at, to, to_at, len, flags);
    if (n > 0 && to_at)
        note_content(to, *to_at - n, *to_at);
    pthread_mutex_unlock(&lock);
    return n;
}

int ioctl(int fd, unsigned long request, ...)
{
    void *argument;
    va_list rest;
    int result;

    va_start(rest, request);
    argument = va_arg(rest, void *);
    va_end(rest);
    pthread_mutex_lock(&lock);
    result = (int)kernel(SYS_ioctl, fd, request, argument);
    if (result == 0 && request == FICLONE) {
        note_content(fd, 0, INT64_MAX);
    } else if (result == 0 && request == FICLONERANGE) {
        const struct file_clone_range *range = argument;

        note_content(fd, (off_t)range->dest_offset,
                     (off_t)(range->dest_offset + range->src_length));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- attributes and syncs --------------------------------------------------------------------- */

int fchmod(int fd, mode_t mode)
{
    struct stat st;
    int result;

    pthread_mutex_lock(&lock);
    result = (int)kernel(SYS_fchmod, fd, mode);
    if (result == 0 && is_watched(fd, &st))
        note("mode", st.st_ino, mode, 0, NOTHING, NOTHING);
    pthread_mutex_unlock(&lock);
    return result;
}

int chmod(const char *path, mode_t mode)
{
    Entry entry;
    int result;

    pthread_mutex_lock(&lock);
    entry = entry_of(AT_FDCWD, path);
    result = (int)kernel(SYS_fchmodat, AT_FDCWD, path, mode);
    if (result == 0 && entry.watched && !S_ISSOCK(entry.st.st_mode))
        note("mode", entry.st.st_ino, mode, 0, NOTHING, NOTHING);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
    struct stat st;
    int result;

    pthread_mutex_lock(&lock);
    result = (int)kernel(SYS_fsetxattr, fd, name, value, size, flags);
    if (result == 0 && is_watched(fd, &st))
        note("attr", st.st_ino, 0, 0, text(name), (Bytes){value, size});
    pthread_mutex_unlock(&lock);
    return result;
}

static int sync_by(long number, const char *verb, int fd)
{
    struct stat st;
    int result;

    pthread_mutex_lock(&lock);
    result = (int)kernel(number, fd);
    if (result == 0 && is_watched(fd, &st))
        note(verb, st.st_ino, 0, 0, NOTHING, NOTHING);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd)
{
    return sync_by(SYS_fsync, "sync", fd);
}

int fdatasync(int fd)
{
    return sync_by(SYS_fdatasync, "datasync", fd);
}

int syncfs(int fd)
{
    return sync_by(SYS_syncfs, "syncfs", fd);
}

/* --- names ------------------------------------------------------------------------------------ */

static void note_made_dir(int dirfd, const char *path)
{
    Entry made = entry_of(dirfd, path);

    if (made.watched)
        note("mkdir", made.dir, made.st.st_ino, made.st.st_mode & 07777, text(made.name), NOTHING);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
    int result;

    pthread_mutex_lock(&lock);
    result = (int)kernel(SYS_mkdirat, dirfd, path, mode);
    if (result == 0)
        note_made_dir(dirfd, path);
    pthread_mutex_unlock(&lock);
    return result;
}

/* The C library makes the directory by a call of its own. */
char *mkdtemp(char *path)
{
    char *(*make)(char *) = (char *(*)(char *))dlsym(RTLD_NEXT, "mkdtemp");
    char *result;

    pthread_mutex_lock(&lock);
    result = make(path);
    if (result)
        note_made_dir(AT_FDCWD, path);
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

int symlink(const char *target, const char *path)
{
    Entry made;
    int result;

    pthread_mutex_lock(&lock);
    result = (int)kernel(SYS_symlinkat, target, AT_FDCWD, path);
    made = entry_of(AT_FDCWD, path);
    if (result == 0 && made.watched)
        note("symlink", made.dir, made.st.st_ino, 0777, text(made.name), text(target));
    pthread_mutex_unlock(&lock);
    return result;
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    Entry made;
    int result;

    pthread_mutex_lock(&lock);
    result = (int)kernel(SYS_linkat, from_fd, from, to_fd, to, flags);
    made = entry_of(to_fd, to);
    if (result == 0 && made.watched)
        note("link", made.dir, made.st.st_ino, 0, text(made.name), NOTHING);
    pthread_mutex_unlock(&lock);
    return result;
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    Entry old, new;
    int result;

    pthread_mutex_lock(&lock);
    old = entry_of(from_fd, from);
    new = entry_of(to_fd, to);
    result = (int)kernel(SYS_renameat2, from_fd, from, to_fd, to, flags);
    if (result == 0 && (old.watched || new.watched))
        note("rename", old.dir, new.dir, 0, text(old.name), text(new.name));
    pthread_mutex_unlock(&lock);
    return result;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return renameat2(from_fd, from, to_fd, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dirfd, const char *path, int flags)
{
    Entry gone;
    int result;

    pthread_mutex_lock(&lock);
    gone = entry_of(dirfd, path);
    result = (int)kernel(SYS_unlinkat, dirfd, path, flags);
    if (result == 0 && gone.watched)
        note("remove", gone.dir, 0, 0, text(gone.name), NOTHING);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

/* The same calls under the names that programs with large files use. */
#define ALSO_AS(name) __attribute__((alias(name)))
int open64(const char *path, int flags, ...) ALSO_AS("open");
int openat64(int dirfd, const char *path, int flags, ...) ALSO_AS("openat");
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset) ALSO_AS("pwrite");
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) ALSO_AS("pwritev");
int ftruncate64(int fd, off64_t size) ALSO_AS("ftruncate");
int fallocate64(int fd, int mode, off64_t offset, off64_t len) ALSO_AS("fallocate");
int posix_fallocate64(int fd, off64_t offset, off64_t len) ALSO_AS("posix_fallocate");
