/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An image of one or several files in memory, as the fault tests open and copy it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <blob/sparse.h>
#include <image/image.h>

#include "backing_guest.h"

/* Bytes of the disk; the byte that fills its backing image. */
enum { SIZE = 640 * 1024 + 512, BELOW = 0xee };

typedef struct {
    const char *format;
    CstImageCreate options;
} Variant;

typedef struct {
    char *name;
    CstBlob *inner; /* content of the disk */
    CstBlob *shown; /* blob that the image works on: @inner, or a layer over it */
} Part;

/** The files of one image; the first is the image. */
typedef struct {
    const Variant *variant;
    const CstImageFormat *format;
    CstBlob *backing;
    GPtrArray *parts;
} Disk;

static inline void part_free(gpointer data)
{
    Part *part = data;

    cst_blob_unref(part->inner);
    cst_blob_unref(part->shown);
    g_free(part->name);
    g_free(part);
}

static inline Part *part_at(const Disk *disk, guint index)
{
    return g_ptr_array_index(disk->parts, index);
}

/* Adopts @inner. */
static inline void disk_add(Disk *disk, const char *name, CstBlob *inner)
{
    Part *part = g_new0(Part, 1);

    part->name = g_strdup(name);
    part->inner = inner;
    part->shown = cst_blob_ref(inner);
    g_ptr_array_add(disk->parts, part);
}

static inline CstBlob *open_part(const char *name, gboolean writable, gpointer data, GError **error)
{
    const Disk *disk = data;

    for (guint i = 1; i < disk->parts->len; i++)
        if (strcmp(part_at(disk, i)->name, name) == 0)
            return cst_blob_ref(part_at(disk, i)->shown);
    cst_fail(error, CST_ERROR_NOT_FOUND, "%s", name);
    return NULL;
}

static inline CstBlob *create_part(const char *name, gpointer data, GError **error)
{
    disk_add(data, name, cst_blob_sparse_new(0));
    return open_part(name, TRUE, data, error);
}

/* @backing NULL: creates a backing image if the variant needs one. */
static inline void disk_init(Disk *disk, const Variant *variant, CstBlob *backing)
{
    *disk = (Disk){.variant = variant, .format = cst_image_format_find(variant->format, NULL)};
    disk->parts = g_ptr_array_new_with_free_func(part_free);
    if (variant->options.backing)
        disk->backing = backing ? cst_blob_ref(backing)
                                : make_backing(variant->options.backing_format, SIZE, BELOW);
}

static inline void disk_clear(Disk *disk)
{
    g_ptr_array_unref(disk->parts);
    cst_blob_unref(disk->backing);
}

/* With layers of its own. */
static inline void disk_copy(const Disk *disk, Disk *ret_copy)
{
    disk_init(ret_copy, disk->variant, disk->backing);
    for (guint i = 0; i < disk->parts->len; i++)
        disk_add(ret_copy, part_at(disk, i)->name, cst_blob_sparse_copy(part_at(disk, i)->inner));
}

/* The image of the variant, new. */
static inline void disk_create(Disk *disk)
{
    const CstImageFiles files = {open_part, create_part, disk};
    CstImageCreate options = disk->variant->options;
    g_autoptr(GError) error = NULL;

    options.capacity = options.capacity ? options.capacity : SIZE;
    options.files = &files;
    options.file_name = "disk";
    options.backing_guest = disk->backing;
    disk_add(disk, "disk", cst_blob_sparse_new(0));
    if (!cst_image_create(part_at(disk, 0)->shown, disk->format, &options, NULL, &error))
        fail_msg("create: %s", error->message);
}

static inline CstImage *open_image(Disk *disk, unsigned flags, GError **error)
{
    const CstImageFiles files = {open_part, create_part, disk};
    const CstImageOpen how = {.flags = flags, .backing = disk->backing, .files = &files};

    return cst_image_open_as(part_at(disk, 0)->shown, disk->format, &how, error);
}
