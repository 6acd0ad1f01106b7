/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flattening: a draft of the same size gets the clone's content, and then its name (swap.c). zfs
 * promote would only reverse the dependency and move the source's snapshots to the clone. But a
 * user who flattens a clone wants independence without a change of the source.
 *
 * The volume must not be open. The core checks this at the start, and the swap checks it again. The
 * write count of the device detects a writer in between. On a failure or a cancellation the draft
 * is dropped. After a crash, drop_drafts drops it or completes the swap. The core has claimed the
 * volume.
 */
#include "zfs.h"

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/uuid.h>

/* Makes the draft, with the block size and the reservation of the volume. */
static gboolean zfs_flatten_make_draft(const ZfsState *state, const char *name,
                                       const ZfsDataset *dataset, const char *draft,
                                       CstVolDraft *ret_draft, GError **error)
{
    g_autoptr(CstVolDef) def = cst_vol_def_new();
    g_autofree char *block = g_strdup_printf("%" G_GUINT64_FORMAT, dataset->block);
    g_autofree char *mark = zfs_swap_mark(draft, name);

    def->name = g_strdup(name);
    def->capacity = dataset->size;
    def->allocation = MIN(dataset->reserved, dataset->size);
    cst_options_add(&def->options, "volblocksize", block);
    if (dataset->compression)
        cst_options_add(&def->options, "compression", dataset->compression);
    return zfs_make_volume(state, def, draft, mark, error) &&
           zfs_open_draft(draft, def, ret_draft, error);
}

static gboolean zfs_copy_content(const ZfsDataset *dataset, CstBlob *to, CstTask *task,
                                 GError **error)
{
    g_autoptr(CstBlob) from = zfs_node_blob(dataset->name, FALSE, error);

    if (!from)
        return FALSE;
    cst_task_set_total(task, dataset->size);
    return cst_blob_copy(from, 0, to, 0, dataset->size, CST_COPY_DST_ZERO, task, error) &&
           cst_blob_flush(to, error);
}

/* Copies the volume's content to @draft, which is opened as @ret_draft. */
static gboolean fill_draft(const ZfsState *state, const char *name, const ZfsDataset *dataset,
                           const char *draft, CstVolDraft *ret_draft, CstTask *task, GError **error)
{
    g_autofree char *path = zfs_device_of(dataset->name);
    uint64_t writes = cst_device_count_writes(path);
    gboolean filled = zfs_flatten_make_draft(state, name, dataset, draft, ret_draft, error) &&
                      zfs_copy_content(dataset, ret_draft->blob, task, error);

    /* Close it before the rename, and before the write count is compared. */
    g_clear_pointer(&ret_draft->blob, cst_blob_unref);
    return filled && cst_device_refuse_written(path, name, writes, error);
}

gboolean zfs_vol_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *dataset = zfs_read_volume(ZFS(state), name, &datasets, error);
    g_auto(CstVolDraft) draft = {0};
    g_autofree char *draft_name = NULL;
    char token[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    if (!dataset)
        return FALSE;
    if (!dataset->origin)
        return TRUE; /* shares no content */
    /* The swap would lose the snapshots, because ZFS keeps them with the old volume. */
    if (!zfs_refuse_snapshots(ZFS(state), name, dataset->name, error))
        return FALSE;
    cst_uuid_generate(&uuid);
    draft.token = g_strdup(cst_uuid_format(&uuid, token));
    draft_name = zfs_draft_of(ZFS(state), name, draft.token);
    if (fill_draft(ZFS(state), name, dataset, draft_name, &draft, task, error)) {
        CST_CRASH_POINT("zfs.flatten.copied");
        if (zfs_swap_in(ZFS(state), name, draft_name, error))
            return TRUE;
    }
    zfs_vol_abandon(state, draft.token, NULL);
    return FALSE;
}
