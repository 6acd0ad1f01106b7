/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Commits the images above the base into the base. They are opened with a marker (marker.h) instead
 * of the base. Extents with its flag are the base's own content and stay. All other extents are
 * copied into the base.
 *
 * The guest of the top image reads the same content at every point in time: its own bytes before,
 * during and after the copy. All content is flushed to the base before the top image is emptied. If
 * the format of the image directly above the base records the state of its backing image,
 * cst_image_expect() announces the change before the first write to the base. cst_image_follow()
 * confirms it after the flush.
 */
#include <image/backing.h>
#include <image/commit.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>

#include "chain.h"
#include "format.h"
#include "marker.h"

typedef struct {
    CstBlob *above;  /* guest's view of the images above the base */
    CstBlob *base;   /* guest's view of the base */
    uint64_t size;   /* of above */
    CstImage *child; /* image directly above the base; NULL: it does not record the state of the
                        base */
} Commit;

static void commit_clear(Commit *commit)
{
    cst_image_free(commit->child);
    cst_blob_unref(commit->above);
    cst_blob_unref(commit->base);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Commit, commit_clear)

/* Checks the formats and the snapshots of the images above the base. */
static gboolean commit_check_above(CstChain *chain, guint base, GError **error)
{
    if (base == 0 || base >= cst_chain_length(chain))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' has no backing file, so its content cannot be committed"),
                        cst_chain_blob(chain, 0)->name);
    for (guint i = 0; i < base; i++)
        if (!cst_image_format_can_empty(cst_chain_info(chain, i)->format))
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("'%s' is of format '%s', which can't be committed; convert it"),
                            cst_chain_blob(chain, i)->name,
                            cst_image_format_name(cst_chain_info(chain, i)->format));
    return cst_chain_check_snapshots(chain, base, error);
}

static gboolean commit_check(CstChain *chain, guint base, GError **error)
{
    return commit_check_above(chain, base, error) && cst_chain_check_writable(chain, 0, error) &&
           cst_chain_check_writable(chain, base, error) &&
           (!cst_image_format_minds_changes(cst_chain_info(chain, base - 1)->format) ||
            cst_chain_check_writable(chain, base - 1, error));
}

/**
 * Opens the image directly above the base with the base, if its format records the state of its
 * backing image. Fails with MISMATCH when the recorded state differs from the base.
 */
static gboolean open_child(CstChain *chain, guint base, Commit *commit, GError **error)
{
    if (!cst_image_format_minds_changes(cst_chain_info(chain, base - 1)->format))
        return TRUE;
    commit->child = cst_chain_open_one(chain, base - 1, CST_IMAGE_WRITE | CST_IMAGE_SAME_CONTENT,
                                       commit->base, error);
    return commit->child != NULL;
}

static gboolean commit_grow_base(CstImage *image, const Commit *commit, CstTask *task,
                                 GError **error)
{
    return cst_image_capacity(image) >= commit->size ||
           cst_image_resize(image, commit->size, CST_PREALLOC_OFF, task, error);
}

/**
 * Opens all images before the first write. Then grows the base, unless push_with_child() must
 * announce the growth first.
 */
static gboolean open_all(CstChain *chain, guint base, Commit *commit, CstTask *task, GError **error)
{
    g_autoptr(CstBlob) marker = cst_marker_new(NULL), below = NULL;
    CstImage *image;
    gboolean ok = TRUE;

    commit->above = cst_chain_open_view(chain, 0, base, marker, error);
    if (!commit->above || !cst_blob_get_size(commit->above, &commit->size, error) ||
        !cst_chain_open_below(chain, base, &below, error))
        return FALSE;
    image = cst_chain_open_one(chain, base, CST_IMAGE_WRITE, below, error);
    if (!image)
        return FALSE;
    if (!cst_image_format_minds_changes(cst_chain_info(chain, base - 1)->format))
        ok = commit_grow_base(image, commit, task, error);
    commit->base = cst_image_guest_blob(image);
    return ok && open_child(chain, base, commit, error);
}

/** Sets *ret_length to the length of the run at @offset that is the base's own content, or is not
 * (*ret_own). */
static gboolean commit_measure(const Commit *commit, uint64_t offset, gboolean *ret_own,
                               uint64_t *ret_length, GError **error)
{
    uint64_t at = offset;

    *ret_own = FALSE;
    while (at < commit->size) {
        CstExtent extent;
        gboolean own;

        if (!cst_blob_extent(commit->above, at, commit->size - at, &extent, error))
            return FALSE;
        own = (extent.flags & CST_EXTENT_BELOW) != 0;
        if (at > offset && own != *ret_own)
            break;
        *ret_own = own;
        at += extent.length;
    }
    *ret_length = at - offset;
    return TRUE;
}

static gboolean push_down(const Commit *commit, CstTask *task, GError **error)
{
    for (uint64_t at = 0; at < commit->size;) {
        uint64_t length = 0;
        gboolean own = FALSE;

        if (!cst_task_check(task, error) || !commit_measure(commit, at, &own, &length, error))
            return FALSE;
        if (own)
            cst_task_skip(task, length);
        else if (!cst_blob_copy(commit->above, at, commit->base, at, length, 0, task, error))
            return FALSE;
        at += length;
    }
    return cst_blob_flush(commit->base, error);
}

static gboolean commit_empty_top(CstChain *chain, CstTask *task, GError **error)
{
    g_autoptr(CstBlob) marker = cst_marker_new(NULL);
    CstImage *image =
        cst_chain_open_one(chain, 0, CST_IMAGE_WRITE | CST_IMAGE_SAME_CONTENT, marker, error);
    gboolean ok = image && cst_image_empty(image, task, error), trims = FALSE;

    if (ok && image->format->trim) {
        trims = TRUE;
        ok = cst_image_trim(image, task, error);
    }
    cst_image_free(image);
    return ok && (trims || cst_chain_repair_leaks(chain, 0, task, error));
}

/**
 * Copies the content. The child image announces and confirms the change of the base, so that its
 * record is valid at every point in time.
 */
static gboolean push_with_child(const Commit *commit, CstTask *task, GError **error)
{
    CstImage *base = cst_guest_image(commit->base);

    if (!commit->child || !base)
        return push_down(commit, task, error);
    return cst_image_expect(commit->child, base, error) &&
           commit_grow_base(base, commit, task, error) && push_down(commit, task, error) &&
           cst_image_follow(commit->child, base, error);
}

gboolean cst_chain_check_commit(CstChain *chain, guint base, GError **error)
{
    if (!commit_check_above(chain, base, error))
        return FALSE;
    for (guint i = 0; i < base; i++)
        if (cst_image_format_minds_changes(cst_chain_info(chain, i)->format))
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("'%s' is of format '%s', which records the state of its backing "
                              "file; only this program can commit it, while no other program has "
                              "it open"),
                            cst_chain_blob(chain, i)->name,
                            cst_image_format_name(cst_chain_info(chain, i)->format));
    return TRUE;
}

gboolean cst_chain_empty_top(CstChain *chain, CstTask *task, GError **error)
{
    return cst_chain_check_writable(chain, 0, error) && commit_empty_top(chain, task, error);
}

gboolean cst_chain_commit(CstChain *chain, guint base, unsigned flags, CstTask *task,
                          GError **error)
{
    g_auto(Commit) commit = {0};

    if (!commit_check(chain, base, error) || !open_all(chain, base, &commit, task, error))
        return FALSE;
    cst_task_add_total(task, commit.size);
    if (!cst_may_change(error) || !push_with_child(&commit, task, error) ||
        !cst_chain_run_check(chain, error))
        return FALSE;
    if (base > 1 || (flags & CST_COMMIT_KEEP))
        return TRUE;
    g_clear_pointer(&commit.child, cst_image_free);
    g_clear_pointer(&commit.above, cst_blob_unref);
    return commit_empty_top(chain, task, error);
}
