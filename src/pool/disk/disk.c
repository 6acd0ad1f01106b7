/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backend's table, and the lifecycle of a pool's state. */
#include "disk.h"

#include <base/error.h>
#include <base/i18n.h>

static CstPoolState *disk_pool_open(const CstPoolDef *def, GError **error)
{
    DiskState *disk;

    if (!def->source.devices || def->source.devices->len != 1) {
        cst_fail(error, CST_ERROR_CONFIG, _("pool '%s' must name one disk as its source device"),
                 def->name);
        return NULL;
    }
    disk = g_new0(DiskState, 1);
    disk->head.def = cst_pool_def_copy(def);
    g_mutex_init(&disk->lock);
    disk_seen_init(disk);
    return &disk->head;
}

static void disk_pool_close(CstPoolState *state)
{
    DiskState *disk = DISK(state);

    g_free(disk->id);
    g_free(disk->serial);
    g_clear_pointer(&disk->free, g_array_unref);
    disk_seen_clear(disk);
    g_mutex_clear(&disk->lock);
    cst_pool_def_free(state->def);
    g_free(disk);
}

const CstBackend cst_disk_backend = {
    .type = CST_POOL_DISK,
    .ends_dry_runs = TRUE,
    .open = disk_pool_open,
    .close = disk_pool_close,
    .check = disk_check,
    .scan = disk_scan,
    .scan_one = disk_scan_one,
    .usage = disk_usage,
    .describe = disk_describe,
    .vol_identity = disk_vol_identity,
    .vol_path = disk_vol_path,
    .vol_resolve = disk_vol_resolve,
    .touch = disk_touch,
    .build = disk_build,
    .start = disk_start,
    .destroy = disk_destroy,
    .drop_drafts = disk_drop_drafts,
    .identity = disk_identity,
    .expect = disk_expect,
    .vol_reserve = disk_vol_reserve,
    .vol_commit = disk_vol_commit,
    .vol_abandon = disk_vol_abandon,
    .vol_delete = disk_vol_delete,
    .vol_check_wipe = disk_vol_check_wipe,
    .vol_open = disk_vol_open,
    .vol_resize = disk_vol_resize,
    .vol_holders = disk_vol_holders,
    .watch_open = disk_watch_open,
    .watch_read = disk_watch_read,
};
