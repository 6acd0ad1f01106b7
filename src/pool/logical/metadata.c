/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The metadata of a thin pool can be read while it is in use when the kernel keeps them as they are
 * at one moment ("reserve_metadata_snap"). It does so for one at a time, does not know for whom,
 * and remembers it on the disk until it is told to stop. So
 *
 * - our processes wait for each other, by a lock of the metadata's device that dies with its owner;
 * - the thin pool has a tag from before the reservation until after its end: one with the tag that
 *   nobody locks is a dead process's, and the next one ends it;
 * - a reservation without the tag is another program's, and is waited for. So is one with the tag
 *   while a process has the metadata open: a process of ours was killed before it made one, or
 *   after it had ended it, and another program has made one since.
 */
#include "logical.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

#define TAG     "delta"
#define LOOK_US (200 * G_TIME_SPAN_MILLISECOND)

static gboolean change_tag(LogicalMetadata *metadata, gboolean on, GError **error)
{
    g_autofree char *tag = logical_tag(TAG, "1");

    return logical_change_tag(metadata->state, metadata->pool, on ? "--addtag" : "--deltag", tag,
                              error);
}

static gboolean has_tag(const LvmVolume *pool)
{
    g_autofree char *value = logical_tag_value(pool, TAG);

    return value != NULL;
}

static gboolean open_metadata(LogicalMetadata *metadata, GError **error)
{
    metadata->path = lvm_layer_path(metadata->state->vg, metadata->pool, "_tmeta");
    metadata->node = lvm_layer_path(metadata->state->vg, metadata->pool, "-tpool");
    metadata->lock = cst_node_open(metadata->path, O_RDONLY);
    if (metadata->lock < 0 && errno == ENOENT)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("thin pool '%s' is not active"),
                        metadata->pool);
    return metadata->lock >= 0 ||
           cst_fail_errno(error, errno, _("cannot open '%s'"), metadata->path);
}

/* TRUE, *ret_locked FALSE: another process of ours has it. */
static gboolean try_lock(LogicalMetadata *metadata, gboolean *ret_locked, GError **error)
{
    *ret_locked = flock(metadata->lock, LOCK_EX | LOCK_NB) == 0;
    return *ret_locked || errno == EWOULDBLOCK || errno == EINTR ||
           cst_fail_errno(error, errno, _("cannot lock '%s'"), metadata->path);
}

/* Processes that have the metadata open, one of them with a reservation perhaps. */
static gboolean find_readers(const LogicalMetadata *metadata, char **ret_who, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autoptr(GPtrArray) readers = g_ptr_array_new();

    if (!cst_device_holders(metadata->path, all, error))
        return FALSE;
    for (guint i = 0; i < all->len; i++)
        if (((const CstHolder *)all->pdata[i])->pid)
            g_ptr_array_add(readers, all->pdata[i]);
    *ret_who = cst_holders_describe(readers);
    return TRUE;
}

/*
 * Whether nothing is reserved. Ends the reservation of a dead process of ours, if it is one.
 */
static gboolean is_free(LogicalMetadata *metadata, gboolean *ret_yes, GError **error)
{
    g_autofree char *readers = NULL;
    gboolean held;

    if (!lvm_host.pool_held(metadata->node, &held, error))
        return FALSE;
    *ret_yes = !held;
    if (!held || !metadata->tagged)
        return TRUE;
    if (!find_readers(metadata, &readers, error))
        return FALSE;
    if (*readers)
        return TRUE;
    cst_log(CST_LOG_INFO, "ends what a dead process has reserved of thin pool '%s'",
            metadata->pool);
    *ret_yes = lvm_host.pool_message(metadata->node, "release_metadata_snap", error);
    return *ret_yes;
}

static gboolean fail_held(const LogicalMetadata *metadata, GError **error)
{
    g_autofree char *readers = NULL;

    if (!find_readers(metadata, &readers, error))
        return FALSE;
    return cst_fail(error, CST_ERROR_BUSY,
                    _("another program has reserved the metadata of thin pool '%s' (%s); when "
                      "nobody needs that any more, 'dmsetup message %s 0 release_metadata_snap' "
                      "ends it"),
                    metadata->pool, *readers ? readers : _("which one is not known"),
                    metadata->node);
}

/* A question to be asked again until its answer is TRUE, or it was asked for too long. */
typedef gboolean (*Question)(LogicalMetadata *metadata, gboolean *ret_yes, GError **error);

/* *ret_yes FALSE: it was asked for too long. */
static gboolean ask_again(LogicalMetadata *metadata, Question question, CstTask *task,
                          gboolean *ret_yes, GError **error)
{
    gint64 end = g_get_monotonic_time() + lvm_host.report_s * G_TIME_SPAN_SECOND;

    for (;;) {
        if (!cst_task_check(task, error) || !question(metadata, ret_yes, error))
            return FALSE;
        if (*ret_yes || g_get_monotonic_time() > end)
            return TRUE;
        CST_TEST_POINT("logical.metadata.wait");
        g_usleep(LOOK_US);
    }
}

static gboolean lock(LogicalMetadata *metadata, CstTask *task, GError **error)
{
    gboolean locked;

    if (!ask_again(metadata, try_lock, task, &locked, error))
        return FALSE;
    return locked || cst_fail(error, CST_ERROR_BUSY,
                              _("the metadata of thin pool '%s' is being read by another process "
                                "of Cistern"),
                              metadata->pool);
}

/* Ends what is left of dead processes, and waits for those of others. */
static gboolean await_free(LogicalMetadata *metadata, CstTask *task, GError **error)
{
    const LvmVolume *pool;
    gboolean free;

    metadata->before = logical_group_read(metadata->state, task, error);
    if (!metadata->before)
        return FALSE;
    pool = lvm_group_find(metadata->before, metadata->pool);
    if (!pool)
        return cst_fail(error, CST_ERROR_STATE, _("there is no thin pool '%s' any more"),
                        metadata->pool);
    metadata->tagged = has_tag(pool);
    if (!ask_again(metadata, is_free, task, &free, error))
        return FALSE;
    return free || fail_held(metadata, error);
}

gboolean logical_metadata_reserve(LogicalState *state, const char *pool, CstTask *task,
                                  LogicalMetadata *metadata, GError **error)
{
    metadata->state = state;
    metadata->pool = g_strdup(pool);
    if (!open_metadata(metadata, error) || !lock(metadata, task, error) ||
        !await_free(metadata, task, error))
        return FALSE;
    if (!metadata->tagged) {
        /* A tool that failed may have set the tag: the release removes it. */
        metadata->tagged = TRUE;
        if (!change_tag(metadata, TRUE, error))
            return FALSE;
    }
    CST_CRASH_POINT("logical.changed.tagged");
    metadata->reserved = lvm_host.pool_message(metadata->node, "reserve_metadata_snap", error);
    CST_CRASH_POINT("logical.changed.reserved");
    return metadata->reserved;
}

/* The tag stays while something is reserved, for that may be ours. */
static gboolean end(LogicalMetadata *metadata, GError **error)
{
    gboolean held;

    if (metadata->reserved &&
        !lvm_host.pool_message(metadata->node, "release_metadata_snap", error))
        return FALSE;
    CST_CRASH_POINT("logical.changed.released");
    return !metadata->tagged || (lvm_host.pool_held(metadata->node, &held, error) &&
                                 (held || change_tag(metadata, FALSE, error)));
}

void logical_metadata_release(LogicalMetadata *metadata)
{
    g_autoptr(GError) why = NULL;

    if (!end(metadata, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", metadata->state->head.def->name, why->message);
    if (metadata->lock >= 0)
        close(metadata->lock);
    lvm_group_unref(metadata->before);
    g_free(metadata->pool);
    g_free(metadata->path);
    g_free(metadata->node);
    *metadata = LOGICAL_METADATA_NONE;
}

gboolean logical_metadata_recover(LogicalState *state, const LvmVolume *pool, GError **error)
{
    g_auto(LogicalMetadata) metadata = LOGICAL_METADATA_NONE;
    gboolean locked, ended;

    if (!has_tag(pool))
        return TRUE;
    metadata.state = state;
    metadata.pool = g_strdup(pool->name);
    if (!open_metadata(&metadata, error) || !try_lock(&metadata, &locked, error))
        return FALSE;
    metadata.tagged = locked;
    return !locked || is_free(&metadata, &ended, error);
}
