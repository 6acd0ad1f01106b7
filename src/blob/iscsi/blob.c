/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A LUN as a blob: READ(16) and WRITE(16) in parallel pieces, zeroes by WRITE SAME(16), space
 * released by WRITE SAME and UNMAP, extents from GET LBA STATUS.
 *
 * A block is the smallest unit of a write. If a write begins or ends within a block, the rest of
 * the block is read and written back with "edges" held exclusively; writes of whole blocks hold it
 * shared. No other lock is held while waiting for the target.
 */
#include "lun_blob.h"

#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <base/units.h>

/* Longest read or write of one command; a target's lower limit is respected. */
#define PIECE (512 * CST_KIB)
/* Up to this length, an unaligned range is copied as a whole. */
#define SMALL (128 * CST_KIB)
/* From this length on, zeroes are written with WRITE SAME. */
#define ZEROES_MIN (64 * CST_KIB)
/* Longest range of one WRITE SAME or UNMAP, and the number of parallel commands. */
#define ZERO_STEP  (64 * CST_MIB)
#define ZERO_STEPS 8

static void note_change(LunBlob *blob)
{
    g_mutex_lock(&blob->lock);
    blob->changes++;
    g_array_set_size(blob->runs, 0);
    g_mutex_unlock(&blob->lock);
}

static gboolean get_flag(LunBlob *blob, const gboolean *flag)
{
    gboolean value;

    g_mutex_lock(&blob->lock);
    value = *flag;
    g_mutex_unlock(&blob->lock);
    return value;
}

static void set_flag(LunBlob *blob, gboolean *flag)
{
    g_mutex_lock(&blob->lock);
    *flag = TRUE;
    g_mutex_unlock(&blob->lock);
}

/* --- reading and writing ---------------------------------------------------------------------- */

static uint32_t piece_blocks(const LunBlob *blob)
{
    uint32_t most = (uint32_t)(PIECE / blob->unit.block_size);

    return blob->unit.max_transfer ? MIN(most, blob->unit.max_transfer) : most;
}

/* Reads or writes whole blocks: @len bytes at @offset, both multiples of a block. */
static gboolean lun_transfer(LunBlob *blob, CstScsiDirection direction, uint8_t *buf, size_t len,
                             uint64_t offset, GError **error)
{
    uint32_t block_size = blob->unit.block_size;
    uint32_t most = piece_blocks(blob);
    uint64_t first = offset / block_size, blocks = len / block_size;
    guint count = (guint)((blocks + most - 1) / most);
    g_autofree CstIscsiRequest *requests =
        cst_alloc0(count, sizeof(*requests), blob->blob.name, error);

    if (!requests)
        return FALSE;
    for (guint i = 0; i < count; i++) {
        uint64_t from = (uint64_t)i * most;
        uint32_t some = (uint32_t)MIN(most, blocks - from);

        requests[i].command = cst_scsi_transfer(direction, first + from, some, block_size);
        requests[i].buf = buf + from * block_size;
    }
    if (!iscsi_lun_run(blob, requests, count, NULL, error))
        return FALSE;
    for (guint i = 0; direction == CST_SCSI_READ && i < count; i++)
        if (requests[i].got < requests[i].command.length)
            return cst_fail(error, CST_ERROR_IO, _("the target sent too little of volume '%s'"),
                            blob->blob.name);
    return TRUE;
}

/* The blocks that a range touches. */
typedef struct {
    uint64_t offset;
    size_t len;
} Span;

static Span span_of(const LunBlob *blob, uint64_t offset, size_t len)
{
    uint32_t block_size = blob->unit.block_size;
    uint64_t begin = offset - offset % block_size;
    uint64_t end = (offset + len + block_size - 1) / block_size * block_size;

    return (Span){begin, (size_t)(end - begin)};
}

static gboolean is_whole(const LunBlob *blob, uint64_t offset, size_t len)
{
    return (offset | len) % blob->unit.block_size == 0;
}

/*
 * Splits a long range into the part before the first block boundary, the whole blocks, and the
 * rest. Calls @part for each non-empty part.
 */
typedef gboolean (*Part)(LunBlob *blob, uint8_t *buf, size_t len, uint64_t offset, GError **error);

static gboolean in_parts(LunBlob *blob, uint8_t *buf, size_t len, uint64_t offset, Part part,
                         GError **error)
{
    uint32_t block_size = blob->unit.block_size;
    size_t head = (block_size - offset % block_size) % block_size;
    size_t tail = (offset + len) % block_size;
    size_t middle = len - head - tail;

    return (head == 0 || part(blob, buf, head, offset, error)) &&
           part(blob, buf + head, middle, offset + head, error) &&
           (tail == 0 || part(blob, buf + head + middle, tail, offset + head + middle, error));
}

static gboolean read_part(LunBlob *blob, uint8_t *buf, size_t len, uint64_t offset, GError **error)
{
    Span span = span_of(blob, offset, len);
    g_autofree uint8_t *blocks = NULL;

    if (is_whole(blob, offset, len))
        return lun_transfer(blob, CST_SCSI_READ, buf, len, offset, error);
    blocks = cst_alloc(span.len, 1, blob->blob.name, error);
    if (!blocks || !lun_transfer(blob, CST_SCSI_READ, blocks, span.len, span.offset, error))
        return FALSE;
    memcpy(buf, blocks + (offset - span.offset), len);
    return TRUE;
}

static gboolean lun_pread(CstBlob *head, void *buf, size_t len, uint64_t offset, GError **error)
{
    LunBlob *blob = (LunBlob *)head;

    if (is_whole(blob, offset, len) || len <= SMALL)
        return read_part(blob, buf, len, offset, error);
    return in_parts(blob, buf, len, offset, read_part, error);
}

/* Writes a range of which the first or the last block, or both, keep a part of their content. */
static gboolean write_edges(LunBlob *blob, const uint8_t *buf, size_t len, uint64_t offset,
                            GError **error)
{
    uint32_t block_size = blob->unit.block_size;
    Span span = span_of(blob, offset, len);
    g_autofree uint8_t *blocks = cst_alloc(span.len, 1, blob->blob.name, error);
    gboolean first = offset > span.offset || len < block_size;
    gboolean last = span.len > block_size && (offset + len) % block_size != 0;
    size_t end = span.len - block_size;

    if (!blocks ||
        (first && !lun_transfer(blob, CST_SCSI_READ, blocks, block_size, span.offset, error)) ||
        (last &&
         !lun_transfer(blob, CST_SCSI_READ, blocks + end, block_size, span.offset + end, error)))
        return FALSE;
    memcpy(blocks + (offset - span.offset), buf, len);
    return lun_transfer(blob, CST_SCSI_WRITE, blocks, span.len, span.offset, error);
}

static gboolean write_part(LunBlob *blob, uint8_t *buf, size_t len, uint64_t offset, GError **error)
{
    return is_whole(blob, offset, len) ? lun_transfer(blob, CST_SCSI_WRITE, buf, len, offset, error)
                                       : write_edges(blob, buf, len, offset, error);
}

static gboolean write_odd(LunBlob *blob, uint8_t *buf, size_t len, uint64_t offset, GError **error)
{
    gboolean done;

    g_rw_lock_writer_lock(&blob->edges);
    done = len <= SMALL ? write_part(blob, buf, len, offset, error)
                        : in_parts(blob, buf, len, offset, write_part, error);
    g_rw_lock_writer_unlock(&blob->edges);
    return done;
}

/* --- zeroing and releasing space -------------------------------------------------------------- */

typedef enum { ZERO_SAME, ZERO_SAME_UNMAP, ZERO_UNMAP } ZeroKind;

static uint64_t step_blocks(const LunBlob *blob, ZeroKind kind)
{
    uint64_t most = ZERO_STEP / blob->unit.block_size;
    uint64_t limit = kind == ZERO_UNMAP ? blob->unit.max_unmap : blob->unit.max_same;

    return limit ? MIN(most, limit) : most;
}

/* Sends commands for whole blocks, some in parallel. *ret_unknown as in iscsi_lun_run(). */
static gboolean zero_blocks(LunBlob *blob, ZeroKind kind, uint64_t offset, uint64_t length,
                            gboolean *ret_unknown, GError **error)
{
    uint32_t block_size = blob->unit.block_size;
    uint64_t step = step_blocks(blob, kind);
    uint64_t at = offset / block_size, end = (offset + length) / block_size;
    g_autofree uint8_t *zeroes = g_malloc0(block_size);
    uint8_t lists[ZERO_STEPS][CST_SCSI_UNMAP_LENGTH];

    while (at < end) {
        CstIscsiRequest requests[ZERO_STEPS] = {0};
        guint count = 0;

        for (; count < ZERO_STEPS && at < end; count++) {
            uint32_t blocks = (uint32_t)MIN(step, end - at);

            if (kind == ZERO_UNMAP)
                requests[count].command = cst_scsi_unmap(at, blocks, lists[count]);
            else
                requests[count].command =
                    cst_scsi_write_same(at, blocks, block_size, kind == ZERO_SAME_UNMAP);
            requests[count].buf = kind == ZERO_UNMAP ? lists[count] : zeroes;
            at += blocks;
        }
        if (!iscsi_lun_run(blob, requests, count, ret_unknown, error))
            return FALSE;
    }
    return TRUE;
}

/* Space is released only if it is certain to read as zeroes afterwards. UNMAP is only a hint. */
static gboolean may_release(const LunBlob *blob)
{
    return blob->unit.thin && blob->unit.unmapped_zero && blob->unit.can_same_unmap;
}

static gboolean no_same(LunBlob *blob, GError **error)
{
    return cst_fail(error, CST_ERROR_UNSUPPORTED, _("the target of '%s' has no WRITE SAME"),
                    blob->blob.name);
}

/*
 * Makes whole blocks zero. UNSUPPORTED, also for all later calls, if the target does not support
 * it.
 */
static gboolean zero_whole(LunBlob *blob, uint64_t offset, uint64_t length, gboolean release,
                           GError **error)
{
    gboolean unknown = FALSE, done;

    if (get_flag(blob, &blob->no_same))
        return no_same(blob, error);
    g_rw_lock_reader_lock(&blob->edges);
    done =
        zero_blocks(blob, release ? ZERO_SAME_UNMAP : ZERO_SAME, offset, length, &unknown, error);
    g_rw_lock_reader_unlock(&blob->edges);
    note_change(blob);
    if (done || !unknown)
        return done;
    set_flag(blob, &blob->no_same);
    g_clear_error(error);
    return no_same(blob, error);
}

static gboolean lun_zero(CstBlob *head, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error)
{
    LunBlob *blob = (LunBlob *)head;
    uint32_t block_size = blob->unit.block_size;
    gboolean release = (flags & CST_ZERO_MAY_UNMAP) && may_release(blob);
    uint64_t begin = (offset + block_size - 1) / block_size * block_size;
    uint64_t end = (offset + length) / block_size * block_size;
    g_autofree uint8_t *zeroes = NULL;

    if ((flags & CST_ZERO_FAST) && !release)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' has no fast zeroing"), head->name);
    zeroes = g_malloc0(2 * block_size);
    if (begin >= end) /* within one block, or across the border of two */
        return write_odd(blob, zeroes, (size_t)length, offset, error);
    /* The ends are written after the whole blocks, because zeroing these may be unsupported. */
    return zero_whole(blob, begin, end - begin, release, error) &&
           (offset == begin || write_odd(blob, zeroes, (size_t)(begin - offset), offset, error)) &&
           (offset + length == end ||
            write_odd(blob, zeroes, (size_t)(offset + length - end), end, error));
}

static gboolean lun_discard(CstBlob *head, uint64_t offset, uint64_t length, GError **error)
{
    LunBlob *blob = (LunBlob *)head;
    uint32_t block_size = blob->unit.block_size;
    uint64_t begin = (offset + block_size - 1) / block_size * block_size;
    uint64_t end = (offset + length) / block_size * block_size;
    ZeroKind kind = blob->unit.can_unmap ? ZERO_UNMAP : ZERO_SAME_UNMAP;
    gboolean unknown = FALSE, done;

    if (!blob->unit.thin || !(blob->unit.can_unmap || blob->unit.can_same_unmap))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' does not release space"), head->name);
    g_rw_lock_reader_lock(&blob->edges);
    done = begin >= end || zero_blocks(blob, kind, begin, end - begin, &unknown, error);
    g_rw_lock_reader_unlock(&blob->edges);
    note_change(blob);
    if (done || !unknown)
        return done;
    g_clear_error(error);
    return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' does not release space"), head->name);
}

/* --- writing ---------------------------------------------------------------------------------- */

static gboolean write_whole(LunBlob *blob, uint8_t *buf, size_t len, uint64_t offset,
                            GError **error)
{
    g_autoptr(GError) why = NULL;
    gboolean done;

    /* WRITE SAME sends one block for a range of equal blocks, for example of a wipe. */
    if (len >= ZEROES_MIN && !get_flag(blob, &blob->no_same) && cst_bytes_are_zero(buf, len)) {
        if (zero_whole(blob, offset, len, FALSE, &why))
            return TRUE;
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    g_rw_lock_reader_lock(&blob->edges);
    done = lun_transfer(blob, CST_SCSI_WRITE, buf, len, offset, error);
    g_rw_lock_reader_unlock(&blob->edges);
    return done;
}

/* The buffer is only read. The cast is needed because libiscsi has one type for both directions. */
static gboolean lun_pwrite(CstBlob *head, const void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    LunBlob *blob = (LunBlob *)head;
    gboolean done;

    if (offset + len > blob->size)
        return cst_fail(error, CST_ERROR_NO_SPACE,
                        _("volume '%s' ends at %" PRIu64 " bytes, where its LUN ends"), head->name,
                        blob->size);
    done = is_whole(blob, offset, len) ? write_whole(blob, (uint8_t *)buf, len, offset, error)
                                       : write_odd(blob, (uint8_t *)buf, len, offset, error);
    note_change(blob);
    return done;
}

/* A target without a cache need not support the command. */
static gboolean lun_flush(CstBlob *head, GError **error)
{
    LunBlob *blob = (LunBlob *)head;
    CstIscsiRequest request = {.command = cst_scsi_sync()};
    g_autoptr(GError) why = NULL;
    gboolean unknown = FALSE, needed;

    g_mutex_lock(&blob->lock);
    needed = blob->changes > 0 && !blob->no_sync;
    g_mutex_unlock(&blob->lock);
    if (!needed || iscsi_lun_run(blob, &request, 1, &unknown, &why))
        return TRUE;
    if (unknown) {
        set_flag(blob, &blob->no_sync);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- extents ---------------------------------------------------------------------------------- */

/* Queries the runs from @block on, and caches them unless a change has overtaken the answer. */
static gboolean ask_runs(LunBlob *blob, uint64_t block, GArray *runs, GError **error)
{
    uint8_t answer[CST_SCSI_STATUS_LENGTH] = {0};
    CstIscsiRequest request = {.command = cst_scsi_lba_status(block, sizeof(answer)),
                               .buf = answer};
    g_autoptr(GError) why = NULL;
    gboolean unknown = FALSE;
    uint64_t changes;

    g_mutex_lock(&blob->lock);
    changes = blob->changes;
    g_mutex_unlock(&blob->lock);
    if (!iscsi_lun_run(blob, &request, 1, &unknown, &why)) {
        if (unknown)
            set_flag(blob, &blob->no_status);
        else
            g_propagate_error(error, g_steal_pointer(&why));
        return unknown;
    }
    if (!cst_scsi_parse_lba_status(answer, request.got, block, blob->unit.blocks, runs, error))
        return FALSE;
    CST_TEST_POINT("iscsi_lun.runs.asked");
    g_mutex_lock(&blob->lock);
    g_array_set_size(blob->runs, 0);
    if (changes == blob->changes)
        g_array_append_vals(blob->runs, runs->data, runs->len);
    g_mutex_unlock(&blob->lock);
    return TRUE;
}

static gboolean find_run(const GArray *runs, uint64_t block, CstScsiRun *ret_run)
{
    for (guint i = 0; i < runs->len; i++) {
        const CstScsiRun *run = &g_array_index(runs, CstScsiRun, i);

        if (run->block <= block && block < run->end) {
            *ret_run = *run;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean lun_extent(CstBlob *head, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                           GError **error)
{
    LunBlob *blob = (LunBlob *)head;
    uint32_t block_size = blob->unit.block_size;
    uint64_t block = offset / block_size;
    CstScsiRun run;
    gboolean known;

    *ret_extent = (CstExtent){offset, length, CST_EXTENT_DATA};
    if (!blob->unit.thin || get_flag(blob, &blob->no_status))
        return TRUE;
    g_mutex_lock(&blob->lock);
    known = find_run(blob->runs, block, &run);
    g_mutex_unlock(&blob->lock);
    if (!known) {
        g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(CstScsiRun));

        if (!ask_runs(blob, block, runs, error))
            return FALSE;
        if (!find_run(runs, block, &run))
            return TRUE; /* the target does not report it */
    }
    ret_extent->length = MIN(length, run.end * block_size - offset);
    if (!run.mapped)
        ret_extent->flags = CST_EXTENT_HOLE | (blob->unit.unmapped_zero ? CST_EXTENT_ZERO : 0);
    return TRUE;
}

/* --- size, opening and closing ---------------------------------------------------------------- */

static gboolean lun_size(CstBlob *head, uint64_t *ret_size, GError **error)
{
    *ret_size = ((LunBlob *)head)->size;
    return TRUE;
}

static void lun_close(CstBlob *head)
{
    LunBlob *blob = (LunBlob *)head;

    if (blob->release)
        blob->release(blob->owner);
    g_array_unref(blob->runs);
    g_rw_lock_clear(&blob->edges);
    g_mutex_clear(&blob->lock);
    g_free(blob);
}

static const CstBlobOps lun_ops = {
    .kind = "LUN",
    .pread = lun_pread,
    .get_size = lun_size,
    .close = lun_close,
    .pwrite = lun_pwrite,
    .flush = lun_flush,
    .extent = lun_extent,
    .zero = lun_zero,
    .discard = lun_discard,
};

CstBlob *cst_blob_iscsi_new(CstIscsi *iscsi, const CstIscsiLun *lun, const char *name,
                            gboolean writable, gpointer owner, GDestroyNotify release)
{
    LunBlob *blob = g_new0(LunBlob, 1);

    blob->iscsi = iscsi;
    blob->owner = owner;
    blob->release = release;
    blob->lun = lun->lun;
    blob->unit = lun->unit;
    blob->size = lun->unit.blocks * lun->unit.block_size;
    blob->epoch = lun->epoch;
    blob->runs = g_array_new(FALSE, FALSE, sizeof(CstScsiRun));
    g_rw_lock_init(&blob->edges);
    g_mutex_init(&blob->lock);
    cst_blob_init(&blob->blob, &lun_ops, name, writable);
    return &blob->blob;
}
