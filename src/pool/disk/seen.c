/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Caches the result of the last scan (pool/report_cache.h), for callers that ask for one volume
 * after another. libfdisk needs the same time to read one partition as to read all. The result is
 * valid for disk_seen_us, until this pool changes the disk or an event reports a change. Functions
 * that change the disk or open a volume read the table themselves.
 */
#include "disk.h"

gint64 disk_seen_us = G_TIME_SPAN_SECOND;

static gpointer table_ref(gpointer table)
{
    return g_hash_table_ref(table);
}

static void table_unref(gpointer table)
{
    g_hash_table_unref(table);
}

void disk_seen_init(DiskState *disk)
{
    cst_report_cache_init(&disk->seen, table_ref, table_unref);
}

void disk_seen_clear(DiskState *disk)
{
    cst_report_cache_clear(&disk->seen);
}

void disk_seen_forget(DiskState *disk)
{
    cst_report_cache_invalidate(&disk->seen);
}

guint disk_seen_begin(DiskState *disk)
{
    return cst_report_cache_begin(&disk->seen);
}

void disk_seen_end(DiskState *disk, GHashTable *found, guint changes)
{
    g_mutex_lock(&disk->seen.lock);
    cst_report_cache_end(&disk->seen, found, changes, TRUE);
    g_mutex_unlock(&disk->seen.lock);
    if (found)
        g_hash_table_unref(found);
}

CstVolume *disk_seen_find(DiskState *disk, const char *name)
{
    g_autoptr(GHashTable) seen = NULL;
    CstVolume *volume;

    g_mutex_lock(&disk->seen.lock);
    seen = cst_report_cache_fresh(&disk->seen, disk_seen_us);
    g_mutex_unlock(&disk->seen.lock);
    volume = seen ? g_hash_table_lookup(seen, name) : NULL;
    return volume ? cst_volume_ref(volume) : NULL;
}
