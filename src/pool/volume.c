/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of a volume, and the decision which files referenced by its image may be followed
 * (docs/security-model.md). The backend fills in a record, which is immutable after that. Only the
 * reference count changes; it is atomic.
 */
#include <base/i18n.h>
#include <pool/volume.h>

#include <string.h>

#include <image/image.h>

#define SHARED_MAX 64 /* shared extra parts */

/*
 * The name is part of the allocation to save memory, because tables have tens of thousands of
 * volumes.
 */
CstVolume *cst_volume_new(const char *name)
{
    size_t len = strlen(name) + 1;
    CstVolume *volume = g_malloc0(sizeof(*volume) + len);

    volume->refs = 1;
    memcpy(volume->name, name, len);
    return volume;
}

CstVolume *cst_volume_ref(CstVolume *volume)
{
    g_atomic_int_inc(&volume->refs);
    return volume;
}

static void extra_free(CstVolumeExtra *extra)
{
    if (!extra)
        return;
    g_free(extra->key);
    g_free(extra->backing_path);
    g_free(extra->backing_format);
    g_free(extra->data_file);
    g_free(extra->encryption);
    g_free(extra->problem);
    g_clear_pointer(&extra->extents, g_ptr_array_unref);
    g_clear_pointer(&extra->options, g_ptr_array_unref);
    g_free(extra);
}

void cst_volume_unref(CstVolume *volume)
{
    if (!volume || !g_atomic_int_dec_and_test(&volume->refs))
        return;
    if (!volume->shares_extra)
        extra_free(volume->extra);
    g_free(volume);
}

CstVolumeExtra *cst_volume_extra(CstVolume *volume)
{
    if (!volume->extra)
        volume->extra = g_new0(CstVolumeExtra, 1);
    else if (volume->shares_extra)
        volume->extra = g_memdup2(volume->extra, sizeof(*volume->extra));
    volume->shares_extra = FALSE;
    return volume->extra;
}

/* Returns the shared part of these properties, which is never freed. */
static CstVolumeExtra *shared_extra(const CstVolumeExtra *like)
{
    static GMutex lock;
    static GPtrArray *parts; /* so few that a search is cheap */
    CstVolumeExtra *found = NULL;

    g_mutex_lock(&lock);
    if (!parts)
        parts = g_ptr_array_new();
    for (guint i = 0; !found && i < parts->len; i++) {
        CstVolumeExtra *part = g_ptr_array_index(parts, i);

        if (part->compat == like->compat && part->cluster_size == like->cluster_size &&
            part->lazy_refcounts == like->lazy_refcounts && part->extended_l2 == like->extended_l2)
            found = part;
    }
    if (!found && parts->len < SHARED_MAX) {
        found = g_memdup2(like, sizeof(*like));
        g_ptr_array_add(parts, found);
    }
    g_mutex_unlock(&lock);
    return found;
}

void cst_volume_share_extra(CstVolume *volume)
{
    CstVolumeExtra *extra = volume->extra, *shared;

    if (!extra || volume->shares_extra || extra->key || extra->backing_path ||
        extra->backing_format || extra->data_file || extra->content || extra->mark ||
        extra->encryption || extra->problem || extra->snapshots || extra->extents || extra->options)
        return;
    shared = shared_extra(extra);
    if (!shared)
        return;
    extra_free(extra);
    volume->extra = shared;
    volume->shares_extra = TRUE;
}

gboolean cst_volume_same_format(const char *a, const char *b)
{
    const CstImageFormat *format = cst_image_format_find(a, NULL);

    return format && format == cst_image_format_find(b, NULL);
}

uint64_t cst_volume_promise_at(const CstVolume *volume, uint64_t capacity)
{
    uint64_t copies = volume->extra ? volume->extra->snapshots : 0;
    unsigned __int128 bytes = (unsigned __int128)capacity * copies;

    bytes += MAX(capacity, volume->allocation);
    return (uint64_t)MIN(bytes, (unsigned __int128)G_MAXINT64);
}

uint64_t cst_volume_promise(const CstVolume *volume)
{
    return cst_volume_promise_at(volume, volume->capacity);
}

CstFileId cst_volume_file_id(const CstVolume *volume)
{
    return (CstFileId){.inode = volume->stamp.inode, .btime_ns = volume->btime_ns};
}

/* --- trust ------------------------------------------------------------------------------------ */

/*
 * Whether the declared format is compatible with the detected format. Aliases ("vhd") are equal; a
 * missing or unknown name is compatible with any format.
 */
static gboolean declared_format_fits(const char *declared, const char *found)
{
    const CstImageFormat *a = declared ? cst_image_format_find(declared, NULL) : NULL;
    const CstImageFormat *b = found ? cst_image_format_find(found, NULL) : NULL;

    return !a || !b || a == b;
}

/*
 * Returns the trust in a reference of the volume. If @named, the reference is declared
 * individually. Otherwise the place decides, unless other users can write there or the volume is
 * restricted.
 */
static CstTrust trust_in(const CstVolume *volume, const CstDeclaration *declaration, gboolean named)
{
    if (named)
        return CST_TRUST_NAMED;
    if ((volume->flags & CST_VOLUME_SHARED) || (declaration && declaration->restricted))
        return CST_TRUST_NONE;
    return CST_TRUST_PLACE;
}

static uint8_t flags_of_declaration(const CstVolume *volume, const CstDeclaration *declaration)
{
    const char *kept = declaration->format ? declaration->format : declaration->seen_format;

    return (uint8_t)((cst_declaration_declares(declaration) ? CST_VOLUME_DECLARED : 0) |
                     (declaration->restricted ? CST_VOLUME_RESTRICTED : 0) |
                     (kept && cst_volume_same_format(kept, volume->format) ? CST_VOLUME_FORMAT_KEPT
                                                                           : 0));
}

/*
 * A record with a problem is always made anew, so the next scan reads the declaration again. Only
 * references depend on declarations.
 */
static void note_failure(CstVolumeExtra *extra, const CstDeclaration *declaration)
{
    if (declaration->failure && !extra->problem && (extra->backing_path || extra->data_file))
        extra->problem =
            g_strdup_printf(_("its declaration cannot be read: %s"), declaration->failure);
}

/*
 * A declaration of a backing file is valid only together with its format, because the same file
 * read in another format is another disk.
 */
void cst_volume_judge(CstVolume *volume, const CstDeclaration *declaration)
{
    CstVolumeExtra *extra = volume->extra;

    if (declaration)
        volume->flags |= flags_of_declaration(volume, declaration);
    /* A shared part has no references. */
    if (!extra || volume->shares_extra)
        return;
    if (declaration)
        note_failure(extra, declaration);
    extra->backing_trust =
        trust_in(volume, declaration,
                 declaration && declaration->backing && extra->backing_path &&
                     strcmp(declaration->backing, extra->backing_path) == 0 &&
                     declared_format_fits(declaration->backing_format, extra->backing_format));
    extra->data_trust = trust_in(volume, declaration,
                                 declaration && declaration->data_file && extra->data_file &&
                                     strcmp(declaration->data_file, extra->data_file) == 0);
}

gboolean cst_volume_header_is_lost(const CstVolume *volume)
{
    return volume->extra && volume->extra->content && !cst_image_name_is_plain(volume->format) &&
           cst_image_name_is_plain(volume->extra->content);
}

char *cst_volume_backing(const CstVolume *volume)
{
    const CstVolumeExtra *extra = volume->extra;

    return extra && extra->backing_path && extra->backing_trust != CST_TRUST_NONE
               ? g_strdup(extra->backing_path)
               : NULL;
}

const char *cst_volume_problem(const CstVolume *volume)
{
    return volume->extra ? volume->extra->problem : NULL;
}

gboolean cst_volume_stamp_equal(const CstVolumeStamp *a, const CstVolumeStamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}
