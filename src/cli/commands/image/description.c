/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the description of one image, and arranges it as qemu-img does. image-info prints it as a
 * sheet of its own (info.c).
 */
#include "description.h"

#include <string.h>
#include <sys/stat.h>

#include <base/url.h>
#include <image/bitmap.h>
#include <image/path.h>
#include <image/snapshot.h>

void cli_image_description_clear(CliImageDescription *shown)
{
    cst_image_info_clear(&shown->info);
    g_free(shown->full_backing);
    g_clear_pointer(&shown->snapshots, g_ptr_array_unref);
    g_clear_pointer(&shown->bitmaps, g_ptr_array_unref);
    g_clear_pointer(&shown->parts, g_ptr_array_unref);
    cst_image_luks_clear(&shown->luks);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Read lists of unbounded length. Scans of a pool do not read them. */
static void read_lists(CliImageDescription *shown, CstBlob *blob)
{
    const CstImageInfo *info = &shown->info;
    CstImage *image = NULL;

    shown->parts = cst_image_inspect_parts(blob, info->format, NULL);
    if (info->encryption)
        cst_image_inspect_luks(blob, info->format, &shown->luks, NULL);
    if (info->corrupt || (info->snapshots == 0 && info->bitmaps == 0))
        return;
    image = cst_image_open(blob, info->format, CST_IMAGE_NO_DATA, NULL, NULL);
    if (image && info->snapshots)
        shown->snapshots = cst_image_snapshot_list(image, NULL);
    if (image && info->bitmaps)
        shown->bitmaps = cst_image_bitmap_list(image, NULL);
    cst_image_free(image);
}

/* Make the paths of parts relative to the working directory. */
static void name_parts(CliImageDescription *shown)
{
    for (guint i = 0; shown->parts && i < shown->parts->len; i++) {
        CstImagePart *part = g_ptr_array_index(shown->parts, i);
        char *path = part->file ? cst_path_named(shown->path, part->file) : g_strdup(shown->path);

        if (!path)
            continue;
        g_free(part->file);
        part->file = path;
    }
}

gboolean cli_image_describe(CstBlob *blob, const CstImageFormat *format, CliImageDescription *shown,
                            GError **error)
{
    struct stat st;

    shown->path = blob->name;
    if (!cst_image_inspect(blob, format, &shown->info, error))
        return FALSE;
    if (fstat(cst_blob_file_fd(blob), &st) == 0)
        shown->disk_size = (uint64_t)st.st_blocks * 512;
    if (shown->info.backing)
        shown->full_backing = cst_path_named(shown->path, shown->info.backing);
    read_lists(shown, blob);
    name_parts(shown);
    return TRUE;
}

/* --- qemu-img's arrangement ------------------------------------------------------------------ */

static CliQdict *bitmap_dict(gconstpointer item)
{
    const CstImageBitmap *bitmap = item;
    CliQdict *dict = cli_qdict_new(), *flags = cli_qlist_new();

    if (bitmap->inconsistent)
        cli_qdict_add_text(flags, NULL, "in-use");
    if (bitmap->enabled)
        cli_qdict_add_text(flags, NULL, "auto");
    cli_qdict_add(dict, "flags", flags);
    cli_qdict_add_text(dict, "name", bitmap->name);
    cli_qdict_add_number(dict, "granularity", (int64_t)bitmap->granularity);
    return dict;
}

static CliQdict *part_dict(gconstpointer item)
{
    const CstImagePart *part = item;
    CliQdict *dict = cli_qdict_new();

    if (part->compressed)
        cli_qdict_add_bool(dict, "compressed", TRUE);
    cli_qdict_add_number(dict, "virtual-size", (int64_t)part->capacity);
    cli_qdict_add_text(dict, "filename", part->file);
    if (part->cluster_size)
        cli_qdict_add_number(dict, "cluster-size", (int64_t)part->cluster_size);
    cli_qdict_add_text(dict, "format", part->kind);
    return dict;
}

static CliQdict *list_of(const GPtrArray *items, CliQdict *(*dict_of)(gconstpointer item))
{
    CliQdict *list = cli_qlist_new();

    for (guint i = 0; i < items->len; i++)
        cli_qdict_add(list, NULL, dict_of(g_ptr_array_index(items, i)));
    return list;
}

static void add_qcow2(CliQdict *dict, const CliImageDescription *shown)
{
    const CstImageInfo *info = &shown->info;
    gboolean is_v3 = strcmp(info->compat, "1.1") == 0;

    cli_qdict_add_text(dict, "compat", info->compat);
    cli_qdict_add_text(dict, "compression-type", info->compression);
    cli_qdict_add_number(dict, "refcount-bits", info->refcount_bits);
    if (!is_v3)
        return;
    cli_qdict_add_bool(dict, "lazy-refcounts", info->lazy_refcounts);
    cli_qdict_add_bool(dict, "corrupt", info->marked_corrupt);
    cli_qdict_add_bool(dict, "extended-l2", info->extended_l2);
    if (info->data_file) {
        cli_qdict_add_text(dict, "data-file", *info->data_file ? info->data_file : NULL);
        cli_qdict_add_bool(dict, "data-file-raw", info->data_file_raw);
    }
    if (shown->bitmaps && shown->bitmaps->len > 0)
        cli_qdict_add(dict, "bitmaps", list_of(shown->bitmaps, bitmap_dict));
}

static void add_vmdk(CliQdict *dict, const CliImageDescription *shown)
{
    cli_qdict_add_text(dict, "create-type", shown->info.subformat);
    cli_qdict_add_number(dict, "cid", shown->info.cid);
    cli_qdict_add_number(dict, "parent-cid", shown->info.parent_cid);
    if (shown->parts && shown->parts->len > 0)
        cli_qdict_add(dict, "extents", list_of(shown->parts, part_dict));
}

CliQdict *cli_image_specific_dict(const CliImageDescription *shown)
{
    CliQdict *dict;

    if (!shown->info.compat && !shown->info.has_cid)
        return NULL;
    dict = cli_qdict_new();
    if (shown->info.compat)
        add_qcow2(dict, shown);
    else
        add_vmdk(dict, shown);
    return dict;
}

static CliQdict *snapshot_dict(gconstpointer item)
{
    const CstImageSnapshot *snapshot = item;
    CliQdict *dict = cli_qdict_new();

    cli_qdict_add_text(dict, "id", snapshot->id);
    cli_qdict_add_text(dict, "name", snapshot->name);
    cli_qdict_add_number(dict, "vm-state-size", (int64_t)snapshot->state_size);
    cli_qdict_add_number(dict, "date-sec", (int64_t)snapshot->seconds);
    cli_qdict_add_number(dict, "date-nsec", snapshot->nanoseconds);
    cli_qdict_add_number(dict, "vm-clock-sec", (int64_t)(snapshot->clock / 1000000000));
    cli_qdict_add_number(dict, "vm-clock-nsec", (int64_t)(snapshot->clock % 1000000000));
    if (snapshot->has_icount)
        cli_qdict_add_number(dict, "icount", (int64_t)snapshot->icount);
    return dict;
}

static void add_backing(CliQdict *dict, const CliImageDescription *shown)
{
    g_autofree char *backing = cst_reference_shown(shown->info.backing);
    g_autofree char *full = shown->full_backing ? cst_reference_shown(shown->full_backing) : NULL;

    cli_qdict_add_text(dict, "backing-filename", backing);
    cli_qdict_add_text(dict, "full-backing-filename", full ? full : backing);
    cli_qdict_add_text(dict, "backing-filename-format", shown->info.backing_format);
}

CliQdict *cli_image_description_dict(const CliImageDescription *shown)
{
    const CstImageInfo *info = &shown->info;
    CliQdict *dict = cli_qdict_new(), *data = cli_image_specific_dict(shown);

    cli_qdict_add_text(dict, "filename", shown->path);
    cli_qdict_add_text(dict, "format", cst_image_format_name(info->format));
    cli_qdict_add_number(dict, "virtual-size", (int64_t)info->capacity);
    cli_qdict_add_number(dict, "actual-size", (int64_t)shown->disk_size);
    if (info->cluster_size)
        cli_qdict_add_number(dict, "cluster-size", (int64_t)info->cluster_size);
    if (info->encryption)
        cli_qdict_add_bool(dict, "encrypted", TRUE);
    cli_qdict_add_bool(dict, "dirty-flag", info->dirty);
    if (info->backing)
        add_backing(dict, shown);
    if (shown->snapshots && shown->snapshots->len > 0)
        cli_qdict_add(dict, "snapshots", list_of(shown->snapshots, snapshot_dict));
    if (data) {
        CliQdict *specific = cli_qdict_new();

        cli_qdict_add_text(specific, "type", cst_image_format_name(info->format));
        cli_qdict_add(specific, "data", data);
        cli_qdict_add(dict, "format-specific", specific);
    }
    return dict;
}
