/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/backing.h>
#include <image/rebase.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "chain.h"
#include "crew.h"
#include "format.h"
#include "mark.h"

/*
 * The image is opened upon a mark over its old backing: what is marked, it does not hold. Where the
 * new backing differs there, the old content is written into it, which changes nothing for the
 * guest.
 */

enum { OLD_ZERO = 1, NEW_ZERO = 2 };

#define SMALL_UNIT 4096 /* what differs is written in units of this, or of the format */

typedef struct {
    CstBlob *guest;
    CstBlob *below; /* the new backing: a mark, so that it has no end */
    uint64_t size;
    uint64_t unit;
    uint64_t cursor;
    CstTask *task;
} Lift;

/** What may have to be copied at the cursor; FALSE without error: nothing. */
static gboolean look(Lift *lift, CstPiece *piece, GError **error)
{
    CstExtent old, new;
    uint64_t end;

    if (!cst_blob_extent(lift->guest, lift->cursor, lift->size - lift->cursor, &old, error))
        return FALSE;
    piece->offset = lift->cursor;
    piece->length = old.length;
    if (!(old.flags & CST_EXTENT_BELOW))
        return FALSE;
    if (!cst_blob_extent(lift->below, lift->cursor, old.length, &new, error))
        return FALSE;
    piece->length = new.length;
    piece->flags =
        (old.flags & CST_EXTENT_ZERO ? OLD_ZERO : 0) | (new.flags &CST_EXTENT_ZERO ? NEW_ZERO : 0);
    if (piece->flags == (OLD_ZERO | NEW_ZERO))
        return FALSE;
    end = (lift->cursor / CST_CREW_PIECE + 1) * CST_CREW_PIECE;
    piece->length = MIN(piece->length, end - lift->cursor);
    return TRUE;
}

static gboolean draw(gpointer job, CstPiece *piece, GError **error)
{
    Lift *lift = job;

    while (lift->cursor < lift->size) {
        GError *why = NULL;
        gboolean found = look(lift, piece, &why);

        if (why) {
            g_propagate_error(error, why);
            return FALSE;
        }
        lift->cursor += piece->length;
        if (found)
            return TRUE;
        cst_task_skip(lift->task, piece->length);
        if (!cst_task_check(lift->task, error))
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

static Verdict judge(const uint8_t *old, const uint8_t *new, size_t len)
{
    if (memcmp(old, new, len) == 0)
        return SAME;
    return cst_bytes_are_zero(old, len) ? ZERO : DATA;
}

static gboolean settle(const Lift *lift, Verdict verdict, const uint8_t *buf, size_t len,
                       uint64_t offset, GError **error)
{
    if (verdict == SAME)
        return TRUE;
    return verdict == ZERO ? cst_blob_zero(lift->guest, offset, len, CST_ZERO_MAY_UNMAP, error)
                           : cst_blob_pwrite(lift->guest, buf, len, offset, error);
}

/** Units of one verdict in a row are written together. */
static gboolean work(gpointer job, const CstPiece *piece, uint8_t *const bufs[2], GError **error)
{
    const Lift *lift = job;
    size_t start = 0, at = 0, end = (size_t)piece->length;
    Verdict last = SAME;

    if (!read_side(lift->guest, piece, OLD_ZERO, bufs[0], error) ||
        !read_side(lift->below, piece, NEW_ZERO, bufs[1], error))
        return FALSE;
    while (at < end) {
        size_t n = (size_t)MIN(lift->unit - (piece->offset + at) % lift->unit, end - at);
        Verdict verdict = judge(bufs[0] + at, bufs[1] + at, n);

        if (verdict != last) {
            if (!settle(lift, last, bufs[0] + start, at - start, piece->offset + start, error))
                return FALSE;
            start = at;
            last = verdict;
        }
        at += n;
    }
    if (!settle(lift, last, bufs[0] + start, end - start, piece->offset + start, error))
        return FALSE;
    cst_task_advance(lift->task, piece->length);
    return TRUE;
}

static const CstCrewOps lift_ops = {.draw = draw, .work = work};

static gboolean lift_up(CstBlob *guest, CstBlob *below, CstTask *task, GError **error)
{
    g_autoptr(CstBlob) mark = cst_mark_new(below);
    CstImage *image = cst_guest_image(guest);
    Lift lift = {.guest = guest, .below = mark, .unit = SMALL_UNIT, .task = task};

    if (image->format->zero_unit)
        lift.unit = image->format->zero_unit(image);
    lift.size = cst_image_capacity(image);
    cst_task_add_total(task, lift.size);
    return cst_crew_run(&lift_ops, &lift, task, error) && cst_blob_flush(guest, error);
}

static gboolean check(const CstChain *chain, const CstImageRebase *how, GError **error)
{
    const CstImageInfo *info = cst_chain_info(chain, 0);
    const char *name = cst_chain_blob(chain, 0)->name;

    if (!cst_image_format_can_rebase(info->format))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("what an image of format '%s' is based on can't be changed"),
                        cst_image_format_name(info->format));
    if (!cst_chain_check_writable(chain, 0, error))
        return FALSE;
    if (how->backing && !how->guest && cst_image_format_minds_changes(info->format))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' remembers what it is based on, so the new backing image '%s' must "
                          "be opened"),
                        name, how->backing);
    if (how->unsafe)
        return TRUE;
    if (how->backing && !how->guest)
        return cst_fail(error, CST_ERROR_INVALID, _("the new backing image '%s' is not open"),
                        how->backing);
    if (info->backing && cst_chain_length(chain) == 1)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is based on '%s', which was not opened"),
                        name, info->backing);
    return cst_chain_check_snapshots(chain, 1, error);
}

/** The old backing image is the one that the image was made upon, where that can be told. */
static gboolean check_old(CstChain *chain, CstBlob *old, GError **error)
{
    CstImage *image = old ? cst_chain_open_one(chain, 0, 0, old, error) : NULL;

    cst_image_free(image);
    return image || !old;
}

gboolean cst_chain_rebase(CstChain *chain, const CstImageRebase *how, CstTask *task, GError **error)
{
    g_autoptr(CstBlob) old = NULL, mark = NULL, guest = NULL;
    CstImage *image;

    if (!check(chain, how, error) ||
        (!how->unsafe &&
         (!cst_chain_open_below(chain, 0, &old, error) || !check_old(chain, old, error))))
        return FALSE;
    mark = cst_mark_new(old);
    image = cst_chain_open_one(chain, 0, CST_IMAGE_WRITE | CST_IMAGE_SAME_CONTENT, mark, error);
    if (!image)
        return FALSE;
    guest = cst_image_guest_blob(image);
    if ((!how->unsafe && !lift_up(guest, how->guest, task, error)) ||
        !cst_image_set_backing(cst_guest_image(guest), how->backing, how->backing_format,
                               how->guest, error))
        return FALSE;
    /* tables that only an image with a parent has */
    if (how->backing || !cst_image_format_minds_changes(cst_chain_info(chain, 0)->format))
        return TRUE;
    g_clear_pointer(&guest, cst_blob_unref);
    return cst_chain_repair_leaks(chain, 0, task, error);
}

gboolean cst_chain_flatten(CstChain *chain, CstTask *task, GError **error)
{
    const CstImageRebase nothing = {0};

    return !cst_chain_info(chain, 0)->backing || cst_chain_rebase(chain, &nothing, task, error);
}
