/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has changed of a thin volume since a snapshot: where the two do not have the same block of
 * their thin pool, as thin_delta tells from the thin pool's metadata alone (delta.c). A block that
 * both have is never written to in place. Other volumes can't be told of.
 *
 * The metadata are those of one moment (metadata.c). They know thin volumes by numbers, which are
 * given away again. So LVM is asked before that moment and after it, and must have the same volumes
 * under the same numbers both times.
 */
#include "logical.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "delta.h"

/* Which two are compared. */
typedef struct {
    const char *volume;
    const char *since;
    const char *until; /* NULL: the volume itself */
} Question;

/* In @group, whose reference it takes over. */
static gboolean find(LvmGroup *group, const Question *question, LogicalLookup *found,
                     const LvmVolume **ret_newer, GError **error)
{
    if (!logical_find_snapshot_in(group, question->volume, question->since, found, error))
        return FALSE;
    *ret_newer = question->until ? logical_snapshot_named(found, question->until) : found->volume;
    return *ret_newer || cst_fail_no_snapshot(question->volume, question->until, error);
}

/* Its number in its thin pool; NULL: it is not thin. */
static const char *number_of(const LvmVolume *lv)
{
    const LvmSegment *only = lv->segments->len == 1 ? lv->segments->pdata[0] : NULL;

    return lvm_is_thin(lv) && only ? only->thin_id : NULL;
}

static gboolean check_thin(const Question *question, const LvmVolume *older, const LvmVolume *newer,
                           GError **error)
{
    return (number_of(older) && number_of(newer) && g_strcmp0(older->pool, newer->pool) == 0) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("what has changed since a snapshot is told of thin volumes only, and '%s' "
                      "is none"),
                    question->volume);
}

static gboolean is_same(const LvmVolume *a, const LvmVolume *b)
{
    return strcmp(a->uuid, b->uuid) == 0 && a->size == b->size &&
           g_strcmp0(a->pool, b->pool) == 0 && number_of(a) &&
           g_strcmp0(number_of(a), number_of(b)) == 0;
}

/* CstChildTake */
static gboolean take(const void *bytes, size_t length, gpointer data, gboolean *ret_enough,
                     GError **error)
{
    return lvm_delta_take(data, bytes, length, ret_enough, error);
}

static gboolean run_delta(const LogicalMetadata *metadata, const LvmVolume *older,
                          const LvmVolume *newer, CstTask *task, CstChanged *changed,
                          GError **error)
{
    const char *const argv[] = {"thin_delta", "--metadata-snap", "--thin1",      number_of(older),
                                "--thin2",    number_of(newer),  metadata->path, NULL};
    g_autoptr(LvmDelta) delta = lvm_delta_new(number_of(older), number_of(newer), changed);

    cst_changed_begin(changed, newer->size, g_strdup(older->uuid));
    return lvm_delta_stream(argv, take, delta, task, error) &&
           lvm_delta_end(delta, older->size, error);
}

/* What was written to the device and is still in memory is in no metadata, but is read. */
static gboolean write_out(const LogicalState *state, const char *volume, GError **error)
{
    g_autofree char *path = logical_device(state, volume);
    g_auto(CstFd) fd = cst_node_open(path, O_RDONLY);

    return (fd >= 0 || cst_fail_errno(error, errno, _("cannot open '%s'"), path)) &&
           cst_device_write_out(fd, volume, error);
}

static gboolean tell(CstPoolState *state, const Question *question, const char *pool, CstTask *task,
                     CstChanged *changed, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_auto(LogicalMetadata) metadata = LOGICAL_METADATA_NONE;
    g_auto(LogicalLookup) before = {0}, after = {0};
    const LvmVolume *was, *is;

    if (!logical_metadata_reserve(logical, pool, task, &metadata, error) ||
        !find(lvm_group_ref(metadata.before), question, &before, &was, error) ||
        !find(logical_group_read(logical, task, error), question, &after, &is, error))
        return FALSE;
    if (!is_same(before.snapshot, after.snapshot) || !is_same(was, is))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("volume '%s' or its snapshots were changed meanwhile; try again"),
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

    return find(logical_group_cached(LOGICAL(state), error), &question, &found, &newer, error) &&
           check_thin(&question, found.snapshot, newer, error) && lvm_delta_require(error) &&
           (until || write_out(LOGICAL(state), volume, error)) &&
           tell(state, &question, newer->pool, task, changed, error);
}
