/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The database of references between images.
 *
 * A whole scan compares the records of the directory with the table that it has published, and
 * writes the difference. Only records that were read before the scan are removed, because another
 * process may create an overlay while the scan runs. A superfluous record protects its base until
 * the next scan; a missing record would leave the base unprotected.
 *
 * The identity of a base is read once, when its reference is new. It identifies the base under
 * another path, for example a link or a bind mount. Later scans use only the kernel's dentry cache,
 * so that an unresponsive server does not block a scan.
 */
#include "overlays.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/log.h>

#include "service.h"
#include "table.h"
#include "trust.h"

/* --- references ------------------------------------------------------------------------------- */

/*
 * Returns the identity of the file at @path, zero if it is unknown. @cached: openat2() with
 * RESOLVE_CACHED, which fails with EAGAIN instead of doing storage I/O.
 */
static CstFileId base_identity(const char *path, gboolean cached)
{
    const struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                                 .resolve = cached ? RESOLVE_CACHED : 0};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
    CstFileId id = {0};
    struct statx st;

    if (fd < 0)
        return id;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_BTIME, &st) == 0) {
        id.inode = st.stx_ino;
        if (st.stx_mask & STATX_BTIME)
            id.btime_ns = st.stx_btime.tv_sec * (gint64)1000000000 + st.stx_btime.tv_nsec;
    }
    close(fd);
    return id;
}

/*
 * Appends a record for each file that @volume references. The identities in the records are
 * unknown.
 */
static void append_overlays(const char *dir, const CstVolume *volume, GPtrArray *overlays)
{
    const CstFileId unknown = {0};
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    if (volume)
        volume_references(dir, volume, paths);
    for (guint i = 0; i < paths->len; i++)
        g_ptr_array_add(overlays,
                        cst_overlay_new(dir, volume->name, g_ptr_array_index(paths, i), &unknown));
}

static GPtrArray *overlays_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_overlay_free);
}

/* --- the difference --------------------------------------------------------------------------- */

static guint overlay_hash(gconstpointer data)
{
    const CstOverlay *overlay = data;

    return g_str_hash(overlay->volume) * 31 + g_str_hash(overlay->path);
}

/* Compares records of the same directory. */
static gboolean overlay_equal(gconstpointer a, gconstpointer b)
{
    const CstOverlay *left = a, *right = b;

    return strcmp(left->volume, right->volume) == 0 && strcmp(left->path, right->path) == 0;
}

/* Returns the identity of a base, and reads each identity once. @cached: without storage I/O. */
static CstFileId overlay_base_id(GHashTable *known, const char *path, gboolean cached)
{
    CstFileId *id = g_hash_table_lookup(known, path);

    if (!id) {
        const CstFileId found = base_identity(path, cached);

        id = g_memdup2(&found, sizeof(found));
        g_hash_table_insert(known, g_strdup(path), id);
    }
    return *id;
}

/*
 * Appends to @added the records in @now that @before lacks, or that have an unknown base in @before
 * and a known one now. Appends to @removed the records that only @before has, except for volumes in
 * @unreadable. The arrays borrow the records.
 */
static void compare_overlays(const GPtrArray *before, const GPtrArray *now, GHashTable *unreadable,
                             GPtrArray *removed, GPtrArray *added)
{
    g_autoptr(GHashTable) old = g_hash_table_new(overlay_hash, overlay_equal);
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) cached = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer left;

    for (guint i = 0; i < before->len; i++)
        g_hash_table_add(old, g_ptr_array_index(before, i));
    for (guint i = 0; i < now->len; i++) {
        CstOverlay *overlay = g_ptr_array_index(now, i);
        const CstOverlay *same = g_hash_table_lookup(old, overlay);

        if (!same || !same->base.inode) {
            overlay->base = overlay_base_id(same ? cached : ids, overlay->path, same != NULL);
            if (!same || overlay->base.inode)
                g_ptr_array_add(added, overlay);
        }
        g_hash_table_remove(old, overlay);
    }
    g_hash_table_iter_init(&iter, old);
    while (g_hash_table_iter_next(&iter, &left, NULL))
        if (!unreadable || !g_hash_table_contains(unreadable, ((const CstOverlay *)left)->volume))
            g_ptr_array_add(removed, left);
}

/* @unreadable: names of the volumes with unknown references; NULL: no such volumes. */
static void write_difference(CstPool *pool, const GPtrArray *before, const GPtrArray *now,
                             GHashTable *unreadable)
{
    g_autoptr(GPtrArray) removed = g_ptr_array_new();
    g_autoptr(GPtrArray) added = g_ptr_array_new();
    g_autoptr(GError) error = NULL;

    compare_overlays(before, now, unreadable, removed, added);
    if ((removed->len || added->len) &&
        !cst_overlays_change(pool->service->declarations, removed, added, &error))
        cst_log(CST_LOG_WARNING, "pool '%s': the references of its images are not remembered: %s",
                pool->name, error->message);
}

static gboolean pool_records_overlays(CstPoolState *state)
{
    return !cst_dry_run() && state->def->target_path && cst_pool_state_holds_images(state);
}

GPtrArray *overlays_before_scan(CstPool *pool, CstPoolState *state)
{
    return pool_records_overlays(state)
               ? cst_overlays_of_dir(pool->service->declarations, state->def->target_path, NULL)
               : NULL;
}

void overlays_after_scan(CstPool *pool, CstPoolState *state, const GPtrArray *before)
{
    g_autoptr(GPtrArray) now = overlays_new();
    g_autoptr(GHashTable) unreadable = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer volume;
    gboolean current;

    if (!before)
        return;
    g_mutex_lock(&pool->lock);
    current = pool_state_is_current(pool, state);
    volume_table_iter_init(&iter, pool->volumes);
    while (current && g_hash_table_iter_next(&iter, NULL, &volume)) {
        append_overlays(state->def->target_path, volume, now);
        if (volume_references_unknown(volume))
            g_hash_table_add(unreadable, g_strdup(((const CstVolume *)volume)->name));
    }
    g_mutex_unlock(&pool->lock);
    if (current)
        write_difference(pool, before, now, unreadable);
}

/* Returns whether the database may have records of @volume. */
static gboolean may_refer(const CstVolume *volume)
{
    return volume && volume->extra &&
           (volume->extra->backing_path || volume->extra->data_file ||
            volume_references_unknown(volume));
}

void overlays_note(CstPool *pool, CstPoolState *state, const CstVolume *known,
                   const CstVolume *volume)
{
    g_autoptr(GPtrArray) before = NULL;
    g_autoptr(GPtrArray) now = overlays_new();

    if (known == volume || (!may_refer(known) && !may_refer(volume)) ||
        !pool_records_overlays(state) || (volume && volume_references_unknown(volume)) ||
        (!volume && pool_table_is_moving(pool, known->name)))
        return;
    before = cst_overlays_of_volume(pool->service->declarations, state->def->target_path,
                                    volume ? volume->name : known->name, NULL);
    append_overlays(state->def->target_path, volume, now);
    if (before)
        write_difference(pool, before, now, NULL);
}

gboolean overlays_rename(CstService *service, CstPoolState *state, const char *name,
                         const CstVolume *volume, GError **error)
{
    g_autoptr(GPtrArray) before = NULL;
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GPtrArray) now = overlays_new();

    if (!pool_records_overlays(state) || cst_name_is_trash(volume->name))
        return TRUE;
    before = cst_overlays_of_volume(service->declarations, state->def->target_path, name, error);
    append_overlays(state->def->target_path, volume, now);
    for (guint i = 0; before && volume_references_unknown(volume) && i < before->len; i++) {
        const CstOverlay *overlay = g_ptr_array_index(before, i);

        g_ptr_array_add(now,
                        cst_overlay_new(overlay->dir, volume->name, overlay->path, &overlay->base));
    }
    return before &&
           (now->len == 0 || cst_overlays_change(service->declarations, none, now, error));
}
