/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copying between blobs of any kind.
 *
 * A copy tries the cheapest method first and falls back if it is not supported:
 *
 *   1. share all extents with one call (FICLONE), if both blobs are files;
 *   2. share extents run by run, if either side is the guest's view of an image: each run is
 *      located in its file (cst_blob_locate) and its whole units are shared (cst_blob_share);
 *   3. copy inside the kernel (copy_file_range);
 *   4. read, skip zeroes, write.
 *
 * Methods 2 to 4 run on COPY_THREADS threads. Each thread fetches the next run of the source from
 * one cursor. So the extent map is read once, and a hole of any length is one work item. The first
 * UNSUPPORTED disables method 2 or 3 for the rest of the copy. The first other failure stops all
 * threads and is the result.
 *
 * Copy.lock guards the cursor, the enabled methods, and the error. It is held across the extent
 * query of the source and never across data transfers.
 *
 * A failed or cancelled copy leaves the destination's range undefined, so callers copy to a new
 * object that is not yet visible.
 */
#include <blob/copy.h>

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <base/threads.h>
#include <base/units.h>

/*
 * The kernel serialises writers of one file. More threads than needed for read-ahead would only
 * wait.
 */
#define COPY_THREADS   2
#define COPY_RUN       (8 * CST_MIB)  /* data per work item: the unit of cancelling and progress */
#define SHARE_RUN      (64 * CST_MIB) /* as COPY_RUN, while extents are shared */
#define COPY_BUFFER    (1 * CST_MIB)  /* one read and, when it contains no zeroes, one write */
#define ZERO_GRAIN     4096           /* zero detection tests blocks of this size */
#define ZERO_RUN_MIN   (16 * CST_KIB) /* shorter zero runs are cheaper to write than to skip */
#define PARALLEL_ABOVE (4 * CST_MIB)  /* longer copies use threads */

typedef struct {
    CstBlob *src;
    CstBlob *dst;
    uint64_t src_offset; /* constant during the copy */
    uint64_t dst_offset;
    uint64_t length;
    unsigned flags;
    uint64_t zero_run;   /* shorter runs of zeroes are written; 0: all runs are */
    gboolean whole_runs; /* FALSE: a run at a buffer's start is always skipped, because it may
                          * continue a run in the preceding buffer */
    CstTask *task;

    GMutex lock;         /* guards the following fields */
    uint64_t cursor;     /* next byte to hand out, relative to the offsets */
    CstExtent run;       /* rest of the last extent that the source reported */
    gboolean use_kernel; /* method 3 is enabled */
    uint64_t share_unit; /* of the destination; 0: method 2 is disabled */
    GError *error;       /* first failure; all threads stop */
} Copy;

static void copy_fail(Copy *copy, GError *error)
{
    g_mutex_lock(&copy->lock);
    if (copy->error)
        g_error_free(error);
    else
        copy->error = error;
    g_mutex_unlock(&copy->lock);
    CST_TEST_POINT("blob_copy.failed");
}

/* Sets *ret_run to the next run, relative to the copy's start. FALSE: finished or failed. */
static gboolean next_run(Copy *copy, CstExtent *ret_run)
{
    gboolean more = FALSE;

    g_mutex_lock(&copy->lock);
    if (!copy->error && copy->cursor < copy->length) {
        uint64_t left = copy->length - copy->cursor;

        more = copy->run.length > 0 || cst_blob_extent(copy->src, copy->src_offset + copy->cursor,
                                                       left, &copy->run, &copy->error);
    }
    if (more) {
        uint64_t most = copy->share_unit > 0 ? SHARE_RUN : COPY_RUN;

        ret_run->offset = copy->cursor;
        ret_run->flags = copy->run.flags;
        ret_run->length =
            copy->run.flags & CST_EXTENT_ZERO ? copy->run.length : MIN(copy->run.length, most);
        copy->run.length -= ret_run->length;
        copy->cursor += ret_run->length;
    }
    g_mutex_unlock(&copy->lock);
    return more;
}

static gboolean zero_range(Copy *copy, uint64_t offset, uint64_t length, GError **error)
{
    if (copy->flags & CST_COPY_DST_ZERO)
        return TRUE;
    return cst_blob_zero(copy->dst, copy->dst_offset + offset, length, CST_ZERO_MAY_UNMAP, error);
}

/* Returns whether a run of @zeroes zero bytes is skipped. @at_start: it begins the buffer. */
static gboolean worth_skipping(const Copy *copy, size_t zeroes, gboolean at_start)
{
    return zeroes >= copy->zero_run || (at_start && zeroes > 0 && !copy->whole_runs);
}

/*
 * Returns the length of the segment at the start of @buf: a run of zeroes to be skipped
 * (*ret_zero), or data, including runs of zeroes that are too short to skip.
 */
static size_t next_segment(const Copy *copy, const uint8_t *buf, size_t len, gboolean *ret_zero)
{
    size_t grain = (size_t)MIN(ZERO_GRAIN, copy->zero_run);
    size_t at = 0, zeroes = 0;

    *ret_zero = FALSE;
    if (copy->zero_run == 0)
        return len;
    while (at + zeroes < len) {
        size_t n = MIN(grain, len - at - zeroes);

        if (cst_bytes_are_zero(buf + at + zeroes, n)) {
            zeroes += n;
            continue;
        }
        if (worth_skipping(copy, zeroes, at == 0))
            break;
        at += zeroes + n;
        zeroes = 0;
    }
    *ret_zero = at == 0 && worth_skipping(copy, zeroes, TRUE);
    /* Data ends at the start of a run of zeroes that is worth skipping. */
    if (*ret_zero)
        return zeroes;
    return worth_skipping(copy, zeroes, FALSE) ? at : at + zeroes;
}

static gboolean write_segments(Copy *copy, const uint8_t *buf, size_t len, uint64_t offset,
                               GError **error)
{
    while (len > 0) {
        gboolean zero = FALSE;
        size_t n = next_segment(copy, buf, len, &zero);
        gboolean ok = zero ? zero_range(copy, offset, n, error)
                           : cst_blob_pwrite(copy->dst, buf, n, copy->dst_offset + offset, error);

        if (!ok)
            return FALSE;
        buf += n;
        len -= n;
        offset += n;
    }
    return TRUE;
}

/* TRUE: copied. FALSE without error: not supported; method 3 is disabled. */
static gboolean copy_in_kernel(Copy *copy, const CstExtent *run, GError **error)
{
    g_autoptr(GError) why = NULL;
    gboolean use;

    g_mutex_lock(&copy->lock);
    use = copy->use_kernel;
    g_mutex_unlock(&copy->lock);
    if (!use)
        return FALSE;
    if (cst_blob_copy_range(copy->src, copy->src_offset + run->offset, copy->dst,
                            copy->dst_offset + run->offset, run->length, FALSE, &why))
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    CST_TEST_POINT("blob_copy.kernel.tried");
    g_mutex_lock(&copy->lock);
    copy->use_kernel = FALSE;
    g_mutex_unlock(&copy->lock);
    return FALSE;
}

/* Method 4. */
static gboolean copy_by_hand(Copy *copy, const CstExtent *run, uint8_t *buf, GError **error)
{
    for (uint64_t done = 0; done < run->length;) {
        size_t n = (size_t)MIN(COPY_BUFFER, run->length - done);
        uint64_t offset = run->offset + done;

        if (!cst_task_check(copy->task, error) ||
            !cst_blob_pread(copy->src, buf, n, copy->src_offset + offset, error) ||
            !write_segments(copy, buf, n, offset, error))
            return FALSE;
        cst_task_advance(copy->task, n);
        done += n;
    }
    return TRUE;
}

/*
 * Methods 3 and 4. A run that could not be shared may be SHARE_RUN long. It is copied in pieces of
 * COPY_RUN, so that the rate limit and a cancellation apply between pieces.
 */
static gboolean copy_data(Copy *copy, const CstExtent *run, uint8_t *buf, GError **error)
{
    for (uint64_t done = 0; done < run->length;) {
        CstExtent piece = {run->offset + done, MIN(COPY_RUN, run->length - done), run->flags};
        g_autoptr(GError) why = NULL;

        if (!cst_task_begin_copy(copy->task, error) || !cst_task_check(copy->task, error))
            return FALSE;
        if (copy_in_kernel(copy, &piece, &why)) {
            cst_task_advance(copy->task, piece.length);
        } else if (why) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        } else if (!copy_by_hand(copy, &piece, buf, error)) {
            return FALSE;
        }
        done += piece.length;
    }
    return TRUE;
}

/*
 * Locates the start of @run in its file. The location's length is the length that can be shared, in
 * whole units of both sides. 0: no data can be shared, and *ret_uniform is raised to the number of
 * bytes to copy before another attempt is useful.
 */
static gboolean find_shareable(Copy *copy, const CstExtent *run, uint64_t unit,
                               CstBlobLocation *ret_location, uint64_t *ret_uniform, GError **error)
{
    uint64_t src_unit;

    if (!cst_blob_locate(copy->src, copy->src_offset + run->offset, run->length, ret_location,
                         error))
        return FALSE;
    *ret_uniform = MAX(*ret_uniform, ret_location->length);
    src_unit = ret_location->blob ? cst_blob_share_unit(ret_location->blob) : 0;
    ret_location->length &= ~(MAX(unit, src_unit) - 1);
    if (src_unit == 0 || (ret_location->offset & (src_unit - 1)))
        ret_location->length = 0;
    return TRUE;
}

/*
 * Tries to share the start of @run. *ret_length: the bytes that were shared (*ret_shared) or that
 * the caller has to copy. FALSE only for a failure other than UNSUPPORTED.
 */
static gboolean share_prefix(Copy *copy, const CstExtent *run, uint64_t *ret_length,
                             gboolean *ret_shared, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstBlobLocation location = {0};
    uint64_t unit;

    g_mutex_lock(&copy->lock);
    unit = copy->share_unit;
    g_mutex_unlock(&copy->lock);
    *ret_shared = FALSE;
    *ret_length = run->length;
    if (unit == 0)
        return TRUE;
    /* The part before the next unit boundary of the destination is copied. */
    *ret_length = MIN(run->length, unit - ((copy->dst_offset + run->offset) & (unit - 1)));
    if (*ret_length < unit)
        return TRUE;
    if (!find_shareable(copy, run, unit, &location, ret_length, error))
        return FALSE;
    if (location.length == 0)
        return TRUE;
    *ret_length = location.length;
    *ret_shared = cst_blob_share(location.blob, location.offset, copy->dst,
                                 copy->dst_offset + run->offset, location.length, &why);
    if (*ret_shared || g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        CST_TEST_POINT("blob_copy.share.tried");
        g_mutex_lock(&copy->lock);
        /* The destination may have changed in part; the caller copies the whole range over it. */
        copy->share_unit = *ret_shared ? copy->share_unit : 0;
        g_mutex_unlock(&copy->lock);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Shares whole units and copies the rest. */
static gboolean share_or_copy(Copy *copy, const CstExtent *run, uint8_t *buf, GError **error)
{
    for (uint64_t done = 0, n = 0; done < run->length; done += n) {
        CstExtent piece = {run->offset + done, MIN(COPY_RUN, run->length - done), run->flags};
        gboolean shared = FALSE;

        if (!cst_task_check(copy->task, error) || !share_prefix(copy, &piece, &n, &shared, error))
            return FALSE;
        piece.length = n;
        if (shared)
            cst_task_skip(copy->task, n);
        else if (!copy_data(copy, &piece, buf, error))
            return FALSE;
    }
    return TRUE;
}

/* Writes the zeroes of a hole, because the destination must be fully allocated. */
static gboolean write_zeroes(Copy *copy, const CstExtent *run, uint8_t *buf, GError **error)
{
    memset(buf, 0, COPY_BUFFER);
    for (uint64_t done = 0, n = 0; done < run->length; done += n) {
        n = MIN(COPY_BUFFER, run->length - done);
        if (!cst_task_check(copy->task, error) ||
            !cst_blob_pwrite(copy->dst, buf, (size_t)n, copy->dst_offset + run->offset + done,
                             error))
            return FALSE;
        cst_task_advance(copy->task, n);
    }
    return TRUE;
}

static gboolean copy_run(Copy *copy, const CstExtent *run, uint8_t *buf, GError **error)
{
    if (!cst_task_check(copy->task, error))
        return FALSE;
    if (!(run->flags & CST_EXTENT_ZERO))
        return share_or_copy(copy, run, buf, error);
    if (copy->zero_run == 0)
        return write_zeroes(copy, run, buf, error);
    if (!zero_range(copy, run->offset, run->length, error))
        return FALSE;
    cst_task_skip(copy->task, run->length);
    return TRUE;
}

static void *copy_worker(void *data)
{
    Copy *copy = data;
    uint8_t *buf = g_malloc(COPY_BUFFER);
    CstExtent run = {0};

    while (next_run(copy, &run)) {
        GError *error = NULL;

        if (!copy_run(copy, &run, buf, &error))
            copy_fail(copy, error);
    }
    g_free(buf);
    return NULL;
}

static gboolean check_ranges(Copy *copy, GError **error)
{
    uint64_t size = 0, end = copy->dst_offset + copy->length;

    if (!cst_blob_get_size(copy->src, &size, error))
        return FALSE;
    if (copy->src_offset > size || copy->length > size - copy->src_offset)
        return cst_fail(error, CST_ERROR_INVALID, _("cannot copy past the end of '%s'"),
                        copy->src->name);
    /* The sum may have wrapped around. */
    if (end < copy->dst_offset || end > G_MAXINT64)
        return cst_fail(error, CST_ERROR_INVALID, _("the copy ends out of range in '%s'"),
                        copy->dst->name);
    if (copy->src == copy->dst && copy->src_offset < end &&
        copy->dst_offset < copy->src_offset + copy->length)
        return cst_fail(error, CST_ERROR_INVALID, _("source and destination overlap in '%s'"),
                        copy->src->name);
    if (!copy->dst->writable)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("'%s' is open for reading only"),
                        copy->dst->name);
    return TRUE;
}

/* Method 1. TRUE: everything is shared. FALSE without error: not supported. */
static gboolean share_whole(Copy *copy, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!(copy->flags & CST_COPY_NO_SHARE)) {
        if (cst_blob_copy_range(copy->src, copy->src_offset, copy->dst, copy->dst_offset,
                                copy->length, TRUE, &why)) {
            cst_task_skip(copy->task, copy->length);
            return TRUE;
        }
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    if (copy->flags & CST_COPY_SHARE_ONLY)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' cannot share its data with '%s': both must be files on one file "
                          "system with reflinks (XFS, Btrfs)"),
                        copy->src->name, copy->dst->name);
    return FALSE;
}

static gboolean grow_destination(Copy *copy, GError **error)
{
    uint64_t size = 0, end = copy->dst_offset + copy->length;

    if (!cst_blob_get_size(copy->dst, &size, error))
        return FALSE;
    if (size >= end)
        return TRUE;
    if (size <= copy->dst_offset) /* the resize adds the whole range, so it is zero */
        copy->flags |= CST_COPY_DST_ZERO;
    return cst_blob_resize(copy->dst, end, error);
}

static gboolean copy_all(Copy *copy, GError **error)
{
    g_autoptr(GError) why = NULL;

    /* A dry run ends here, after all checks. */
    if (!check_ranges(copy, error) || !cst_task_check(copy->task, error) || !cst_may_change(error))
        return FALSE;
    if (copy->length == 0 || share_whole(copy, &why))
        return TRUE;
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    /* Extents that may be shared run by run need no turn, and no wait for one. */
    if (!grow_destination(copy, error) ||
        (copy->share_unit == 0 && !cst_task_begin_copy(copy->task, error)))
        return FALSE;
    g_mutex_init(&copy->lock);
    cst_threads_run(copy_worker, copy, copy->length <= PARALLEL_ABOVE ? 1 : COPY_THREADS);
    g_mutex_clear(&copy->lock);
    if (copy->error) {
        g_propagate_error(error, copy->error);
        return FALSE;
    }
    return TRUE;
}

gboolean cst_blob_copy(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                       uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    Copy copy = {
        .src = src,
        .dst = dst,
        .src_offset = src_offset,
        .dst_offset = dst_offset,
        .length = length,
        .flags = flags,
        .zero_run = ZERO_RUN_MIN,
        .task = task,
        .use_kernel = !(flags & CST_COPY_NO_SHARE),
        .share_unit = flags & CST_COPY_NO_SHARE ? 0 : cst_blob_share_unit(dst),
    };

    return copy_all(&copy, error);
}

gboolean cst_blob_copy_sparse(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                              uint64_t length, uint64_t zero_run, unsigned flags, CstTask *task,
                              GError **error)
{
    Copy copy = {
        .src = src,
        .dst = dst,
        .src_offset = src_offset,
        .dst_offset = dst_offset,
        .length = length,
        /* The kernel would copy or share the source's holes instead of the wanted ones. */
        .flags = flags | CST_COPY_NO_SHARE,
        .zero_run = zero_run,
        .whole_runs = TRUE,
        .task = task,
    };

    return copy_all(&copy, error);
}
