/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gluster's client library, and a file of a Gluster volume as a blob.
 *
 * Calls run in the caller's thread. The library gives up a server that does not answer after the
 * ping time-out (set by pool/gluster/conn.c). Until then the pool's liveness (base/liveness.h)
 * notifies the callers. Only closing has no caller to notify, so it is work with a deadline.
 *
 * The connection does not use write-behind caching, so a write that has returned has reached the
 * servers. The lock guards the size and the counters of changes; it is never held across a call
 * into the library. A change is counted when it has returned. A flush covers the changes that were
 * counted when it began, once the servers have synced. A concurrent caller flushes by itself.
 */
#include <blob/gluster.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <base/units.h>

/* Longest range of one zero, discard or copy. Even a slow server completes it in seconds. */
#define RELEASE_STEP (1 * CST_GIB)
#define COPY_STEP    (64 * CST_MIB)
/* Longest piece of one read or write, which the servers handle in one request. */
#define IO_STEP (1 * CST_MIB)

/* --- the library ------------------------------------------------------------------------------ */

/* Written once, by gluster_load(); read-only from then on. */
static struct {
    CstGluster table;
    CstForeign libraries;
} loaded;

static gpointer gluster_load(gpointer data)
{
    static const char *const names[] = {"libgfapi.so.0", NULL};

    cst_foreign_open(&loaded.libraries, names);
    if (loaded.libraries.problem)
        return NULL;
#define FIND(function) loaded.table.function = cst_foreign_find(&loaded.libraries, #function);
    CST_GLUSTER_FUNCTIONS(FIND)
#undef FIND
    cst_foreign_loaded();
    return NULL;
}

const CstGluster *cst_gluster(GError **error)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, gluster_load, NULL);
    if (!loaded.libraries.problem)
        return &loaded.table;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("cannot load Gluster's client library (%s); install libgfapi0"),
             loaded.libraries.problem);
    return NULL;
}

/* --- errors ----------------------------------------------------------------------------------- */

static CstErrorCode error_code(int err)
{
    /* cst_fail_errno() handles all other values. */
    switch (err) {
    case ENOTCONN:
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ESHUTDOWN:
    case EBADFD: /* opened before the servers failed, and not opened again yet */
        return CST_ERROR_UNREACHABLE;
    case EBUSY: return CST_ERROR_BUSY;
    case EROFS: return CST_ERROR_READ_ONLY;
    case ENOSYS:
    case EOPNOTSUPP: return CST_ERROR_UNSUPPORTED;
    default: return CST_ERROR_IO;
    }
}

gboolean(cst_gluster_fail)(GError **error, int err, const char *format, ...)
{
    g_autofree char *text = NULL;
    /* Some code paths of the library fail without setting errno. */
    int reason = err ? err : EIO;
    CstErrorCode code = error_code(reason);
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (code == CST_ERROR_IO)
        return cst_fail_errno(error, reason, "%s", text);
    if (code == CST_ERROR_UNREACHABLE)
        return cst_fail(error, code, _("%s: the Gluster servers do not answer (%s)"), text,
                        g_strerror(reason));
    return cst_fail(error, code, "%s: %s", text, g_strerror(reason));
}

/* --- the blob --------------------------------------------------------------------------------- */

typedef struct {
    CstBlob blob;
    const CstGluster *gluster;
    CstBlobGluster what;
    GMutex lock; /* guards the members below */
    uint64_t size;
    uint64_t changes; /* number of changes so far */
    uint64_t flushed; /* number of the changes that are durable */
} GlusterBlob;

static gboolean io_failed(CstBlob *blob, int err, GError **error)
{
    return cst_gluster_fail(error, err, _("I/O on volume '%s'"), blob->name);
}

static gboolean gluster_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    GlusterBlob *g = (GlusterBlob *)blob;
    char *at = buf;

    while (len > 0) {
        ssize_t done =
            g->gluster->glfs_pread(g->what.fd, at, MIN(len, IO_STEP), (off_t)offset, 0, NULL);

        if (done < 0)
            return io_failed(blob, errno, error);
        if (done == 0)
            return cst_fail(
                error, CST_ERROR_IO,
                _("volume '%s' ends at %" PRIu64 " bytes: another program has truncated it"),
                blob->name, offset);
        at += done;
        offset += (uint64_t)done;
        len -= (size_t)done;
    }
    return TRUE;
}

static gboolean gluster_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    GlusterBlob *g = (GlusterBlob *)blob;

    g_mutex_lock(&g->lock);
    *ret_size = g->size;
    g_mutex_unlock(&g->lock);
    return TRUE;
}

/* Records a change of the file, which has at least @end bytes now. */
static void gluster_note_end(GlusterBlob *g, uint64_t end)
{
    g_mutex_lock(&g->lock);
    g->size = MAX(g->size, end);
    g->changes++;
    g_mutex_unlock(&g->lock);
}

static gboolean gluster_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                               GError **error)
{
    GlusterBlob *g = (GlusterBlob *)blob;
    const char *at = buf;

    while (len > 0) {
        ssize_t done = g->gluster->glfs_pwrite(g->what.fd, at, MIN(len, IO_STEP), (off_t)offset, 0,
                                               NULL, NULL);

        if (done <= 0)
            return io_failed(blob, done < 0 ? errno : EIO, error);
        at += done;
        offset += (uint64_t)done;
        len -= (size_t)done;
        gluster_note_end(g, offset);
    }
    return TRUE;
}

static gboolean gluster_flush(CstBlob *blob, GError **error)
{
    GlusterBlob *g = (GlusterBlob *)blob;
    uint64_t changes, flushed;

    g_mutex_lock(&g->lock);
    changes = g->changes;
    flushed = g->flushed;
    g_mutex_unlock(&g->lock);
    if (changes == flushed)
        return TRUE;
    CST_TEST_POINT("gluster_blob.flush.begun");
    if (g->gluster->glfs_fsync(g->what.fd, NULL, NULL) < 0)
        return io_failed(blob, errno, error);
    CST_TEST_POINT("gluster_blob.flush.synced");
    g_mutex_lock(&g->lock);
    g->flushed = MAX(g->flushed, changes);
    g_mutex_unlock(&g->lock);
    return TRUE;
}

/* --- sparse ----------------------------------------------------------------------------------- */

/*
 * Reports data if the servers cannot seek (a sharded volume). Seeking moves the offset of the open
 * file, which is never used.
 */
static gboolean gluster_extent(CstBlob *blob, uint64_t offset, uint64_t length,
                               CstExtent *ret_extent, GError **error)
{
    GlusterBlob *g = (GlusterBlob *)blob;
    off_t data = g->gluster->glfs_lseek(g->what.fd, (off_t)offset, SEEK_DATA);
    off_t hole;

    *ret_extent = (CstExtent){offset, length, CST_EXTENT_DATA};
    if (data < 0 && error_code(errno) == CST_ERROR_UNREACHABLE)
        return io_failed(blob, errno, error);
    if (data < 0 && errno != ENXIO)
        return TRUE;
    if (data < 0 || (uint64_t)data > offset) {
        ret_extent->flags = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
        if (data > 0)
            ret_extent->length = MIN(length, (uint64_t)data - offset);
        return TRUE;
    }
    hole = g->gluster->glfs_lseek(g->what.fd, (off_t)offset, SEEK_HOLE);
    if (hole > 0 && (uint64_t)hole > offset)
        ret_extent->length = MIN(length, (uint64_t)hole - offset);
    return TRUE;
}

/* A step of zeroing or of discarding; 0, or -1 and errno. */
typedef int (*ReleaseStep)(GlusterBlob *g, off_t offset, size_t length);

static int discard_step(GlusterBlob *g, off_t offset, size_t length)
{
    return g->gluster->glfs_discard(g->what.fd, offset, length);
}

static int zero_step(GlusterBlob *g, off_t offset, size_t length)
{
    return g->gluster->glfs_zerofill(g->what.fd, offset, (off_t)length);
}

static int allocate_step(GlusterBlob *g, off_t offset, size_t length)
{
    return g->gluster->glfs_fallocate(g->what.fd, 1, offset, length);
}

static gboolean in_steps(CstBlob *blob, uint64_t offset, uint64_t length, ReleaseStep step,
                         GError **error)
{
    GlusterBlob *g = (GlusterBlob *)blob;

    while (length > 0) {
        uint64_t piece = MIN(length, RELEASE_STEP);
        int result, reason;

        CST_TEST_POINT("gluster_blob.step.begin");
        result = step(g, (off_t)offset, (size_t)piece);
        reason = errno;
        /* A failed step may also have changed a part of the range. */
        gluster_note_end(g, 0);
        if (result < 0)
            return io_failed(blob, reason, error);
        offset += piece;
        length -= piece;
    }
    return TRUE;
}

/* Punched ranges read as zeroes. Zeroes that keep their space may have to be written. */
static gboolean gluster_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                             GError **error)
{
    if (flags & CST_ZERO_MAY_UNMAP)
        return in_steps(blob, offset, length, discard_step, error);
    if (flags & CST_ZERO_FAST)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' has no fast zeroing"), blob->name);
    return in_steps(blob, offset, length, zero_step, error);
}

static gboolean gluster_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return in_steps(blob, offset, length, discard_step, error);
}

static gboolean gluster_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return in_steps(blob, offset, length, allocate_step, error);
}

static gboolean gluster_resize(CstBlob *blob, uint64_t size, GError **error)
{
    GlusterBlob *g = (GlusterBlob *)blob;

    if (g->gluster->glfs_ftruncate(g->what.fd, (off_t)size, NULL, NULL) < 0)
        return io_failed(blob, errno, error);
    g_mutex_lock(&g->lock);
    g->size = size;
    g->changes++;
    g_mutex_unlock(&g->lock);
    return TRUE;
}

/* --- copying ---------------------------------------------------------------------------------- */

static const CstBlobOps gluster_ops;

static gboolean copies_to(const GlusterBlob *from, const CstBlob *dst)
{
    const GlusterBlob *to = (const GlusterBlob *)dst;

    return dst->ops == &gluster_ops && from->what.owner == to->what.owner && from->what.copies &&
           g_atomic_int_get(from->what.copies) == 1;
}

/*
 * The servers copy if both files are on one volume. Only the servers know whether they share
 * extents, so @share_only is unsupported. If they refuse, the caller reads and writes.
 */
static gboolean gluster_copy_range(CstBlob *src, uint64_t src_offset, CstBlob *dst,
                                   uint64_t dst_offset, uint64_t length, gboolean share_only,
                                   GError **error)
{
    GlusterBlob *from = (GlusterBlob *)src, *to = (GlusterBlob *)dst;
    off64_t in = (off64_t)src_offset, out = (off64_t)dst_offset;

    if (share_only || !copies_to(from, dst))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' and '%s' cannot share data"),
                        src->name, dst->name);
    while (length > 0) {
        struct glfs_stat before[3]; /* the library writes all of them */
        ssize_t done = from->gluster->glfs_copy_file_range(from->what.fd, &in, to->what.fd, &out,
                                                           (size_t)MIN(length, COPY_STEP), 0,
                                                           &before[0], &before[1], &before[2]);

        if (done <= 0 && error_code(errno) == CST_ERROR_UNREACHABLE)
            return io_failed(dst, errno, error);
        if (done < 0 && errno == ENOSPC)
            return io_failed(dst, errno, error);
        if (done <= 0)
            return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' and '%s' cannot share data"),
                            src->name, dst->name);
        length -= MIN(length, (uint64_t)done);
        gluster_note_end(to, (uint64_t)out);
    }
    return TRUE;
}

/* --- locks, attributes ------------------------------------------------------------------------ */

/*
 * Each open file is a separate owner, like with open file description locks. Servers keep locks as
 * long as the client is connected.
 */
static int gluster_lock(CstBlob *blob, int command, struct flock *lock)
{
    GlusterBlob *g = (GlusterBlob *)blob;

    switch (command) {
    case F_OFD_GETLK: return g->gluster->glfs_posix_lock(g->what.fd, F_GETLK, lock);
    case F_OFD_SETLK: return g->gluster->glfs_posix_lock(g->what.fd, F_SETLK, lock);
    default: errno = EINVAL; return -1;
    }
}

glfs_fd_t *cst_blob_gluster_fd(CstBlob *blob)
{
    return blob->ops == &gluster_ops ? ((GlusterBlob *)blob)->what.fd : NULL;
}

gboolean cst_blob_gluster_get_xattr(CstBlob *blob, const char *name, char *value, size_t size)
{
    const GlusterBlob *g = (const GlusterBlob *)blob;
    ssize_t len;

    if (!cst_blob_gluster_fd(blob))
        return FALSE;
    len = g->gluster->glfs_fgetxattr(g->what.fd, name, value, size - 1);
    if (len <= 0 || (size_t)len >= size)
        return FALSE;
    value[len] = '\0';
    return TRUE;
}

gboolean cst_blob_gluster_set_xattr(CstBlob *blob, const char *name, const char *value)
{
    const GlusterBlob *g = (const GlusterBlob *)blob;

    return cst_blob_gluster_fd(blob) &&
           g->gluster->glfs_fsetxattr(g->what.fd, name, value, strlen(value), 0) == 0;
}

/* --- opening and closing ---------------------------------------------------------------------- */

typedef struct {
    CstWork work;
    const CstGluster *gluster;
    CstBlobGluster what;
    char *name;
} Closing;

static void closing_clear(CstWork *work)
{
    g_free(((Closing *)work)->name);
}

/* The owner is released last, because the file uses its connection. */
static gboolean close_file(CstWork *work, GError **error)
{
    Closing *closing = (Closing *)work;

    if (closing->gluster->glfs_close(closing->what.fd) < 0)
        cst_log(CST_LOG_DEBUG, "closing '%s': %s", closing->name, g_strerror(errno));
    if (closing->what.release_owner)
        closing->what.release_owner(closing->what.owner);
    return TRUE;
}

static void close_with_deadline(const CstGluster *gluster, const CstBlobGluster *what,
                                const char *name)
{
    Closing *closing = cst_work_new(sizeof(*closing), close_file, closing_clear);

    closing->name = g_strdup(name);
    closing->work.what = closing->name;
    closing->gluster = gluster;
    closing->what = *what;
    cst_work_wait(&closing->work, what->deadline_ms, NULL);
    cst_work_unref(&closing->work);
}

/*
 * Waits, for the deadline at most, until the servers have closed the file, because its locks last
 * until then.
 */
static void gluster_close(CstBlob *blob)
{
    GlusterBlob *g = (GlusterBlob *)blob;

    close_with_deadline(g->gluster, &g->what, blob->name);
    g_mutex_clear(&g->lock);
    g_free(g);
}

static const CstBlobOps gluster_ops = {
    .kind = "gluster",
    .pread = gluster_pread,
    .get_size = gluster_get_size,
    .close = gluster_close,
    .pwrite = gluster_pwrite,
    .flush = gluster_flush,
    .extent = gluster_extent,
    .zero = gluster_zero,
    .discard = gluster_discard,
    .allocate = gluster_allocate,
    .resize = gluster_resize,
    .copy_range = gluster_copy_range,
    .lock = gluster_lock,
    /* QEMU's driver reads whole sectors, and treats an end within a sector as a failure. */
    .image_unit = 512,
};

CstBlob *cst_blob_gluster_new(const CstBlobGluster *what, const char *name, gboolean writable,
                              GError **error)
{
    const CstGluster *gluster = cst_gluster(error);
    GlusterBlob *g;
    struct stat st;
    guint64 owner;

    g_assert(gluster); /* the caller has used it to open the file */
    if (gluster->glfs_fstat(what->fd, &st) < 0) {
        cst_gluster_fail(error, errno, _("the size of volume '%s'"), name);
        close_with_deadline(gluster, what, name);
        return NULL;
    }
    g = g_new0(GlusterBlob, 1);
    g->gluster = gluster;
    g->what = *what;
    g->size = (uint64_t)st.st_size;
    g_mutex_init(&g->lock);
    cst_blob_init(&g->blob, &gluster_ops, name, writable);
    owner = (guint64)(guintptr)g;
    gluster->glfs_fd_set_lkowner(what->fd, &owner, sizeof(owner));
    return &g->blob;
}
