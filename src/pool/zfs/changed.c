/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the changes since a snapshot from an incremental stream (stream.c), because ZFS has no
 * other interface for them: a dry run of "zfs send" reports only sizes, and zdb is for debugging.
 * ZFS reads all changed data from the disks for the stream, and the caller usually reads the same
 * data next. Unchanged data costs no time.
 *
 * A stream ends at a snapshot. For the current content of the volume, a temporary snapshot with a
 * hidden name is made. If this process dies, drop_drafts removes it. The stream names both
 * snapshots by their guids, so that a replaced snapshot is detected.
 */
#include "zfs.h"

#include <fcntl.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/uuid.h>

#include "stream.h"

static uint64_t guid_of(const ZfsSnapshot *snapshot)
{
    return g_ascii_strtoull(snapshot->guid, NULL, 10);
}

/* CstChildTake */
static gboolean zfs_parse_stream(const void *bytes, size_t length, gpointer data,
                                 gboolean *ret_enough, GError **error)
{
    ZfsStream *stream = data;
    gboolean ok = zfs_stream_take(stream, bytes, length, error);

    *ret_enough = stream->full;
    return ok;
}

/*
 * Data is sent in the form on the disks: compressed, in large blocks, and, with -w (which implies
 * these), encrypted, so that no key is needed.
 */
static gboolean zfs_changed_send(const ZfsDataset *volume, const ZfsSnapshot *since,
                                 const ZfsSnapshot *until, CstTask *task, CstChanged *changed,
                                 GError **error)
{
    g_autofree char *from = g_strdup_printf("@%s", since->name);
    g_autofree char *to = zfs_snapshot_of(volume, until->name);
    const char *const argv[] = {"zfs", "send", volume->encryption_root ? "-w" : "-Lec", "-i", from,
                                to,    NULL};
    ZfsStream stream = {.changed = changed, .from = guid_of(since), .to = guid_of(until)};

    cst_changed_begin(changed, until->size, g_strdup(since->guid));
    if (since->txg == until->txg) {
        changed->next = changed->capacity;
        return TRUE;
    }
    return zfs_report_stream(argv, zfs_parse_stream, &stream, task, error) &&
           zfs_stream_end(&stream, since->size, error);
}

static gboolean zfs_changed_until(CstPoolState *state, const char *volume, const char *since,
                                  const char *until, CstTask *task, CstChanged *changed,
                                  GError **error)
{
    g_auto(ZfsLookup) found = {0};
    const ZfsSnapshot *to;

    if (!zfs_find_snapshot(state, volume, since, &found, error))
        return FALSE;
    to = zfs_snapshot_named(found.snapshots, until, NULL);
    if (!to)
        return cst_fail_no_snapshot(volume, until, error);
    if (found.snapshot->txg > to->txg)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("snapshot '%s' of volume '%s' is newer than snapshot '%s'"), since,
                        volume, until);
    return zfs_changed_send(found.volume, found.snapshot, to, task, changed, error);
}

/*
 * Cached writes are missing in the snapshot, but a reader of the volume would see them. So write
 * them out.
 */
static gboolean zfs_flush_cache(const ZfsDataset *dataset, const char *volume, GError **error)
{
    g_auto(CstFd) fd = -1;

    if (dataset->locked)
        return TRUE; /* without the key it has no device, so no data can have been written */
    fd = zfs_node_open(dataset->name, O_RDONLY, error);
    return fd >= 0 && cst_device_write_out(fd, volume, error);
}

static gboolean zfs_changed_now(CstPoolState *state, const char *volume, const char *since,
                                CstTask *task, CstChanged *changed, GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *dataset = zfs_look_volume(ZFS(state), volume, &datasets, error);
    char token[CST_UUID_TEXT_LEN];
    g_autofree char *name = NULL, *whole = NULL;
    g_autoptr(GError) why = NULL;
    CstUuid uuid;
    gboolean made, told;

    if (!dataset || !zfs_flush_cache(dataset, volume, error))
        return FALSE;
    cst_uuid_generate(&uuid);
    name = cst_draft_name(cst_uuid_format(&uuid, token));
    whole = zfs_snapshot_of(dataset, name);
    made = zfs_change(ZFS(state), task, error, "zfs", "snapshot", whole, NULL);
    CST_CRASH_POINT("zfs.changed.snapshot");
    told = made && zfs_changed_until(state, volume, since, name, task, changed, error);
    CST_CRASH_POINT("zfs.changed.told");
    /* A tool that was killed may have created the snapshot, so it is always removed. */
    if (!zfs_drop_snapshot(ZFS(state), &(ZfsSnapshot){.dataset = dataset->name, .name = name},
                           &why) &&
        made)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", state->def->name, why->message);
    return told;
}

gboolean zfs_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                              const char *until, CstTask *task, CstChanged *changed, GError **error)
{
    return until ? zfs_changed_until(state, volume, since, until, task, changed, error)
                 : zfs_changed_now(state, volume, since, task, changed, error);
}
