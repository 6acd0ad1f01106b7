/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who asks for the details of all volumes asks for one after the other (virsh does), and each look
 * costs round trips. So when many names are asked for within a moment, one listing answers for the
 * next moment.
 *
 * It is not used once something has changed through this process: conn->changes has another number
 * after each change, and with each connection, and while a file is open for writing the listing is
 * neither made nor used. What other clients change is seen when the moment is over, or with the
 * next refresh, which counts as a change. A record is made of what the file that was opened says,
 * so a listing that is too old costs another look and no more.
 */
#include "gluster.h"

#include <string.h>

#include <base/test_point.h>

/* So many names are a burst. */
#define BURST 16
/* A larger directory costs more to list than some names do to be asked for. */
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

/* Names and what lstat says of them. NULL: failed, or too many. */
static GHashTable *list(GlusterConn *conn, const GlusterConf *conf)
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

/* With the lock held: whether nothing has changed since the listing was begun. */
static gboolean is_current(const GlusterRecent *recent, GlusterConn *conn)
{
    return recent->changes && recent->changes == gluster_changes(conn);
}

/* With the lock held: forgets what is too old, and counts. TRUE: this caller makes a listing. */
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

/* With the lock held, which is released meanwhile. What changes while it is made makes it void. */
static void renew(GlusterRecent *recent, GlusterConn *conn, const GlusterConf *conf, gint64 now)
{
    GHashTable *entries;
    gboolean is_private;
    guint changes;

    CST_TEST_POINT("gluster.recent.begin");
    changes = gluster_changes(conn);
    g_mutex_unlock(&recent->lock);
    is_private = gluster_is_private(conn, conf);
    entries = list(conn, conf);
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
        renew(recent, conn, conf, now);
    found = recent->entries && is_current(recent, conn) ? g_hash_table_lookup(recent->entries, name)
                                                        : NULL;
    if (!found)
        return FALSE;
    *ret_st = *found;
    *ret_private = recent->is_private;
    return TRUE;
}
