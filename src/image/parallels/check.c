/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Check and repair, as QEMU counts: an image that was not closed is an error, and so is a place
 * outside of the file; what is behind the last cluster has leaked. Two entries with one place are
 * an error too, and the second one gets a copy.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "parallels.h"

#define CANCEL_EVERY 65536

typedef struct {
    Parallels *parallels;
    gboolean fix;
    CstImageCheck *check;
    CstTask *task;
    uint64_t before; /* where the last cluster was */
    uint64_t shift;  /* added to a place, makes it count in whole clusters */
    uint8_t *used;   /* bit by cluster of the file */
    size_t used_bytes;
} Walk;

static gboolean is_used(const Walk *walk, uint64_t cluster)
{
    return (walk->used[cluster / 8] & 1 << cluster % 8) != 0;
}

/* The last cluster of the file that the bytes at @host reach; those of an odd place lie in two. */
static uint64_t last_cluster(const Walk *walk, uint64_t host)
{
    return (host + walk->shift + walk->parallels->cluster_size - 1) / walk->parallels->cluster_size;
}

static gboolean init(Walk *walk, GError **error)
{
    Parallels *parallels = walk->parallels;
    uint64_t size = parallels->cluster_size, first = parallels_align(parallels, 0);
    uint64_t most = UINT32_MAX * parallels->unit;

    if (!cst_blob_get_size(parallels->blocks.blob, &parallels->file_size, error))
        return FALSE;
    walk->shift = first ? size - first : 0;
    walk->used_bytes = (size_t)last_cluster(walk, MIN(parallels->file_size, most)) / 8 + 1;
    walk->used = g_try_malloc0(walk->used_bytes);
    return walk->used || cst_fail(error, CST_ERROR_LIMIT, _("'%s' is too long to be checked"),
                                  parallels->blocks.blob->name);
}

static void count(Walk *walk, uint64_t host)
{
    CstImageCheck *check = walk->check;
    uint64_t size = walk->parallels->cluster_size;

    check->allocated_clusters++;
    if (walk->before != 0 && host != walk->before + size)
        check->fragmented_clusters++;
    walk->before = host;
}

static gboolean look_at(Walk *walk, uint64_t index, uint64_t host, GError **error)
{
    Parallels *parallels = walk->parallels;
    uint64_t first = (host + walk->shift) / parallels->cluster_size;
    uint64_t last = last_cluster(walk, host);
    gboolean outside =
        host >= parallels->file_size || host < parallels_table_end(parallels->entries);

    if (!outside)
        walk->check->image_end = MAX(walk->check->image_end, host + parallels->cluster_size);
    if (!outside && !is_used(walk, first) && !is_used(walk, last)) {
        walk->used[first / 8] |= (uint8_t)(1 << first % 8);
        walk->used[last / 8] |= (uint8_t)(1 << last % 8);
        count(walk, host);
        return TRUE;
    }
    if (outside)
        cst_check_errors(walk->check, 1, _("cluster %" PRIu64 " can't lie at %" PRIu64), index,
                         host);
    else
        cst_check_errors(
            walk->check, 1,
            _("cluster %" PRIu64 " lies at %" PRIu64 ", where another one lies as well"), index,
            host);
    if (!walk->fix)
        return TRUE;
    if (outside)
        return parallels_set(parallels, index, 0, error);
    return cst_task_check(walk->task, error) && parallels_move(parallels, index, host, error);
}

static gboolean look_at_table(Walk *walk, GError **error)
{
    Parallels *parallels = walk->parallels;
    uint32_t entry = 0;

    walk->check->image_end = MAX(parallels->data_start, parallels_table_end(parallels->entries));
    for (uint64_t i = 0; i < parallels->entries; i++)
        if ((i % CANCEL_EVERY == 0 && !cst_task_check(walk->task, error)) ||
            !cst_table_get(parallels->bat, i, &entry, error) ||
            (entry != 0 && !look_at(walk, i, entry * parallels->unit, error)))
            return FALSE;
    return TRUE;
}

/* Both walks come to the same conclusions, as the second one meets no entry that it has changed. */
static gboolean repair_table(const Walk *walk, GError **error)
{
    Parallels *parallels = walk->parallels;
    CstImageCheck *found = walk->check, recount = {0};
    Walk again = *walk;

    parallels->end = found->image_end;
    parallels->end_known = TRUE;
    parallels->old_size = parallels->file_size;
    memset(again.used, 0, again.used_bytes);
    again.before = 0;
    again.check = &recount;
    again.fix = TRUE;
    if (!parallels_begin(parallels, error) || !look_at_table(&again, error) ||
        !parallels_sync(&parallels->blocks, error) ||
        !cst_blob_flush(parallels->blocks.blob, error))
        return FALSE;
    found->errors_fixed = found->errors;
    found->image_end = parallels->end;
    return TRUE;
}

gboolean parallels_review(Parallels *parallels, gboolean fix, CstImageCheck *ret_check,
                          CstTask *task, GError **error)
{
    Walk walk = {.parallels = parallels, .check = ret_check, .task = task};
    gboolean ok = init(&walk, error) && look_at_table(&walk, error) &&
                  (!fix || ret_check->errors == 0 || repair_table(&walk, error));

    ret_check->total_clusters =
        cst_div_up(parallels->blocks.image.capacity, parallels->cluster_size);
    g_free(walk.used);
    return ok;
}

/* Space between clusters that no entry refers to goes back to the file system. */
static gboolean give_back_gaps(const Walk *walk, GError **error)
{
    Parallels *parallels = walk->parallels;
    uint64_t size = parallels->cluster_size, end = walk->check->image_end;

    for (uint64_t at = parallels_align(parallels, parallels->data_start); at < end; at += size)
        if (!is_used(walk, (at + walk->shift) / size) &&
            (!cst_task_check(walk->task, error) ||
             !cst_blob_discard(parallels->blocks.blob, at, size, error)))
            return FALSE;
    return TRUE;
}

gboolean parallels_give_back(Parallels *parallels, CstTask *task, GError **error)
{
    CstImageCheck check = {0};
    Walk walk = {.parallels = parallels, .check = &check, .task = task};
    gboolean ok = init(&walk, error) && look_at_table(&walk, error) &&
                  (check.errors > 0 || (give_back_gaps(&walk, error) &&
                                        parallels_cut(parallels, check.image_end, error)));

    g_free(walk.used);
    return ok;
}

/* Clusters of the extension are not followed, and lie anywhere. */
static gboolean look_at_end(Parallels *parallels, unsigned flags, CstImageCheck *check,
                            GError **error)
{
    CstBlob *blob = parallels->blocks.blob;
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (size <= check->image_end || !blob->ops->resize ||
        cst_le64(parallels->raw + PARALLELS_AT_EXTENSION) != 0)
        return TRUE;
    cst_check_leaks(check, cst_div_up(size - check->image_end, parallels->cluster_size),
                    _("bytes %" PRIu64 " to %" PRIu64 " of the file: nothing refers to them"),
                    check->image_end, size - 1);
    if (flags == 0 || check->errors > check->errors_fixed)
        return TRUE;
    check->leaks_fixed = check->leaks;
    return parallels_begin(parallels, error) && cst_blob_flush(blob, error) &&
           parallels_cut(parallels, check->image_end, error);
}

/* The mark goes last. One that was there before is an error of its own. */
static gboolean look_at_mark(Parallels *parallels, gboolean was_in_use, unsigned flags,
                             CstImageCheck *check, GError **error)
{
    CstBlob *blob = parallels->blocks.blob;
    gboolean all = (flags & CST_CHECK_REPAIR_ALL) != 0;

    if (was_in_use)
        cst_check_errors(check, 1, _("the image is marked as in use: it was not closed"));
    check->errors_fixed += was_in_use && all;
    return flags == 0 || (was_in_use && !all) ||
           (cst_blob_flush(blob, error) && parallels_end(parallels, error) &&
            cst_blob_flush(blob, error));
}

gboolean parallels_check(CstBlob *blob, const CstImageFiles *files, unsigned flags,
                         CstImageCheck *ret_check, CstTask *task, GError **error)
{
    const CstImageOpen how = {.flags = flags ? CST_IMAGE_WRITE : 0};
    Parallels *parallels = parallels_new(blob, &how, error);
    gboolean was_in_use, ok;

    if (!parallels)
        return FALSE;
    was_in_use = parallels_is_in_use(parallels);
    ok = parallels_review(parallels, (flags & CST_CHECK_REPAIR_ALL) != 0, ret_check, task, error) &&
         look_at_end(parallels, flags, ret_check, error) &&
         look_at_mark(parallels, was_in_use, flags, ret_check, error);
    parallels_free(parallels);
    return ok;
}
