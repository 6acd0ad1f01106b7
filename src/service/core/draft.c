/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes that are being created. A creation is in its pool's table of drafts from its reservation
 * to its end. Lists and lookups find it there, under its final name, with its current allocation.
 *
 * The table exists only in memory. The content has a hidden name, which the journal removes after a
 * crash. A claim of a volume that is being created fails with BUSY at once (volume_claim()).
 *
 * The pool's lock guards the table. The table references the blob of a draft; volume_draft_now()
 * takes a further reference while it reads the allocation.
 */
#include "draft.h"

#include <sys/stat.h>

#include <image/image.h>

#include "pool.h"
#include "table.h"

#define DRAFT_MODE 0600 /* mode of the file until its commit */

/*
 * Returns the image engine's name of the format (static). Returns NULL if the engine has no such
 * format.
 */
static const char *format_name(const CstVolDef *def)
{
    const CstImageFormat *format = def->format ? cst_image_format_find(def->format, NULL) : NULL;

    if (def->type == CST_VOL_DIR)
        return "dir";
    return format ? cst_image_format_name(format) : NULL;
}

/*
 * Returns the record that lists show until the volume exists. Permissions missing in the definition
 * are those of the draft's file.
 */
static CstVolume *volume_of_definition(const CstVolDef *def)
{
    CstVolume *volume = cst_volume_new(def->name);

    volume->type = (uint8_t)def->type;
    volume->format = format_name(def);
    volume->capacity = def->capacity;
    volume->mode = def->perms.mode == CST_PERMS_UNSET ? DRAFT_MODE : def->perms.mode & 07777;
    volume->uid = def->perms.uid == CST_PERMS_UNSET ? geteuid() : def->perms.uid;
    volume->gid = def->perms.gid == CST_PERMS_UNSET ? getegid() : def->perms.gid;
    if (def->backing) {
        CstVolumeExtra *extra = cst_volume_extra(volume);

        extra->backing_path = g_strdup(def->backing->path);
        extra->backing_format = g_strdup(def->backing->format);
        /* The backing file in the definition counts as a declaration. */
        extra->backing_trust = CST_TRUST_NAMED;
    }
    return volume;
}

void volume_draft_show(CstPool *pool, const CstVolDef *def, CstBlob *blob)
{
    VolumeDraft *draft = g_new0(VolumeDraft, 1);

    draft->volume = volume_of_definition(def);
    draft->blob = blob ? cst_blob_ref(blob) : NULL;
    g_mutex_lock(&pool->lock);
    g_hash_table_replace(pool->drafts, draft->volume->name, draft);
    pool_table_unsort(pool);
    g_mutex_unlock(&pool->lock);
}

void volume_draft_hide(CstPool *pool, const char *name)
{
    gpointer draft = NULL;

    g_mutex_lock(&pool->lock);
    if (g_hash_table_steal_extended(pool->drafts, name, NULL, &draft))
        pool_table_unsort(pool);
    g_mutex_unlock(&pool->lock);
    if (draft)
        pool_draft_free(draft);
}

gboolean volume_drafts_any(CstPool *pool)
{
    gboolean any;

    g_mutex_lock(&pool->lock);
    any = g_hash_table_size(pool->drafts) > 0;
    g_mutex_unlock(&pool->lock);
    return any;
}

/*
 * Returns a copy of @then with the current sizes of the file. A new record is needed, because
 * records are immutable.
 */
static CstVolume *volume_with_sizes(const CstVolume *then, const struct stat *st)
{
    CstVolume *now = cst_volume_new(then->name);

    now->type = then->type;
    now->format = then->format;
    now->capacity = then->capacity;
    now->mode = then->mode;
    now->uid = then->uid;
    now->gid = then->gid;
    now->allocation = (uint64_t)st->st_blocks * 512;
    now->physical = (uint64_t)st->st_size;
    if (then->extra) {
        CstVolumeExtra *extra = cst_volume_extra(now);

        extra->backing_path = g_strdup(then->extra->backing_path);
        extra->backing_format = g_strdup(then->extra->backing_format);
        extra->backing_trust = then->extra->backing_trust;
    }
    return now;
}

CstVolume *volume_draft_now(CstPool *pool, const char *name)
{
    g_autoptr(CstVolume) then = NULL;
    g_autoptr(CstBlob) blob = NULL;
    const VolumeDraft *draft;
    struct stat st;
    int fd;

    g_mutex_lock(&pool->lock);
    draft = g_hash_table_lookup(pool->drafts, name);
    if (draft) {
        then = cst_volume_ref(draft->volume);
        blob = draft->blob ? cst_blob_ref(draft->blob) : NULL;
    }
    g_mutex_unlock(&pool->lock);
    /*
     * fstat() may block on a network file system, so the lock is not held. Without a descriptor of
     * a regular file, the allocation is unknown.
     */
    fd = blob ? cst_blob_file_fd(blob) : -1;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return g_steal_pointer(&then);
    return volume_with_sizes(then, &st);
}
