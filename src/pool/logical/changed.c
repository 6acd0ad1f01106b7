/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the changes of a thin volume since a snapshot: the ranges where the two have different
 * blocks of their thin pool. thin_delta computes them from the thin pool's metadata alone
 * (delta.c). A shared block is never overwritten in place. Other volumes are not supported.
 *
 * The metadata snapshot is of one point in time (metadata.c). It identifies thin volumes by
 * numbers, which LVM reuses. So LVM's report is read before and after the metadata snapshot, and
 * both reports must have the same volumes with the same numbers.
 */
#include "logical.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "delta.h"

/* The volume and the snapshots to compare. */
typedef struct {
    const char *volume;
    const char *since;
    const char *until; /* NULL: the volume itself */
} Question;

/* Consumes the reference to @group. */
static gboolean changed_find_snapshots(LvmGroup *group, const Question *question,
                                       LogicalLookup *found, const LvmVolume **ret_newer,
                                       GError **error)
{
    if (!logical_find_snapshot_in(group, question->volume, question->since, found, error))
        return FALSE;
    *ret_newer = question->until ? logical_snapshot_named(found, question->until) : found->volume;
    return *ret_newer || cst_fail_no_snapshot(question->volume, question->until, error);
}

/* Returns the number in the thin pool; NULL if the LV is not thin. */
static const char *lv_thin_device_id(const LvmVolume *lv)
{
    const LvmSegment *only = lv->segments->len == 1 ? lv->segments->pdata[0] : NULL;

    return lvm_is_thin(lv) && only ? only->thin_id : NULL;
}

static gboolean check_thin(const Question *question, const LvmVolume *older, const LvmVolume *newer,
                           GError **error)
{
    return (lv_thin_device_id(older) && lv_thin_device_id(newer) &&
            g_strcmp0(older->pool, newer->pool) == 0) ||
           cst_fail(
               error, CST_ERROR_UNSUPPORTED,
               _("changes since a snapshot are known of thin volumes only, and '%s' is not thin"),
               question->volume);
}

static gboolean lv_is_same_thin(const LvmVolume *a, const LvmVolume *b)
{
    return strcmp(a->uuid, b->uuid) == 0 && a->size == b->size &&
           g_strcmp0(a->pool, b->pool) == 0 && lv_thin_device_id(a) &&
           g_strcmp0(lv_thin_device_id(a), lv_thin_device_id(b)) == 0;
}

/* CstChildTake */
static gboolean delta_parse_output(const void *bytes, size_t length, gpointer data,
                                   gboolean *ret_enough, GError **error)
{
    return lvm_delta_take(data, bytes, length, ret_enough, error);
}

static gboolean run_delta(const LogicalMetadata *metadata, const LvmVolume *older,
                          const LvmVolume *newer, CstTask *task, CstChanged *changed,
                          GError **error)
{
    const char *const argv[] = {
        "thin_delta", "--metadata-snap",        "--thin1",      lv_thin_device_id(older),
        "--thin2",    lv_thin_device_id(newer), metadata->path, NULL};
    g_autoptr(LvmDelta) delta =
        lvm_delta_new(lv_thin_device_id(older), lv_thin_device_id(newer), changed);

    cst_changed_begin(changed, newer->size, g_strdup(older->uuid));
    return lvm_delta_stream(argv, delta_parse_output, delta, task, error) &&
           lvm_delta_end(delta, older->size, error);
}

/*
 * Cached writes are missing in the metadata, but a reader of the volume would see them. So write
 * them out.
 */
static gboolean lv_flush_cache(const LogicalState *state, const char *volume, GError **error)
{
    g_autofree char *path = logical_device(state, volume);
    g_auto(CstFd) fd = cst_node_open(path, O_RDONLY);

    return (fd >= 0 || cst_fail_errno(error, errno, _("cannot open '%s'"), path)) &&
           cst_device_write_out(fd, volume, error);
}

static gboolean thin_changed_read(CstPoolState *state, const Question *question, const char *pool,
                                  CstTask *task, CstChanged *changed, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_auto(LogicalMetadata) metadata = LOGICAL_METADATA_NONE;
    g_auto(LogicalLookup) before = {0}, after = {0};
    const LvmVolume *was, *is;

    if (!logical_metadata_reserve(logical, pool, task, &metadata, error) ||
        !changed_find_snapshots(lvm_group_ref(metadata.before), question, &before, &was, error) ||
        !changed_find_snapshots(logical_group_read(logical, task, error), question, &after, &is,
                                error))
        return FALSE;
    if (!lv_is_same_thin(before.snapshot, after.snapshot) || !lv_is_same_thin(was, is))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("volume '%s' or its snapshots changed during the operation; try again"),
                        question->volume);
    return run_delta(&metadata, after.snapshot, is, task, changed, error);
}

gboolean logical_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                                  const char *until, CstTask *task, CstChanged *changed,
                                  GError **error)
{
    const Question question = {volume, since, until};
    g_auto(LogicalLookup) found = {0};
    const LvmVolume *newer;

    return changed_find_snapshots(logical_group_cached(LOGICAL(state), error), &question, &found,
                                  &newer, error) &&
           check_thin(&question, found.snapshot, newer, error) && lvm_delta_require(error) &&
           (until || lv_flush_cache(LOGICAL(state), volume, error)) &&
           thin_changed_read(state, &question, newer->pool, task, changed, error);
}
