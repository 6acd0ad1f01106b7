/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A short-lived cache of a listing. Some clients (virsh) query the details of all volumes one after
 * another, and each query costs round trips. After many queries in a short time, one listing serves
 * the following queries for fresh_us.
 *
 * The listing is invalid once this process has changed a file. conn->changes gets another number
 * with each change and each connection. While a file is open for writing, a listing is neither made
 * nor used. A change by another client appears after fresh_us or with the next refresh, which
 * counts as a change. The record of a volume is made from the opened file, so an outdated listing
 * only costs one more query.
 */
#include "gluster.h"

#include <string.h>

#include <base/test_point.h>

/* This many queries are a burst. */
#define BURST 16
/* In a larger directory, a listing costs more than the queries. */
#define ENTRIES_MAX 2048

GlusterRecentTimes gluster_recent_times = {
    .burst_us = 200 * G_TIME_SPAN_MILLISECOND,
    .fresh_us = 250 * G_TIME_SPAN_MILLISECOND,
};

void gluster_recent_init(GlusterRecent *recent)
{
    g_mutex_init(&recent->lock);
}

void gluster_recent_clear(GlusterRecent *recent)
{
    g_clear_pointer(&recent->entries, g_hash_table_unref);
    g_mutex_clear(&recent->lock);
}

/*
 * Returns a map from name to the stat of lstat, or NULL after a failure or with too many entries.
 */
static GHashTable *recent_list_entries(GlusterConn *conn, const GlusterConf *conf)
{
    g_autoptr(GHashTable) entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GlusterListing) listing = {0};

    if (!gluster_listing_open(conn, conf, &listing, NULL))
        return NULL;
    while (gluster_listing_next(&listing)) {
        if (g_hash_table_size(entries) >= ENTRIES_MAX)
            return NULL;
        if (listing.st.st_ino != 0)
            g_hash_table_insert(entries, g_strdup(listing.name),
                                g_memdup2(&listing.st, sizeof(listing.st)));
    }
    return listing.err ? NULL : g_steal_pointer(&entries);
}

/*
 * Returns whether no file has changed since the start of the listing. Call it with the lock held.
 */
static gboolean is_current(const GlusterRecent *recent, GlusterConn *conn)
{
    return recent->changes && recent->changes == gluster_changes(conn);
}

/*
 * Drops an outdated listing and counts the query. Call it with the lock held. Returns TRUE if this
 * caller must make a listing.
 */
static gboolean wants_listing(GlusterRecent *recent, GlusterConn *conn, gint64 now)
{
    if (recent->entries && (now >= recent->until || !is_current(recent, conn)))
        g_clear_pointer(&recent->entries, g_hash_table_unref);
    if (now - recent->since > gluster_recent_times.burst_us) {
        recent->since = now;
        recent->asked = 0;
    }
    recent->asked++;
    if (recent->entries || recent->listing || recent->asked < BURST || !gluster_changes(conn))
        return FALSE;
    recent->asked = 0;
    return recent->listing = TRUE;
}

/*
 * Makes a new listing. Call it with the lock held; it is released during the listing. A change
 * during the listing makes the result invalid.
 */
static void recent_listing_renew(GlusterRecent *recent, GlusterConn *conn, const GlusterConf *conf,
                                 gint64 now)
{
    GHashTable *entries;
    gboolean is_private;
    guint changes;

    CST_TEST_POINT("gluster.recent.begin");
    changes = gluster_changes(conn);
    g_mutex_unlock(&recent->lock);
    is_private = gluster_is_private(conn, conf);
    entries = recent_list_entries(conn, conf);
    CST_TEST_POINT("gluster.recent.unlocked");
    g_mutex_lock(&recent->lock);
    g_clear_pointer(&recent->entries, g_hash_table_unref);
    recent->listing = FALSE;
    recent->entries = entries;
    recent->is_private = is_private;
    recent->changes = changes;
    recent->until = now + gluster_recent_times.fresh_us;
}

gboolean gluster_recent_find(GlusterRecent *recent, GlusterConn *conn, const GlusterConf *conf,
                             const char *name, struct stat *ret_st, gboolean *ret_private)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&recent->lock);
    gint64 now = g_get_monotonic_time();
    const struct stat *found;

    if (wants_listing(recent, conn, now))
        recent_listing_renew(recent, conn, conf, now);
    found = recent->entries && is_current(recent, conn) ? g_hash_table_lookup(recent->entries, name)
                                                        : NULL;
    if (!found)
        return FALSE;
    *ret_st = *found;
    *ret_private = recent->is_private;
    return TRUE;
}
