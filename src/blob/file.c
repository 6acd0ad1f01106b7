/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regular files and block devices as blobs.
 *
 * All I/O is positional. The size is kept in memory, because every checked call reads it. It is
 * read once at open time and updated by this blob's own writes; if another process extends the
 * file, the size here does not change. The size is an atomic and grows with compare-and-swap, so
 * that concurrent writers past the end agree on the largest value.
 *
 * The kernel caches writes. Long writes are sent to the disk at once (start_write_out), and
 * fdatasync() in flush makes them durable.
 *
 * run_lock guards the cached run of data. All other members need no lock.
 */
#include <blob/blob.h>
#include <blob/dry.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/file_writers.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/test_point.h>
#include <base/units.h>

#include "extents.h"

#define NO_RUN        UINT64_MAX
#define WRITE_OUT_MIN CST_MIB /* shorter writes stay in the page cache until the flush */

typedef struct {
    CstBlob head;
    int fd;
    gboolean is_block;
    gboolean skips_sync;      /* cst_blob_file_skip_sync() */
    _Atomic int flush_failed; /* errno of the first failed flush; 0: no failure */
    uint64_t unit;            /* granularity of sharing extents, bytes; 0: cannot share */
    _Atomic uint64_t size;
    /*
     * The last run of data that SEEK_HOLE found. Finding its end is slow on some file systems, and
     * callers that query a file cluster by cluster would repeat the search for each one. The run is
     * empty if SEEK_DATA found data and its end was not queried yet. Both are NO_RUN if no run is
     * cached.
     */
    GMutex run_lock;
    uint64_t run_start, run_end;
} CstFileBlob;

static gboolean file_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    return cst_pread_full(((CstFileBlob *)blob)->fd, buf, len, offset, blob->name, error);
}

static gboolean file_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = ((CstFileBlob *)blob)->size;
    return TRUE;
}

static void file_close(CstBlob *blob)
{
    CstFileBlob *file = (CstFileBlob *)blob;

    close(file->fd);
    g_mutex_clear(&file->run_lock);
    g_free(file);
}

/*
 * Returns whether the cache shows data at @offset. *ret_end is its end, or @offset if the end is
 * unknown.
 */
static gboolean run_find(CstFileBlob *file, uint64_t offset, uint64_t *ret_end)
{
    gboolean found;

    g_mutex_lock(&file->run_lock);
    found = offset == file->run_start || (offset > file->run_start && offset < file->run_end);
    if (found)
        *ret_end = file->run_end;
    g_mutex_unlock(&file->run_lock);
    return found;
}

/*
 * Caches a run. Holes that other processes punch into it later are reported as data. This is
 * correct, because data may be zero. NO_RUN for both empties the cache.
 */
static void run_set(CstFileBlob *file, uint64_t start, uint64_t end)
{
    g_mutex_lock(&file->run_lock);
    file->run_start = start;
    file->run_end = end;
    g_mutex_unlock(&file->run_lock);
}

/* Concurrent writers past the end race to set the size; the largest value wins. */
static void grow_to(CstFileBlob *file, uint64_t end)
{
    uint64_t seen = file->size;

    CST_TEST_POINT("blob_file.size.read");
    while (seen < end && !atomic_compare_exchange_weak(&file->size, &seen, end))
        ;
}

/*
 * Starts writeback of a long write, so that the disk works while the caller prepares the next one,
 * instead of only from the flush on. Does not wait and makes no data durable; the flush reports
 * errors.
 */
static void start_write_out(const CstFileBlob *file, uint64_t offset, uint64_t length)
{
    if (length >= WRITE_OUT_MIN && !file->skips_sync)
        sync_file_range(file->fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
}

static gboolean file_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                            GError **error)
{
    CstFileBlob *file = (CstFileBlob *)blob;

    if (file->is_block && (offset > file->size || len > file->size - offset))
        return cst_fail(error, CST_ERROR_NO_SPACE, _("cannot write past the end of device '%s'"),
                        blob->name);
    if (!cst_pwrite_full(file->fd, buf, len, offset, blob->name, error))
        return FALSE;
    grow_to(file, offset + len);
    start_write_out(file, offset, len);
    return TRUE;
}

/*
 * The kernel reports a failed writeback once, and may have dropped the data, so the next
 * fdatasync() succeeds without it. Therefore all flushes after a failed one fail.
 */
static gboolean file_flush(CstBlob *blob, GError **error)
{
    CstFileBlob *file = (CstFileBlob *)blob;

    if (file->skips_sync)
        return TRUE;
    if (!file->flush_failed && fdatasync(file->fd) < 0)
        file->flush_failed = errno;
    return !file->flush_failed ||
           cst_fail_errno(error, file->flush_failed, _("cannot flush '%s'"), blob->name);
}

/* lseek() moves the descriptor's offset, which is never used, so threads do not interfere. */
static gboolean file_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                            GError **error)
{
    CstFileBlob *file = (CstFileBlob *)blob;
    CstExtent extent = {offset, length, CST_EXTENT_DATA};
    uint64_t end = offset;
    gboolean known;
    off_t data, hole;

    if (file->is_block) {
        *ret_extent = extent;
        return TRUE;
    }
    known = run_find(file, offset, &end);
    if (end > offset) {
        extent.length = MIN(length, end - offset);
        *ret_extent = extent;
        return TRUE;
    }
    data = known ? (off_t)offset : lseek(file->fd, (off_t)offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO) { /* a hole to the end of the file */
        extent.flags = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
    } else if (data > (off_t)offset) {
        extent.flags = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
        extent.length = MIN(length, (uint64_t)data - offset);
        run_set(file, (uint64_t)data, (uint64_t)data);
    } else if (data >= 0) {
        hole = lseek(file->fd, (off_t)offset, SEEK_HOLE);
        if (hole > (off_t)offset) {
            extent.length = MIN(length, (uint64_t)hole - offset);
            run_set(file, offset, (uint64_t)hole);
        }
    }
    /*
     * After any other failure the file system does not report holes, so all of the range is data.
     */
    *ret_extent = extent;
    return TRUE;
}

/*
 * Returns whether @err is an error of fallocate() and the ioctls for a feature that the file or its
 * file system lacks.
 */
static gboolean is_missing_feature(int err)
{
    /*
     * EINVAL: block devices and some file systems return it for an unsupported mode or alignment.
     */
    return err == EOPNOTSUPP || err == ENOTTY || err == ENOSYS || err == EINVAL;
}

static gboolean file_fallocate(CstBlob *blob, int mode, uint64_t offset, uint64_t length,
                               GError **error)
{
    CstFileBlob *file = (CstFileBlob *)blob;
    int rc;

    /* Only punching turns data into holes. */
    if (mode & FALLOC_FL_PUNCH_HOLE)
        run_set(file, NO_RUN, NO_RUN);
    do
        rc = fallocate(file->fd, mode, (off_t)offset, (off_t)length);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return TRUE;
    if (is_missing_feature(errno))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("the file system of '%s' does not support this kind of allocation"),
                        blob->name);
    return cst_fail_errno(error, errno, _("cannot allocate or release space in '%s'"), blob->name);
}

/*
 * Block devices support the same two modes as files, for whole logical blocks. For other ranges
 * they return EINVAL, and the dispatcher writes zeroes. On a device, punching a hole zeroes by
 * unmapping and never writes.
 */
static gboolean file_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                          GError **error)
{
    CstFileBlob *file = (CstFileBlob *)blob;
    g_autoptr(GError) why = NULL;

    if (flags & CST_ZERO_MAY_UNMAP) {
        if (file_fallocate(blob, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length, &why))
            return TRUE;
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    if (file->is_block && (flags & CST_ZERO_FAST)) /* the kernel might write the zeroes out */
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' has no fast zeroing"), blob->name);
    return file_fallocate(blob, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length, error);
}

static gboolean file_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    CstFileBlob *file = (CstFileBlob *)blob;
    uint64_t range[2] = {offset, length};

    if (!file->is_block)
        return file_fallocate(blob, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length,
                              error);
    if (ioctl(file->fd, BLKDISCARD, range) == 0)
        return TRUE;
    if (is_missing_feature(errno))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' does not support discard"),
                        blob->name);
    return cst_fail_errno(error, errno, _("cannot discard in '%s'"), blob->name);
}

static gboolean file_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    if (((CstFileBlob *)blob)->is_block) /* its space is fixed, or decided by its thin pool */
        return TRUE;
    return file_fallocate(blob, 0, offset, length, error);
}

static gboolean file_resize(CstBlob *blob, uint64_t size, GError **error)
{
    CstFileBlob *file = (CstFileBlob *)blob;

    if (file->is_block && size != file->size)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("the size of device '%s' is fixed"),
                        blob->name);
    if (!file->is_block && ftruncate(file->fd, (off_t)size) < 0)
        return cst_fail_errno(error, errno, _("cannot resize '%s' to %" PRIu64 " bytes"),
                              blob->name, size);
    file->size = size;
    run_set(file, NO_RUN, NO_RUN);
    return TRUE;
}

/*
 * Returns whether @err is an error of the kernel for a pair of files that it cannot clone or copy.
 */
static gboolean is_missing_copy(int err)
{
    return is_missing_feature(err) || err == EXDEV || err == EPERM || err == ETXTBSY ||
           err == EBADF || err == EISDIR;
}

static gboolean clone_range(CstFileBlob *src, uint64_t src_offset, CstFileBlob *dst,
                            uint64_t dst_offset, uint64_t length)
{
    struct file_clone_range range = {
        .src_fd = src->fd,
        .src_offset = src_offset,
        .src_length = length,
        .dest_offset = dst_offset,
    };

    if (src->is_block || dst->is_block) {
        errno = EOPNOTSUPP;
        return FALSE;
    }
    /* Clones the whole file with one call, whose length need not be a multiple of the unit. */
    if (src_offset == 0 && dst_offset == 0 && length == src->size && dst->size <= length)
        return ioctl(dst->fd, FICLONE, src->fd) == 0;
    return ioctl(dst->fd, FICLONERANGE, &range) == 0;
}

static gboolean kernel_copy(CstFileBlob *src, uint64_t src_offset, CstFileBlob *dst,
                            uint64_t dst_offset, uint64_t length)
{
    loff_t from = (loff_t)src_offset, to = (loff_t)dst_offset;

    while (length > 0) {
        /* A failure after a partial copy is harmless, because the caller copies the whole range. */
        ssize_t n = copy_file_range(src->fd, &from, dst->fd, &to, (size_t)length, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0) /* some file systems return 0 instead of an error */
            errno = EOPNOTSUPP;
        if (n <= 0)
            return FALSE;
        length -= (uint64_t)n;
    }
    return TRUE;
}

/* UNSUPPORTED if the kernel shared the wrong extents; the caller then copies the range. */
static gboolean check_shared(CstFileBlob *src, uint64_t src_offset, CstFileBlob *dst,
                             uint64_t dst_offset, uint64_t length, GError **error)
{
    const CstFileRange from = {src->fd, src->head.name, src_offset};
    const CstFileRange to = {dst->fd, dst->head.name, dst_offset};
    gboolean same = FALSE;

    if (!cst_extents_are_same(&from, &to, length, &same, error))
        return FALSE;
    return same || cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("the file system shared the wrong extents of '%s' with '%s'"),
                            src->head.name, dst->head.name);
}

static uint64_t file_share_unit(CstBlob *blob)
{
    return ((CstFileBlob *)blob)->unit;
}

static const CstBlobOps file_ops;

static gboolean file_copy_range(CstBlob *src, uint64_t src_offset, CstBlob *dst,
                                uint64_t dst_offset, uint64_t length, gboolean share_only,
                                GError **error)
{
    CstFileBlob *from = (CstFileBlob *)src, *to = (CstFileBlob *)dst;
    gboolean done;

    if (dst->ops != &file_ops)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("the kernel cannot copy from '%s' to '%s'"),
                        src->name, dst->name);
    run_set(to, NO_RUN, NO_RUN); /* the file may grow, and sharing may create holes */
    done = share_only ? clone_range(from, src_offset, to, dst_offset, length)
                      : kernel_copy(from, src_offset, to, dst_offset, length);
    if (done) {
        grow_to(to, dst_offset + length);
        if (!share_only)
            start_write_out(to, dst_offset, length);
        return !share_only || check_shared(from, src_offset, to, dst_offset, length, error);
    }
    if (is_missing_copy(errno))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' and '%s' cannot share data"),
                        src->name, dst->name);
    return cst_fail_errno(error, errno, _("cannot copy from '%s' to '%s'"), src->name, dst->name);
}

static int file_lock(CstBlob *blob, int command, struct flock *lock)
{
    return fcntl(((CstFileBlob *)blob)->fd, command, lock);
}

static int file_node_fd(CstBlob *blob)
{
    return ((CstFileBlob *)blob)->fd;
}

static const CstBlobOps file_ops = {
    .kind = "file",
    .pread = file_pread,
    .get_size = file_get_size,
    .close = file_close,
    .pwrite = file_pwrite,
    .flush = file_flush,
    .extent = file_extent,
    .zero = file_zero,
    .discard = file_discard,
    .allocate = file_allocate,
    .resize = file_resize,
    .copy_range = file_copy_range,
    .share_unit = file_share_unit,
    .lock = file_lock,
    .node_fd = file_node_fd,
};

/* Returns the file system's block size, the alignment of FICLONERANGE; 0 for devices. */
static uint64_t share_unit_of(const struct stat *st)
{
    uint64_t unit = (uint64_t)st->st_blksize;

    return S_ISREG(st->st_mode) && cst_is_power_of_two(unit, 1, UINT64_MAX) ? unit : 0;
}

/* Reads type, size and share unit of @fd. */
static gboolean file_measure(int fd, const char *name, CstFileBlob *file, GError **error)
{
    struct stat st;
    uint64_t size;

    if (fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot stat '%s'"), name);
    size = (uint64_t)st.st_size;
    if (S_ISBLK(st.st_mode)) {
        if (ioctl(fd, BLKGETSIZE64, &size) < 0)
            return cst_fail_errno(error, errno, _("cannot get the size of device '%s'"), name);
    } else if (!S_ISREG(st.st_mode)) {
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' is neither a regular file nor a block device"), name);
    }
    file->is_block = S_ISBLK(st.st_mode);
    file->unit = share_unit_of(&st);
    file->size = size;
    return TRUE;
}

CstBlob *cst_blob_file_new(int fd, const char *name, gboolean writable, GError **error)
{
    g_auto(CstFd) owned = fd;
    g_autofree CstFileBlob *made = g_new0(CstFileBlob, 1);
    CstFileBlob *file;

    if (!file_measure(fd, name, made, error))
        return NULL;
    file = g_steal_pointer(&made);
    cst_blob_init(&file->head, &file_ops, name, writable);
    file->fd = g_steal_fd(&owned);
    g_mutex_init(&file->run_lock);
    file->run_start = file->run_end = NO_RUN;
    return writable && cst_dry_run() ? cst_blob_dry_new(&file->head, name) : &file->head;
}

CstBlob *cst_blob_file_open(const char *path, gboolean writable, GError **error)
{
    return cst_blob_file_open_named(path, path, writable, error);
}

CstBlob *cst_blob_file_open_named(const char *path, const char *name, gboolean writable,
                                  GError **error)
{
    g_autofree char *complaint = g_strdup_printf(_("cannot open '%s'"), name);
    g_auto(CstPlace) place = CST_PLACE_INIT;
    struct stat st;
    int fd;

    if (!cst_place_init(&place, path, error))
        return NULL;
    /* A FIFO must not block; cst_blob_file_new() refuses it. */
    fd = cst_place_open_input(&place, writable ? O_RDWR : O_RDONLY, &st, complaint, error);
    return fd < 0 ? NULL : cst_blob_file_new(fd, name, writable, error);
}

CstBlob *cst_blob_file_create(const char *path, GError **error)
{
    int fd;

    /* A dry run must not create the file. An existing file is reported as usual. */
    if (access(path, F_OK) < 0 && !cst_may_change(error))
        return NULL;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd >= 0)
        return cst_blob_file_new(fd, path, TRUE, error);
    if (errno == EEXIST)
        cst_fail(error, CST_ERROR_EXISTS, _("'%s' exists"), path);
    else
        cst_fail_errno(error, errno, _("cannot create '%s'"), path);
    return NULL;
}

void cst_blob_file_skip_sync(CstBlob *blob)
{
    if (blob->ops == &file_ops)
        ((CstFileBlob *)blob)->skips_sync = TRUE;
}

int cst_blob_file_fd(CstBlob *blob)
{
    CstBlob *below = cst_blob_dry_below(blob);

    if (below)
        blob = below;
    return blob->ops == &file_ops ? ((CstFileBlob *)blob)->fd : -1;
}

gboolean cst_blob_is_same_file(CstBlob *a, CstBlob *b)
{
    struct stat one, other;

    return fstat(cst_blob_file_fd(a), &one) == 0 && fstat(cst_blob_file_fd(b), &other) == 0 &&
           cst_stat_is_same(&one, &other);
}
