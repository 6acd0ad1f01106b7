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
 * The lease does not name the writer. The search for its process reads /proc/PID/fdinfo, which has
 * the access mode and the inode number of each descriptor, and /proc/PID/maps for files that are
 * mapped and closed. Only descriptors with the right number are examined further, with the
 * attributes that the kernel has in memory (AT_STATX_DONT_SYNC).
 */
#include <base/file_writers.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

/* The file that the search is for. */
typedef struct {
    uint64_t inode;
    unsigned major, minor; /* device of its file system */
} WantedFile;

static gboolean wanted_file_of(int fd, WantedFile *ret_file)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) < 0 ||
        !S_ISREG(st.stx_mode))
        return FALSE;
    *ret_file = (WantedFile){st.stx_ino, st.stx_dev_major, st.stx_dev_minor};
    return TRUE;
}

/*
 * Returns the number in a line "NAME:\tVALUE" of @text, in @base; @fallback if the line is missing.
 */
static uint64_t field_of(const char *text, const char *name, int base, uint64_t fallback)
{
    const char *line = strstr(text, name);

    return line ? g_ascii_strtoull(line + strlen(name), NULL, (guint)base) : fallback;
}

/* Compares the device too, because another file system may have a file with the same number. */
static gboolean is_on_file_system(const char *descriptor, const WantedFile *file)
{
    struct statx st;

    return statx(AT_FDCWD, descriptor, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) == 0 &&
           S_ISREG(st.stx_mode) && st.stx_ino == file->inode && st.stx_dev_major == file->major &&
           st.stx_dev_minor == file->minor;
}

/*
 * Whether descriptor @name of process @pid can write to @file. Kernels before 5.15 report no inode.
 */
static gboolean descriptor_writes(const char *pid, const char *name, const WantedFile *file)
{
    g_autofree char *info = g_strdup_printf("/proc/%s/fdinfo/%s", pid, name);
    g_autofree char *descriptor = g_strdup_printf("/proc/%s/fd/%s", pid, name);
    g_autofree char *text = NULL, *target = NULL;

    target = cst_kernel_link(descriptor);
    if (!target || *target != '/')
        return FALSE; /* a pipe, a socket, "anon_inode:…" */
    text = cst_kernel_read(info);
    return text && (field_of(text, "flags:", 8, O_RDWR) & O_ACCMODE) != O_RDONLY &&
           field_of(text, "ino:", 10, file->inode) == file->inode &&
           is_on_file_system(descriptor, file);
}

/*
 * Whether a line of proc_pid_maps(5), "START-END rw-s OFFSET 08:01 INODE PATH", is a writable
 * shared mapping of @file. On file systems with a device number for each subvolume (btrfs), the
 * line has another number than statx(2), and the major number of statx(2) is 0.
 */
static gboolean mapping_writes(const char *line, const WantedFile *file)
{
    unsigned device_major, device_minor;
    uint64_t inode;
    char mode[5];

    if (sscanf(line, "%*s %4s %*s %x:%x %" SCNu64, mode, &device_major, &device_minor, &inode) != 4)
        return FALSE;
    return mode[1] == 'w' && mode[3] == 's' && inode == file->inode &&
           (file->major == 0 || (device_major == file->major && device_minor == file->minor));
}

static gboolean process_maps(const char *pid, const WantedFile *file)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/maps", pid);
    g_autofree char *text = cst_kernel_read(path);
    g_auto(GStrv) lines = text && strstr(text, "w-s ") ? g_strsplit(text, "\n", -1) : NULL;

    for (char **line = lines; line && *line; line++)
        if (mapping_writes(*line, file))
            return TRUE;
    return FALSE;
}

static gboolean process_writes(const char *pid, const WantedFile *file)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fd", pid);
    g_auto(GStrv) names = cst_kernel_list(path);

    for (char **name = names; *name; name++)
        if (descriptor_writes(pid, *name, file))
            return TRUE;
    return process_maps(pid, file);
}

/*
 * Returns the writers except this process. *ret_self: this process has the file open for writing.
 */
static GArray *find_processes(const WantedFile *file, gboolean *ret_self)
{
    GArray *writers = g_array_new(FALSE, FALSE, sizeof(CstFileWriter));
    g_auto(GStrv) pids = cst_kernel_list("/proc");

    *ret_self = FALSE;
    for (char **pid = pids; *pid; pid++) {
        int64_t number = g_ascii_isdigit(**pid) ? g_ascii_strtoll(*pid, NULL, 10) : 0;
        CstFileWriter writer = {number, FALSE};

        if (number == 0 || !process_writes(*pid, file))
            continue;
        if (number == getpid()) {
            *ret_self = TRUE;
            continue;
        }
        writer.ending = cst_process_parent(number) == getpid();
        g_array_append_val(writers, writer);
    }
    return writers;
}

GArray *cst_file_writers(int fd)
{
    const CstFileWriter unnamed = {0, TRUE};
    GArray *writers;
    WantedFile file;
    LeaseAnswer answer;
    gboolean self;

    if (fd < 0 || !wanted_file_of(fd, &file))
        return g_array_new(FALSE, FALSE, sizeof(CstFileWriter));
    answer = lease_ask(fd);
    if (answer == LEASE_FREE)
        return g_array_new(FALSE, FALSE, sizeof(CstFileWriter));
    CST_TEST_POINT("file.writers.search");
    writers = find_processes(&file, &self);
    /* The writer may have closed the file during the search, so ask the kernel again. */
    if (writers->len == 0 && !self && answer == LEASE_REFUSED && lease_ask(fd) == LEASE_REFUSED)
        g_array_append_val(writers, unnamed);
    return writers;
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
    return before->size != now->size || before->mtime_s != now->mtime_s ||
           before->mtime_ns != now->mtime_ns || before->ctime_s != now->ctime_s ||
           before->ctime_ns != now->ctime_ns;
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
