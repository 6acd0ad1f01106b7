/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the last scan saw, for those who ask for one volume after another: reading the table takes
 * libfdisk as long for one as for all. It counts for a moment (disk_seen_us), until this pool
 * changes something or an event says that somebody has. Whatever changes the disk, or opens a
 * volume, reads the table itself.
 */
#include "disk.h"

gint64 disk_seen_us = G_TIME_SPAN_SECOND;

void disk_seen_init(DiskState *disk)
{
    disk->seen = g_hash_table_new(g_str_hash, g_str_equal);
}

void disk_seen_clear(DiskState *disk)
{
    g_hash_table_unref(disk->seen);
}

void disk_seen_forget(DiskState *disk)
{
    g_mutex_lock(&disk->lock);
    disk->seen_at = 0;
    disk->changes++;
    g_mutex_unlock(&disk->lock);
}

guint disk_seen_changes(DiskState *disk)
{
    guint changes;

    g_mutex_lock(&disk->lock);
    changes = disk->changes;
    g_mutex_unlock(&disk->lock);
    return changes;
}

void disk_seen_take(DiskState *disk, GHashTable *found, guint changes)
{
    GHashTable *old;

    g_mutex_lock(&disk->lock);
    old = disk->seen;
    disk->seen = found;
    disk->seen_at = disk->changes == changes ? g_get_monotonic_time() : 0;
    g_mutex_unlock(&disk->lock);
    g_hash_table_unref(old);
}

CstVolume *disk_seen_find(DiskState *disk, const char *name)
{
    CstVolume *volume = NULL;

    g_mutex_lock(&disk->lock);
    if (disk->seen_at && g_get_monotonic_time() - disk->seen_at < disk_seen_us)
        volume = g_hash_table_lookup(disk->seen, name);
    if (volume)
        cst_volume_ref(volume);
    g_mutex_unlock(&disk->lock);
    return volume;
}
