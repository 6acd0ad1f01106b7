/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the processes that can write to a file without holding a lock on it.
 *
 * The kernel counts the descriptions of an inode that are open for writing. A read lease (fcntl(2),
 * F_SETLEASE) is granted only while that count is zero, so it answers the question in microseconds.
 * The lease is returned at once. If a program opens the file for writing in between, the kernel
 * sends a signal to this process. The signal is SIGURG, which is ignored by default, and not SIGIO,
 * which ends the process by default.
 *
 * The lease does not name the writer. Its process is searched in /proc (base/file_users.h).
 */
#include <base/file_writers.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/file.h>
#include <base/i18n.h>
#include <base/process.h>
#include <base/test_point.h>

/* --- the kernel's count ----------------------------------------------------------------------- */

typedef enum { LEASE_FREE, LEASE_REFUSED, LEASE_UNSUPPORTED } LeaseAnswer;

static LeaseAnswer lease_ask(int fd)
{
    if (fcntl(fd, F_SETSIG, SIGURG) < 0)
        return LEASE_UNSUPPORTED;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return errno == EAGAIN ? LEASE_REFUSED : LEASE_UNSUPPORTED;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return LEASE_FREE;
}

/* --- the search ------------------------------------------------------------------------------- */

/* Returns the writers except this process. *ret_self: this process can write to the file. */
static GArray *file_writers_from(const GArray *users, gboolean *ret_self)
{
    GArray *writers = g_array_new(FALSE, FALSE, sizeof(CstFileWriter));

    *ret_self = FALSE;
    for (guint i = 0; users && i < users->len; i++) {
        const CstFileUser *user = &g_array_index(users, CstFileUser, i);
        const CstFileWriter writer = {user->pid, user->child};

        if (!user->writes)
            continue;
        if (user->pid == getpid()) {
            *ret_self = TRUE;
            continue;
        }
        g_array_append_val(writers, writer);
    }
    return writers;
}

static gboolean is_regular(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

gboolean cst_file_has_no_writer(int fd)
{
    return !is_regular(fd) || lease_ask(fd) == LEASE_FREE;
}

GArray *cst_file_writers_among(int fd, const CstFileUsers *users)
{
    const CstFileWriter unnamed = {0, TRUE};
    LeaseAnswer answer = is_regular(fd) ? lease_ask(fd) : LEASE_FREE;
    g_autoptr(CstFileUsers) searched = NULL;
    GArray *writers;
    gboolean self;

    if (answer == LEASE_FREE)
        return g_array_new(FALSE, FALSE, sizeof(CstFileWriter));
    if (!users) {
        CST_TEST_POINT("file.writers.search");
        users = searched = cst_file_users_new(NULL);
        cst_file_users_want(searched, fd);
        /* Beyond the limit, the writers that were found are sufficient. */
        cst_file_users_search(searched, NULL, NULL);
    }
    writers = file_writers_from(cst_file_users_of(users, fd), &self);
    /* The writer may have closed the file during the search, so ask the kernel again. */
    if (writers->len == 0 && !self && answer == LEASE_REFUSED && lease_ask(fd) == LEASE_REFUSED)
        g_array_append_val(writers, unnamed);
    return writers;
}

GArray *cst_file_writers(int fd)
{
    return cst_file_writers_among(fd, NULL);
}

/*
 * Whether the block device of @fd, or a partition of it, is used by a mount, by swap space or by
 * another device. The kernel then refuses an exclusive open (O_EXCL).
 */
static gboolean is_claimed(int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_auto(CstFd) alone = -1;
    int read_only = 0;

    if (ioctl(fd, BLKROGET, &read_only) == 0 && read_only)
        return FALSE;
    alone = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
    return alone < 0 && errno == EBUSY;
}

char *cst_file_writer_describe(int fd)
{
    g_autoptr(GArray) writers = NULL;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    if (S_ISBLK(st.st_mode))
        return is_claimed(fd) ? g_strdup(_("the kernel (mounted, swap space, or under another "
                                           "device)"))
                              : NULL;
    writers = cst_file_writers(fd);
    for (guint i = 0; i < writers->len; i++) {
        const CstFileWriter *writer = &g_array_index(writers, CstFileWriter, i);

        /* A child of this process that has not executed its program yet is not a writer. */
        if (!writer->pid || !writer->ending)
            return cst_process_describe(writer->pid);
    }
    return NULL;
}

/* --- stamps ----------------------------------------------------------------------------------- */

CstFileStamp cst_file_stamp(int fd)
{
    CstFileStamp stamp = {0};
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return stamp;
    return (CstFileStamp){
        .size = (uint64_t)st.st_size,
        .mtime_s = st.st_mtim.tv_sec,
        .mtime_ns = st.st_mtim.tv_nsec,
        .ctime_s = st.st_ctim.tv_sec,
        .ctime_ns = st.st_ctim.tv_nsec,
        .counted = TRUE,
    };
}

gboolean cst_file_stamp_differs(const CstFileStamp *before, const CstFileStamp *now)
{
    if (!before->counted || !now->counted)
        return FALSE;
    if (before->size != now->size || before->mtime_s != now->mtime_s ||
        before->mtime_ns != now->mtime_ns)
        return TRUE;
    return !before->only_content &&
           (before->ctime_s != now->ctime_s || before->ctime_ns != now->ctime_ns);
}

void cst_file_stamp_only_content(CstFileStamp *stamp)
{
    stamp->only_content = TRUE;
}

char *cst_file_stamp_format(const CstFileStamp *stamp)
{
    if (!stamp->counted)
        return NULL;
    return g_strdup_printf("%" PRIu64 " %" PRId64 ".%09" PRId64 " %" PRId64 ".%09" PRId64,
                           stamp->size, stamp->mtime_s, stamp->mtime_ns, stamp->ctime_s,
                           stamp->ctime_ns);
}

CstFileStamp cst_file_stamp_parse(const char *text)
{
    CstFileStamp stamp = {0};

    stamp.counted = text && sscanf(text, "%" SCNu64 " %" SCNd64 ".%" SCNd64 " %" SCNd64 ".%" SCNd64,
                                   &stamp.size, &stamp.mtime_s, &stamp.mtime_ns, &stamp.ctime_s,
                                   &stamp.ctime_ns) == 5;
    return stamp;
}
