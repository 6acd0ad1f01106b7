/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The caller's side of uploads and downloads, for both transports: a descriptor as a sequence of
 * data and holes. Files are read and written with positional calls. The descriptor's own offset is
 * used only by lseek(), to find holes, and as the position at which a sink begins. A sink that ends
 * sets it to its end, because the shell may pass the descriptor on to the next command. Pipes have
 * neither positions nor holes. A file that is open for appending (">>") is written like a pipe,
 * because the kernel ignores the offset of each pwrite().
 */
#include "fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

gboolean cst_fd_source_init(CstFdSource *source, int fd, gboolean sparse, CstTask *task,
                            GError **error)
{
    struct stat st;
    off_t end = 0;

    if (fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot read the input"));
    *source = (CstFdSource){.fd = fd, .task = task};
    source->positional = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
    if (!source->positional)
        return TRUE;
    end = lseek(fd, 0, SEEK_END);
    if (end < 0)
        return cst_fail_errno(error, errno, _("cannot determine the size of the input"));
    source->size = end;
    source->sparse = sparse && S_ISREG(st.st_mode);
    return TRUE;
}

/* Returns the length of the hole at the position; 0: data, up to data_end. */
static uint64_t hole_at(CstFdSource *source)
{
    off_t data, hole;

    if (!source->sparse || source->pos < source->data_end)
        return 0;
    data = lseek(source->fd, source->pos, SEEK_DATA);
    /* No data after the position: the rest is a hole. */
    if (data < 0 && errno == ENXIO)
        return source->size - source->pos;
    if (data >= 0 && (uint64_t)data > source->pos)
        return MIN((uint64_t)data, source->size) - source->pos;
    hole = data < 0 ? -1 : lseek(source->fd, source->pos, SEEK_HOLE);
    /* The file system does not report holes, so all the rest is data. */
    source->data_end = hole < 0 ? source->size : (uint64_t)hole;
    return 0;
}

static gboolean fd_source_read_piece(CstFdSource *source, void *buf, size_t size, size_t *ret_len,
                                     GError **error)
{
    ssize_t n;

    do {
        if (!cst_task_check(source->task, error))
            return FALSE;
        n = source->positional ? pread(source->fd, buf, size, source->pos)
                               : read(source->fd, buf, size);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return cst_fail_errno(error, errno, _("cannot read the input"));
    *ret_len = n;
    source->pos += n;
    return TRUE;
}

gboolean cst_fd_source_next(CstFdSource *source, void *buf, size_t size, size_t *ret_len,
                            uint64_t *ret_hole, GError **error)
{
    *ret_len = 0;
    *ret_hole = 0;
    if (source->positional) {
        uint64_t hole;

        if (source->pos >= source->size)
            return TRUE;
        hole = hole_at(source);
        if (hole) {
            source->pos += hole;
            *ret_hole = hole;
            return TRUE;
        }
        /*
         * Read up to the next hole, or to the size at the start, so that bytes appended since are
         * ignored.
         */
        size = MIN(size, (source->sparse ? source->data_end : source->size) - source->pos);
    }
    return fd_source_read_piece(source, buf, size, ret_len, error);
}

gboolean cst_fd_source_pump(CstFdSource *source, CstPieceFunc piece, gpointer data, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(CST_STREAM_CHUNK);
    size_t len;
    uint64_t hole;

    do {
        if (!cst_fd_source_next(source, buf, CST_STREAM_CHUNK, &len, &hole, error) ||
            ((len || hole) && !piece(buf, len, hole, data, error)))
            return FALSE;
    } while (len || hole);
    return TRUE;
}

gboolean cst_fd_sink_init(CstFdSink *sink, int fd, CstTask *task, GError **error)
{
    struct stat st;
    off_t pos;

    if (fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot write the output"));
    *sink = (CstFdSink){.fd = fd, .task = task};
    sink->positional =
        (S_ISREG(st.st_mode) && !(fcntl(fd, F_GETFL) & O_APPEND)) || S_ISBLK(st.st_mode);
    if (!sink->positional)
        return TRUE;
    pos = lseek(fd, 0, SEEK_CUR);
    if (pos < 0)
        return cst_fail_errno(error, errno, _("cannot write the output"));
    sink->pos = pos;
    /*
     * A file that ends here reads as zeroes wherever it is not written. In the middle of a file, or
     * on a device, old content would remain in a hole.
     */
    sink->skip_holes = S_ISREG(st.st_mode) && st.st_size <= pos;
    return TRUE;
}

gboolean cst_fd_sink_write(CstFdSink *sink, const void *data, size_t len, GError **error)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n =
            sink->positional ? pwrite(sink->fd, p, len, sink->pos) : write(sink->fd, p, len);

        if (n < 0 && errno == EINTR) {
            if (!cst_task_check(sink->task, error))
                return FALSE;
            continue;
        }
        if (n <= 0)
            return cst_fail_errno(error, n < 0 ? errno : EIO, _("cannot write the output"));
        p += n;
        len -= n;
        sink->pos += n;
    }
    return TRUE;
}

gboolean cst_fd_sink_hole(CstFdSink *sink, uint64_t len, GError **error)
{
    static const uint8_t zeroes[64 * 1024];

    if (sink->skip_holes) {
        if (len > (uint64_t)INT64_MAX - sink->pos)
            return cst_fail(error, CST_ERROR_RPC,
                            _("a hole of %" PRIu64 " bytes ends beyond the largest file size"),
                            len);
        sink->pos += len;
        return TRUE;
    }
    while (len > 0) {
        size_t n = MIN(len, sizeof(zeroes));

        if (!cst_task_check(sink->task, error) || !cst_fd_sink_write(sink, zeroes, n, error))
            return FALSE;
        len -= n;
    }
    return TRUE;
}

gboolean cst_fd_sink_finish(CstFdSink *sink, GError **error)
{
    struct stat st;

    if (sink->skip_holes && (fstat(sink->fd, &st) < 0 || ((uint64_t)st.st_size < sink->pos &&
                                                          ftruncate(sink->fd, sink->pos) < 0)))
        return cst_fail_errno(error, errno, _("cannot write the output"));
    return !sink->positional || lseek(sink->fd, sink->pos, SEEK_SET) >= 0 ||
           cst_fail_errno(error, errno, _("cannot write the output"));
}
