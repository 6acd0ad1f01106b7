/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes by name, with an index from the path of a file to the volumes whose images reference it.
 * The index answers whether a file is the base of an image, at a cost independent of the number of
 * volumes.
 *
 *     by_name:    "top" -> record
 *     references: record -> Reference -> sibling (of its data file)
 *     bases:      "/images/base" -> Base -> Reference <-> Reference (of all its overlays)
 *
 * A record is removed from the index by the references that were created when it was entered, not
 * by its present references. So the index does not require that records and directories stay
 * unchanged. Most volumes reference no file, and have no entry in the index.
 */
#include "volume_table.h"

#include <string.h>

#include <base/url.h>

#include "trust.h"

typedef struct Reference Reference;

/* A file that is referenced by images. Freed with its last reference. */
typedef struct {
    Reference *first;
    char path[];
} Base;

/* A reference of an image. */
struct Reference {
    Base *base;
    CstVolume *overlay;         /* borrowed from by_name */
    Reference *previous, *next; /* of the same base */
    Reference *sibling;         /* the next one of the same overlay */
};

struct VolumeTable {
    GHashTable *by_name;        /* name (inside the record) to CstVolume * (owned) */
    GHashTable *bases;          /* path (inside the value) to Base * (owned) */
    GHashTable *references;     /* CstVolume * (borrowed) to its first Reference * (owned) */
    unsigned __int128 promised; /* sum of cst_volume_promise() */
};

VolumeTable *volume_table_new(void)
{
    VolumeTable *table = g_new0(VolumeTable, 1);

    table->by_name =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)cst_volume_unref);
    table->bases = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    table->references = g_hash_table_new(g_direct_hash, g_direct_equal);
    return table;
}

void volume_table_free(VolumeTable *table)
{
    GHashTableIter iter;
    gpointer first;

    g_hash_table_iter_init(&iter, table->references);
    while (g_hash_table_iter_next(&iter, NULL, &first))
        for (Reference *reference = first, *sibling; reference; reference = sibling) {
            sibling = reference->sibling;
            g_free(reference);
        }
    g_hash_table_unref(table->references);
    g_hash_table_unref(table->bases);
    g_hash_table_unref(table->by_name);
    g_free(table);
}

/* --- the index -------------------------------------------------------------------------------- */

/*
 * Counts only declared references. An image with an undeclared reference to another volume must not
 * prevent the deletion of that volume.
 */
void volume_references(const char *dir, const CstVolume *volume, GPtrArray *paths)
{
    const CstVolumeExtra *extra = volume->extra;

    if (trust_has_backing(volume))
        g_ptr_array_add(paths, cst_reference_path(extra->backing_path));
    if (dir && extra && extra->data_file && extra->data_trust != CST_TRUST_NONE) {
        g_autofree char *data = cst_reference_resolve(dir, extra->data_file);

        g_ptr_array_add(paths, cst_reference_path(data));
    }
}

gboolean volume_references_unknown(const CstVolume *volume)
{
    const CstVolumeExtra *extra = volume->extra;

    return volume->type == CST_VOL_FILE && extra && extra->problem && !extra->backing_path &&
           !extra->data_file;
}

static Base *base_of_path(VolumeTable *table, const char *path)
{
    Base *base = g_hash_table_lookup(table->bases, path);
    size_t size = strlen(path) + 1;

    if (base)
        return base;
    base = g_malloc(sizeof(*base) + size);
    base->first = NULL;
    memcpy(base->path, path, size);
    g_hash_table_insert(table->bases, base->path, base);
    return base;
}

/* Prepends to the base's list, and returns the reference. */
static Reference *reference_new(Base *base, CstVolume *overlay, Reference *sibling)
{
    Reference *reference = g_new(Reference, 1);

    *reference =
        (Reference){.base = base, .overlay = overlay, .next = base->first, .sibling = sibling};
    if (base->first)
        base->first->previous = reference;
    base->first = reference;
    return reference;
}

static void reference_free(VolumeTable *table, Reference *reference)
{
    Base *base = reference->base;

    if (reference->next)
        reference->next->previous = reference->previous;
    if (reference->previous)
        reference->previous->next = reference->next;
    else
        base->first = reference->next;
    if (!base->first)
        g_hash_table_remove(table->bases, base->path);
    g_free(reference);
}

/* An image may reference the same file as its backing and as its data file. It counts once. */
static void index_add(VolumeTable *table, const char *dir, CstVolume *volume)
{
    g_autoptr(GPtrArray) paths = NULL;
    Reference *first = NULL;

    if (!volume->extra || (!volume->extra->backing_path && !volume->extra->data_file))
        return;
    paths = g_ptr_array_new_with_free_func(g_free);
    volume_references(dir, volume, paths);
    for (guint i = 0; i < paths->len; i++) {
        const char *path = g_ptr_array_index(paths, i);

        if (!first || strcmp(first->base->path, path) != 0)
            first = reference_new(base_of_path(table, path), volume, first);
    }
    if (first)
        g_hash_table_insert(table->references, volume, first);
}

static void index_remove(VolumeTable *table, CstVolume *volume)
{
    gpointer first = NULL;

    if (!g_hash_table_steal_extended(table->references, volume, NULL, &first))
        return;
    for (Reference *reference = first, *sibling; reference; reference = sibling) {
        sibling = reference->sibling;
        reference_free(table, reference);
    }
}

/* --- changes ---------------------------------------------------------------------------------- */

void volume_table_set(VolumeTable *table, const char *dir, CstVolume *volume)
{
    CstVolume *old = g_hash_table_lookup(table->by_name, volume->name);

    if (old) {
        index_remove(table, old);
        table->promised -= cst_volume_promise(old);
    }
    table->promised += cst_volume_promise(volume);
    g_hash_table_replace(table->by_name, volume->name, volume);
    index_add(table, dir, volume);
}

void volume_table_remove(VolumeTable *table, const char *name)
{
    CstVolume *old = g_hash_table_lookup(table->by_name, name);

    if (!old)
        return;
    index_remove(table, old);
    table->promised -= cst_volume_promise(old);
    g_hash_table_remove(table->by_name, name);
}

/* --- look-ups --------------------------------------------------------------------------------- */

CstVolume *volume_table_get(const VolumeTable *table, const char *name)
{
    return g_hash_table_lookup(table->by_name, name);
}

guint volume_table_size(const VolumeTable *table)
{
    return g_hash_table_size(table->by_name);
}

uint64_t volume_table_promise(const VolumeTable *table)
{
    return (uint64_t)MIN(table->promised, (unsigned __int128)UINT64_MAX);
}

void volume_table_iter_init(GHashTableIter *iter, const VolumeTable *table)
{
    g_hash_table_iter_init(iter, table->by_name);
}

gboolean volume_table_has_overlay(const VolumeTable *table, const char *path)
{
    return g_hash_table_contains(table->bases, path);
}

gboolean volume_table_has_overlays(const VolumeTable *table)
{
    return g_hash_table_size(table->bases) > 0;
}

void volume_table_overlays(const VolumeTable *table, const char *path, GPtrArray *volumes)
{
    const Base *base = g_hash_table_lookup(table->bases, path);

    for (const Reference *at = base ? base->first : NULL; at; at = at->next)
        g_ptr_array_add(volumes, cst_volume_ref(at->overlay));
}
