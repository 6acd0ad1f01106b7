/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The metadata of a thin pool in use can be read if the kernel reserves a metadata snapshot
 * ("reserve_metadata_snap"). A thin pool has at most one reservation. The kernel does not record
 * its owner, and stores it on the disk until it is released. So
 *
 * - our processes exclude each other with a lock on the metadata's device, which is released when
 *   its owner dies;
 * - the thin pool has a tag from before the reservation until after its release. A tag without a
 *   lock is a dead process's, and the next process releases its reservation;
 * - a reservation without the tag is another program's, so wait for its release. The same applies
 *   to a reservation with the tag while a process has the metadata open. In that case a process of
 *   ours was killed before its reservation or after its release, and another program has made a
 *   reservation since.
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

/* TRUE with *ret_locked FALSE: another process of ours has the lock. */
static gboolean metadata_try_lock(LogicalMetadata *metadata, gboolean *ret_locked, GError **error)
{
    *ret_locked = flock(metadata->lock, LOCK_EX | LOCK_NB) == 0;
    return *ret_locked || errno == EWOULDBLOCK || errno == EINTR ||
           cst_fail_errno(error, errno, _("cannot lock '%s'"), metadata->path);
}

/* Describes the processes that have the metadata open; one of them may have a reservation. */
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

/* Whether the thin pool has no reservation. Releases a dead process's reservation. */
static gboolean metadata_is_free(LogicalMetadata *metadata, gboolean *ret_yes, GError **error)
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

static gboolean metadata_fail_held(const LogicalMetadata *metadata, GError **error)
{
    g_autofree char *readers = NULL;

    if (!find_readers(metadata, &readers, error))
        return FALSE;
    return cst_fail(
        error, CST_ERROR_BUSY,
        _("another program has reserved the metadata of thin pool '%s' (%s); if no program needs "
          "it any more, 'dmsetup message %s 0 release_metadata_snap' releases it"),
        metadata->pool, *readers ? readers : _("which one is not known"), metadata->node);
}

/* A condition that is polled until it is TRUE, or until a time limit. */
typedef gboolean (*Question)(LogicalMetadata *metadata, gboolean *ret_yes, GError **error);

/* *ret_yes is FALSE if the time limit was reached. */
static gboolean metadata_poll(LogicalMetadata *metadata, Question question, CstTask *task,
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

static gboolean metadata_lock(LogicalMetadata *metadata, CstTask *task, GError **error)
{
    gboolean locked;

    if (!metadata_poll(metadata, metadata_try_lock, task, &locked, error))
        return FALSE;
    return locked || cst_fail(error, CST_ERROR_BUSY,
                              _("the metadata of thin pool '%s' is being read by another process "
                                "of Cistern"),
                              metadata->pool);
}

/* Releases dead processes' reservations, and waits for other programs' reservations. */
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
    if (!metadata_poll(metadata, metadata_is_free, task, &free, error))
        return FALSE;
    return free || metadata_fail_held(metadata, error);
}

gboolean logical_metadata_reserve(LogicalState *state, const char *pool, CstTask *task,
                                  LogicalMetadata *metadata, GError **error)
{
    metadata->state = state;
    metadata->pool = g_strdup(pool);
    if (!open_metadata(metadata, error) || !metadata_lock(metadata, task, error) ||
        !await_free(metadata, task, error))
        return FALSE;
    if (!metadata->tagged) {
        /* A tool that failed may have set the tag, so the release removes it. */
        metadata->tagged = TRUE;
        if (!change_tag(metadata, TRUE, error))
            return FALSE;
    }
    CST_CRASH_POINT("logical.changed.tagged");
    metadata->reserved = lvm_host.pool_message(metadata->node, "reserve_metadata_snap", error);
    CST_CRASH_POINT("logical.changed.reserved");
    return metadata->reserved;
}

/* The tag is kept while a reservation exists, because it may be ours. */
static gboolean metadata_release(LogicalMetadata *metadata, GError **error)
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

    if (!metadata_release(metadata, &why))
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
    if (!open_metadata(&metadata, error) || !metadata_try_lock(&metadata, &locked, error))
        return FALSE;
    metadata.tagged = locked;
    return !locked || metadata_is_free(&metadata, &ended, error);
}
