/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Merges the images between the top image and a base into the top image, and bases the top image on
 * the base.
 *
 *   top                 top, with the content of A and B
 *    |                   |
 *    A                   |          A
 *    |         =>        |          |
 *    B                   |          B
 *    |                   |          |
 *   base                base       base
 *
 * Two views show which ranges have to be copied: the top image alone, and all images above the
 * base, both over a marker (marker.h). A range is copied if the first view has the marker's flag
 * and the second one has not. A range that only the base has is not read. A range behind the end of
 * an image between reads as zeroes, also if the base is larger, and so the second view has no flag
 * there.
 *
 * The copy is invisible under the old reference. After a flush the format replaces the reference in
 * one atomic step, as in a rebase. The images between are only read.
 */
#include <image/backing.h>
#include <image/consolidate.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/range.h>

#include "chain.h"
#include "difference.h"
#include "format.h"
#include "marker.h"

/* --- ranges ----------------------------------------------------------------------------------- */

/*
 * The maximum number of ranges. An image of 16 TiB can have 128 Mi separate clusters of 64 KiB.
 * Above the maximum, adjacent ranges are joined with the gap between them. The copy skips the
 * clusters of a gap that the top image has. It compares the other clusters with the base, and finds
 * them equal.
 */
#define RANGES_MAX (64 * 1024)

/* The ranges to copy. */
typedef struct {
    GArray *ranges; /* of CstRange, ascending; NULL: only the bytes are counted */
    uint64_t data;  /* bytes of the ranges that are not known to be zeroes */
} Survey;

static void survey_clear(Survey *survey)
{
    g_clear_pointer(&survey->ranges, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Survey, survey_clear)

/* Joins each pair of ranges with the gap between them. */
static void ranges_join_pairs(GArray *ranges)
{
    guint count = 0;

    for (guint i = 0; i < ranges->len; i += 2) {
        const CstRange *last = &g_array_index(ranges, CstRange, MIN(i + 1, ranges->len - 1));
        CstRange range = g_array_index(ranges, CstRange, i);

        range.length = last->offset + last->length - range.offset;
        g_array_index(ranges, CstRange, count++) = range;
    }
    g_array_set_size(ranges, count);
}

static void ranges_add(GArray *ranges, uint64_t offset, uint64_t length)
{
    CstRange *last = ranges->len > 0 ? &g_array_index(ranges, CstRange, ranges->len - 1) : NULL;
    const CstRange range = {offset, length};

    if (last && last->offset + last->length == offset) {
        last->length += length;
        return;
    }
    if (ranges->len >= RANGES_MAX)
        ranges_join_pairs(ranges);
    g_array_append_val(ranges, range);
}

static void survey_add(Survey *survey, uint64_t offset, uint64_t length, gboolean is_zero)
{
    survey->data += is_zero ? 0 : length;
    if (survey->ranges)
        ranges_add(survey->ranges, offset, length);
}

static uint64_t ranges_length(const GArray *ranges)
{
    uint64_t length = 0;

    for (guint i = 0; i < ranges->len; i++)
        length += g_array_index(ranges, CstRange, i).length;
    return length;
}

/*
 * Collects the ranges that the top image does not have, and an image between has. @top: view of the
 * top image alone; @above: of all images above the base.
 */
static gboolean survey_collect(Survey *survey, CstBlob *top, CstBlob *above, CstTask *task,
                               GError **error)
{
    uint64_t size, at = 0;

    if (!cst_blob_get_size(top, &size, error))
        return FALSE;
    while (at < size) {
        CstExtent own, between;

        if (!cst_task_check(task, error) || !cst_blob_extent(top, at, size - at, &own, error))
            return FALSE;
        if (!(own.flags & CST_EXTENT_BELOW)) {
            at += own.length;
            continue;
        }
        if (!cst_blob_extent(above, at, own.length, &between, error))
            return FALSE;
        if (!(between.flags & CST_EXTENT_BELOW))
            survey_add(survey, at, between.length, (between.flags & CST_EXTENT_ZERO) != 0);
        at += between.length;
    }
    return TRUE;
}

/* Closes the views before the top image is opened for writing. */
static gboolean chain_survey(CstChain *chain, guint base, Survey *survey, CstTask *task,
                             GError **error)
{
    g_autoptr(CstBlob) marker = cst_marker_new(NULL);
    g_autoptr(CstBlob) top = cst_chain_open_view(chain, 0, 1, marker, error);
    g_autoptr(CstBlob) above = top ? cst_chain_open_view(chain, 0, base, marker, error) : NULL;

    return above && survey_collect(survey, top, above, task, error);
}

/* --- checks ----------------------------------------------------------------------------------- */

gboolean cst_chain_check_consolidate(const CstChain *chain, guint base, GError **error)
{
    const CstImageInfo *info = cst_chain_info(chain, 0);
    const char *name = cst_chain_blob(chain, 0)->name;

    if (base < 2 || base >= cst_chain_length(chain))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' has no images between it and its new backing file"), name);
    if (!cst_image_format_can_rebase(info->format))
        return cst_fail(
            error, CST_ERROR_UNSUPPORTED,
            _("'%s' is of format '%s', which cannot change its backing file; convert it"), name,
            cst_image_format_name(info->format));
    return cst_chain_check_snapshots(chain, 1, error);
}

gboolean cst_chain_measure_consolidate(CstChain *chain, guint base, CstTask *task,
                                       uint64_t *ret_bytes, GError **error)
{
    g_auto(Survey) survey = {0};

    if (!cst_chain_check_consolidate(chain, base, error) ||
        !chain_survey(chain, base, &survey, task, error))
        return FALSE;
    *ret_bytes = survey.data;
    return TRUE;
}

/* --- the copy --------------------------------------------------------------------------------- */

/* Copies the ranges into the top image, and then changes its reference. */
static gboolean consolidate_copy(CstChain *chain, CstBlob *guest, CstBlob *below,
                                 const GArray *ranges, const CstConsolidate *how, CstTask *task,
                                 GError **error)
{
    return cst_write_difference_in(guest, guest, below, ranges, CST_DIFFERENCE_UNALLOCATED, task,
                                   error) &&
           cst_blob_flush(guest, error) && cst_chain_run_check(chain, error) &&
           cst_image_set_backing(cst_guest_image(guest), how->backing, how->backing_format, below,
                                 error);
}

gboolean cst_chain_consolidate(CstChain *chain, const CstConsolidate *how, CstTask *task,
                               GError **error)
{
    g_autoptr(CstBlob) old = NULL, below = NULL, marker = NULL, guest = NULL;
    g_auto(Survey) survey = {0};
    g_autoptr(GError) why = NULL;
    CstImage *image;

    survey.ranges = g_array_new(FALSE, FALSE, sizeof(CstRange));
    if (!cst_chain_check_consolidate(chain, how->base, error) ||
        !cst_chain_check_writable(chain, 0, error) ||
        !chain_survey(chain, how->base, &survey, task, error))
        return FALSE;
    below = cst_chain_open_view(chain, how->base, cst_chain_length(chain), NULL, error);
    if (!below || !cst_chain_open_below(chain, 0, &old, error))
        return FALSE;
    marker = cst_marker_new(old);
    image = cst_chain_open_one(chain, 0, CST_IMAGE_WRITE | CST_IMAGE_SAME_CONTENT, marker, error);
    if (!image)
        return FALSE;
    guest = cst_image_guest_blob(image);
    if (!cst_may_change(error))
        return FALSE;
    cst_task_add_total(task, ranges_length(survey.ranges));
    if (consolidate_copy(chain, guest, below, survey.ranges, how, task, &why))
        return TRUE;
    g_clear_pointer(&guest, cst_blob_unref);
    cst_chain_free_leaks(chain, why);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}
