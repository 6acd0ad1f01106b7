/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Frees the zeroes of an image in place. The image is opened with a marker (marker.h) instead of
 * its backing image, so only its own content is examined. cst_blob_zero() without writing frees the
 * space of a run, and leaves an entry that hides the backing image. If the format cannot do that,
 * the run is unchanged. At the end trim returns the free space of the image's file. The guest reads
 * the same content at every point in time, so the work may be interrupted.
 */
#include <image/backing.h>
#include <image/sparsify.h>

#include <sys/stat.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "format.h"
#include "marker.h"
#include "workers.h"

#define SMALL_UNIT 4096 /* block size of file systems */

typedef struct {
    CstBlob *guest;
    uint64_t size;
    uint64_t unit;
    gboolean whole_units;
    uint64_t cursor;
    CstTask *task;
} Sparsify;

/**
 * Cuts a piece from the run at the cursor. If the format frees whole units, a unit is allocated
 * entirely or not at all. Therefore a piece never ends inside a unit, and a unit that is only
 * partly known to be zero is read.
 */
static void piece_cut(const Sparsify *sparsify, const CstExtent *run, CstPiece *piece)
{
    uint64_t at = run->offset, unit = sparsify->unit;

    piece->offset = at;
    piece->length = run->length;
    piece->flags = run->flags & CST_EXTENT_ZERO;
    if (sparsify->whole_units && run->length < unit) {
        piece->length = MIN(unit, sparsify->size - at);
        piece->flags = 0;
    } else if (sparsify->whole_units && at + run->length < sparsify->size) {
        piece->length -= piece->length % unit;
    }
    if (!piece->flags)
        piece->length = MIN(piece->length, (at / CST_PIECE_MAX + 1) * CST_PIECE_MAX - at);
}

static gboolean sparsify_next_piece(gpointer job, CstPiece *piece, GError **error)
{
    Sparsify *sparsify = job;

    while (sparsify->cursor < sparsify->size) {
        uint64_t at = sparsify->cursor;
        CstExtent run;

        if (!cst_task_check(sparsify->task, error) ||
            !cst_blob_extent(sparsify->guest, at, sparsify->size - at, &run, error))
            return FALSE;
        piece_cut(sparsify, &run, piece);
        sparsify->cursor += piece->length;
        if (!(run.flags & CST_EXTENT_BELOW))
            return TRUE;
        cst_task_skip(sparsify->task, piece->length);
    }
    return FALSE;
}

/** Frees the whole units of a run of zeroes. The last unit of the image may be shorter. */
static gboolean give_up(const Sparsify *sparsify, uint64_t offset, uint64_t end, GError **error)
{
    g_autoptr(GError) why = NULL;
    uint64_t first = cst_round_up(offset, sparsify->unit);
    uint64_t last = end == sparsify->size ? end : end / sparsify->unit * sparsify->unit;

    if (first >= last || cst_blob_zero(sparsify->guest, first, last - first,
                                       CST_ZERO_MAY_UNMAP | CST_ZERO_FAST, &why))
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE; /* the run keeps its space */
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean sparsify_piece_work(gpointer job, const CstPiece *piece, uint8_t *const bufs[2],
                                    GError **error)
{
    const Sparsify *sparsify = job;
    uint64_t end = piece->offset + piece->length, start = piece->offset;

    if (piece->flags) {
        if (!give_up(sparsify, piece->offset, end, error))
            return FALSE;
        start = end;
    } else if (!cst_blob_pread(sparsify->guest, bufs[0], piece->length, start, error)) {
        return FALSE;
    }
    for (uint64_t at = start; at < end;) {
        uint64_t n = MIN(sparsify->unit - at % sparsify->unit, end - at);
        gboolean zero = cst_bytes_are_zero(bufs[0] + (at - piece->offset), (size_t)n);

        if (!zero && !give_up(sparsify, start, at, error))
            return FALSE;
        at += n;
        if (!zero)
            start = at;
    }
    if (start < end && !give_up(sparsify, start, end, error))
        return FALSE;
    if (piece->flags)
        cst_task_skip(sparsify->task, piece->length);
    else
        cst_task_advance(sparsify->task, piece->length);
    return TRUE;
}

static const CstWorkersOps sparsify_ops = {.draw = sparsify_next_piece,
                                           .work = sparsify_piece_work};

/* --- space of the files ----------------------------------------------------------------------- */

/** The image's files: its own file, and the parts that it opens. */
typedef struct {
    const CstImageFiles *files;
    GPtrArray *blobs;
} Files;

static CstBlob *open_part(const char *name, gboolean writable, gpointer data, GError **error)
{
    Files *files = data;
    CstBlob *blob = files->files->open(name, writable, files->files->data, error);

    if (blob)
        g_ptr_array_add(files->blobs, cst_blob_ref(blob));
    return blob;
}

static gboolean space_of(CstBlob *blob, uint64_t *space, GError **error)
{
    int fd = cst_blob_file_fd(blob);
    uint64_t size = 0;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *space += (uint64_t)st.st_blocks * 512;
        return TRUE;
    }
    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    for (uint64_t at = 0; at < size;) {
        CstExtent run;

        if (!cst_blob_extent(blob, at, size - at, &run, error))
            return FALSE;
        *space += run.flags & CST_EXTENT_HOLE ? 0 : run.length;
        at += run.length;
    }
    return TRUE;
}

static gboolean space_taken(const Files *files, uint64_t *ret_space, GError **error)
{
    *ret_space = 0;
    for (guint i = 0; i < files->blobs->len; i++)
        if (!space_of(g_ptr_array_index(files->blobs, i), ret_space, error))
            return FALSE;
    return TRUE;
}

/* --- the whole operation ---------------------------------------------------------------------- */

static gboolean sparsify_check(CstBlob *blob, const CstImageFormat *format, CstTask *task,
                               GError **error)
{
    CstImageCheck found = {0};

    if (!format->trim || !cst_image_check(blob, format, 0, &found, task, error))
        return !format->trim;
    return found.errors == 0 || cst_fail(error, CST_ERROR_STATE,
                                         _("'%s' has errors in its metadata, which must be "
                                           "repaired first; a check lists them"),
                                         blob->name);
}

static CstImage *open_image(CstBlob *blob, const CstImageFormat *format, Files *files,
                            GError **error)
{
    const CstImageFiles parts = {.open = open_part, .data = files};
    g_autoptr(CstBlob) marker = cst_marker_new(NULL);
    g_auto(CstImageInfo) info = {0};
    CstImageOpen how = {.flags = CST_IMAGE_WRITE | CST_IMAGE_SAME_CONTENT};

    if (!cst_image_inspect(blob, format, &info, error))
        return NULL;
    if (info.backing)
        how.backing = marker;
    if (files->files && files->files->open)
        how.files = &parts;
    return cst_image_open_as(blob, format, &how, error);
}

/** Frees the zeroes of @image (consumed). */
static gboolean give_back(CstImage *image, const Files *files, uint64_t *ret_given_back,
                          CstTask *task, GError **error)
{
    Sparsify sparsify = {.size = cst_image_capacity(image), .unit = SMALL_UNIT, .task = task};
    uint64_t unit = cst_image_zero_unit(image);
    g_autoptr(CstBlob) guest = NULL;
    uint64_t before = 0, after = 0;

    sparsify.whole_units = unit > 0;
    if (unit > 0)
        sparsify.unit = unit;
    sparsify.guest = guest = cst_image_guest_blob(image);
    cst_task_add_total(task, sparsify.size);
    if (!space_taken(files, &before, error) || !cst_may_change(error) ||
        !cst_workers_run(&sparsify_ops, &sparsify, task, error) || !cst_blob_flush(guest, error))
        return FALSE;
    if (cst_guest_image(guest) && !cst_image_trim(cst_guest_image(guest), task, error))
        return FALSE;
    if (!space_taken(files, &after, error))
        return FALSE;
    *ret_given_back = before > after ? before - after : 0;
    return TRUE;
}

gboolean cst_image_sparsify(CstBlob *blob, const CstImageFormat *format, const CstImageFiles *files,
                            uint64_t *ret_given_back, CstTask *task, GError **error)
{
    Files all = {.files = files,
                 .blobs = g_ptr_array_new_with_free_func((GDestroyNotify)cst_blob_unref)};
    CstImage *image = NULL;
    gboolean ok;

    g_ptr_array_add(all.blobs, cst_blob_ref(blob));
    ok = sparsify_check(blob, format, task, error) &&
         (image = open_image(blob, format, &all, error)) &&
         give_back(image, &all, ret_given_back, task, error);
    g_ptr_array_unref(all.blobs);
    return ok;
}
