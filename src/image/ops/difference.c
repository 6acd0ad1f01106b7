/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes the difference between a given content and the backing image into an image. It writes
 * zeroes or data where the backing image differs, and does not write where they are equal. It can
 * also compare with the image's own content. Threads draw pieces, read both sides, and compare them
 * in units of the format. Adjacent units of one kind are written together.
 */
#include "difference.h"

#include <string.h>

#include <base/range.h>
#include <image/convert.h>

#include "format.h"
#include "marker.h"
#include "workers.h"

enum { OLD_ZERO = 1, NEW_ZERO = 2 };

#define SMALL_UNIT 4096 /* unit of comparison, unless the format has one */

typedef struct {
    CstBlob *from;        /* the content that the image must show; without an end */
    CstBlob *guest;       /* guest's view of the image */
    CstBlob *below;       /* the backing image's content, from a marker, so that it has no end */
    unsigned flags;       /* CstDifferenceFlags */
    const GArray *ranges; /* of CstRange: ranges that may differ */
    guint range;          /* index of the range at the cursor */
    uint64_t unit;
    uint64_t cursor;
    CstTask *task;
} Difference;

/** Returns the bytes from the cursor to the end of its range; 0: after the last range. */
static uint64_t bytes_left(Difference *diff)
{
    for (; diff->range < diff->ranges->len; diff->range++) {
        const CstRange *range = &g_array_index(diff->ranges, CstRange, diff->range);

        diff->cursor = MAX(diff->cursor, range->offset);
        if (diff->cursor < range->offset + range->length)
            return range->offset + range->length - diff->cursor;
    }
    return 0;
}

/** Finds the piece at the cursor. FALSE without an error: the piece needs no comparison. */
static gboolean next_run(Difference *diff, uint64_t left, CstPiece *piece, GError **error)
{
    CstExtent old, new;
    uint64_t end;

    if (!cst_blob_extent(diff->from, diff->cursor, left, &old, error))
        return FALSE;
    piece->offset = diff->cursor;
    piece->length = old.length;
    if ((diff->flags & CST_DIFFERENCE_UNALLOCATED) && !(old.flags & CST_EXTENT_BELOW))
        return FALSE;
    if (!cst_blob_extent(diff->below, diff->cursor, old.length, &new, error))
        return FALSE;
    piece->length = new.length;
    piece->flags =
        (old.flags & CST_EXTENT_ZERO ? OLD_ZERO : 0) | (new.flags &CST_EXTENT_ZERO ? NEW_ZERO : 0);
    if (piece->flags == (OLD_ZERO | NEW_ZERO))
        return FALSE;
    end = (diff->cursor / CST_PIECE_MAX + 1) * CST_PIECE_MAX;
    piece->length = MIN(piece->length, end - diff->cursor);
    return TRUE;
}

static gboolean difference_next_piece(gpointer job, CstPiece *piece, GError **error)
{
    Difference *diff = job;
    uint64_t left;

    while ((left = bytes_left(diff)) > 0) {
        GError *why = NULL;
        gboolean found = next_run(diff, left, piece, &why);

        if (why) {
            g_propagate_error(error, why);
            return FALSE;
        }
        diff->cursor += piece->length;
        if (found)
            return TRUE;
        cst_task_skip(diff->task, piece->length);
        if (!cst_task_check(diff->task, error))
            return FALSE;
    }
    return FALSE;
}

static gboolean read_side(CstBlob *blob, const CstPiece *piece, unsigned zero, uint8_t *buf,
                          GError **error)
{
    if (!(piece->flags & zero))
        return cst_blob_pread(blob, buf, piece->length, piece->offset, error);
    memset(buf, 0, piece->length);
    return TRUE;
}

typedef enum { SAME, ZERO, DATA } Verdict;

static Verdict bytes_judge(const uint8_t *old, const uint8_t *new, size_t len)
{
    if (memcmp(old, new, len) == 0)
        return SAME;
    return cst_bytes_are_zero(old, len) ? ZERO : DATA;
}

static gboolean write_run(const Difference *diff, Verdict verdict, const uint8_t *buf, size_t len,
                          uint64_t offset, GError **error)
{
    if (verdict == SAME)
        return TRUE;
    return verdict == ZERO ? cst_blob_zero(diff->guest, offset, len, CST_ZERO_MAY_UNMAP, error)
                           : cst_blob_pwrite(diff->guest, buf, len, offset, error);
}

/** Compares a piece, and writes consecutive units with the same result together. */
static gboolean difference_piece_work(gpointer job, const CstPiece *piece, uint8_t *const bufs[2],
                                      GError **error)
{
    const Difference *diff = job;
    size_t start = 0, at = 0, end = (size_t)piece->length;
    Verdict last = SAME;

    if (!read_side(diff->from, piece, OLD_ZERO, bufs[0], error) ||
        !read_side(diff->below, piece, NEW_ZERO, bufs[1], error))
        return FALSE;
    while (at < end) {
        size_t n = (size_t)MIN(diff->unit - (piece->offset + at) % diff->unit, end - at);
        Verdict verdict = bytes_judge(bufs[0] + at, bufs[1] + at, n);

        if (verdict != last) {
            if (!write_run(diff, last, bufs[0] + start, at - start, piece->offset + start, error))
                return FALSE;
            start = at;
            last = verdict;
        }
        at += n;
    }
    if (!write_run(diff, last, bufs[0] + start, end - start, piece->offset + start, error))
        return FALSE;
    cst_task_advance(diff->task, piece->length);
    return TRUE;
}

static const CstWorkersOps difference_ops = {.draw = difference_next_piece,
                                             .work = difference_piece_work};

/* @below may be the image's own view. In that case the image is changed to show the content of
 * @from. */
static gboolean write_ranges(CstBlob *from, CstBlob *guest, CstBlob *below, const GArray *ranges,
                             unsigned flags, CstTask *task, GError **error)
{
    CstImage *image = cst_guest_image(guest);
    uint64_t unit = image ? cst_image_zero_unit(image) : 0;
    Difference diff = {
        .from = from,
        .guest = guest,
        .below = below,
        .flags = flags,
        .ranges = ranges,
        .unit = unit > 0 ? unit : SMALL_UNIT,
        .task = task,
    };

    return cst_task_begin_copy(task, error) && cst_workers_run(&difference_ops, &diff, task, error);
}

gboolean cst_write_difference(CstBlob *from, CstBlob *guest, CstBlob *below, unsigned flags,
                              CstTask *task, GError **error)
{
    const CstRange all = {0, cst_image_capacity(cst_guest_image(guest))};
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(CstRange));

    g_array_append_val(ranges, all);
    return cst_write_difference_in(from, guest, below, ranges, flags, task, error);
}

gboolean cst_write_difference_in(CstBlob *from, CstBlob *guest, CstBlob *below,
                                 const GArray *ranges, unsigned flags, CstTask *task,
                                 GError **error)
{
    g_autoptr(CstBlob) marker = cst_marker_new(below);

    return write_ranges(from, guest, marker, ranges, flags, task, error);
}

gboolean cst_image_patch(CstBlob *from, CstBlob *guest, const GArray *ranges, CstTask *task,
                         GError **error)
{
    return write_ranges(from, guest, guest, ranges, 0, task, error) && cst_blob_flush(guest, error);
}
