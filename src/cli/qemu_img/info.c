/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * info: the metadata of an image, or of each image of a chain. An image that cannot be described
 * fails the command, and no image of its chain is printed then.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <base/text.h>
#include <base/url.h>
#include <image/path.h>

#include "commands.h"
#include "commands/image/description.h"
#include "commands/image/qemu_json.h"
#include "file.h"
#include "formats.h"
#include "message.h"
#include "snapshots.h"

/** An image of the chain. */
typedef struct {
    CstBlob *blob;
    CliImageDescription shown;
} Layer;

static void layer_free(gpointer data)
{
    Layer *layer = data;

    cli_image_description_clear(&layer->shown);
    if (layer->blob)
        cst_blob_unref(layer->blob);
    g_free(layer);
}

static gboolean layer_read(CliQemuFile *file, unsigned flags, Layer *layer)
{
    const CstImageFormat *format = NULL;
    g_autoptr(GError) why = NULL;

    if (!cli_qemu_file_check(file, flags, &format))
        return FALSE;
    layer->blob = cst_blob_file_open(file->path, FALSE, &why);
    if (!layer->blob || !cli_image_describe(layer->blob, format, &layer->shown, &why))
        return cli_qemu_error("Could not open '%s': %s", file->name, why->message);
    layer->shown.info.capacity =
        cli_qemu_disk_size(layer->shown.info.format, layer->shown.info.capacity);
    return TRUE;
}

/* Sets *ret_next to the backing file of @layer; its path is NULL if there is none. */
static gboolean layer_next(const Layer *layer, CliQemuFile *ret_next)
{
    const CstImageInfo *info = &layer->shown.info;
    g_autoptr(GError) why = NULL;

    if (!info->backing)
        return TRUE;
    ret_next->path = cst_path_backing(layer->blob, info->backing, &why);
    ret_next->name = ret_next->path;
    ret_next->format = g_strdup(info->backing_format);
    return ret_next->path ||
           cli_qemu_error("Could not open '%s': Unknown protocol '%.*s'", info->backing,
                          (int)strcspn(info->backing, ":"), info->backing);
}

static gboolean chain_has_path(const GPtrArray *layers, const char *path)
{
    for (guint i = 0; i < layers->len; i++)
        if (strcmp(((Layer *)g_ptr_array_index(layers, i))->shown.path, path) == 0)
            return TRUE;
    return FALSE;
}

/* Reads the image, and its backing files if @all. Return: FALSE after a message. */
static gboolean read_layers(CliQemuFile *top, unsigned flags, gboolean all, GPtrArray *layers)
{
    g_auto(CliQemuFile) next = {0};
    CliQemuFile *file = top;

    do {
        Layer *layer = g_new0(Layer, 1);
        CliQemuFile following = {0};

        if (chain_has_path(layers, file->path)) {
            layer_free(layer);
            return cli_qemu_error("Backing file '%s' creates an infinite loop.", file->path);
        }
        g_ptr_array_add(layers, layer);
        if (!layer_read(file, flags, layer) || !layer_next(layer, &following)) {
            cli_qemu_file_clear(&following);
            return FALSE;
        }
        cli_qemu_file_clear(&next);
        next = following;
        file = &next;
    } while (all && file->path);
    return TRUE;
}

/* --- text ------------------------------------------------------------------------------------ */

static void print_backing(const CliImageDescription *shown)
{
    g_autofree char *backing = cst_reference_shown(shown->info.backing);
    g_autofree char *full = shown->full_backing ? cst_reference_shown(shown->full_backing) : NULL;
    g_autofree char *line = cst_text_format("backing file: %s", backing);

    fputs(line, stdout);
    if (full && strcmp(full, backing) != 0) {
        g_autofree char *actual = cst_text_format(" (actual path: %s)", full);

        fputs(actual, stdout);
    }
    fputc('\n', stdout);
    if (shown->info.backing_format) {
        g_autofree char *format = cst_text_escape(shown->info.backing_format);

        printf("backing file format: %s\n", format);
    }
}

static void print_head(const CliImageDescription *shown)
{
    const CstImageInfo *info = &shown->info;
    g_autofree char *path = cst_text_escape(shown->path);
    g_autofree char *capacity = cli_qemu_size_text(info->capacity);
    g_autofree char *disk = cli_qemu_size_text(shown->disk_size);

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRIu64 " bytes)\ndisk size: %s\n",
           path, cst_image_format_name(info->format), capacity, info->capacity, disk);
    if (info->encryption)
        printf("encrypted: yes\n");
    if (info->cluster_size)
        printf("cluster_size: %" PRIu64 "\n", info->cluster_size);
    if (info->dirty)
        printf("cleanly shut down: no\n");
}

static void print_text(const CliImageDescription *shown)
{
    g_autoptr(CliQdict) data = cli_image_specific_dict(shown);

    print_head(shown);
    if (shown->info.backing)
        print_backing(shown);
    if (shown->snapshots && shown->snapshots->len > 0) {
        printf("Snapshot list:\n");
        cli_qemu_print_snapshots(shown->snapshots);
    }
    if (data) {
        g_autofree char *text = cli_qdict_text(data, 1);

        printf("Format specific information:\n%s", text);
    }
}

/* --- the command ------------------------------------------------------------------------------ */

static void print_json(const GPtrArray *layers, gboolean all)
{
    g_autoptr(CliQdict) list = cli_qlist_new();

    if (!all) {
        g_autoptr(CliQdict) dict =
            cli_image_description_dict(&((Layer *)g_ptr_array_index(layers, 0))->shown);

        cli_qemu_json_print(stdout, dict);
        return;
    }
    for (guint i = 0; i < layers->len; i++)
        cli_qdict_add(list, NULL,
                      cli_image_description_dict(&((Layer *)g_ptr_array_index(layers, i))->shown));
    cli_qemu_json_print(stdout, list);
}

static int run_info(const CliQemuLine *line)
{
    g_autoptr(GPtrArray) layers = g_ptr_array_new_with_free_func(layer_free);
    unsigned flags = cli_qemu_has(line, 'U') ? CLI_QEMU_SHARE : 0;
    gboolean all = cli_qemu_has(line, QEMU_BACKING_CHAIN), json;
    g_auto(CliQemuFile) file = {0};

    if (line->count != 1)
        return !cli_qemu_usage("Expecting one image file name");
    if (!cli_qemu_output_is_json(line, &json) ||
        !cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !read_layers(&file, flags, all, layers))
        return 1;
    if (json) {
        print_json(layers, all);
        return 0;
    }
    for (guint i = 0; i < layers->len; i++) {
        if (i > 0)
            printf("\n");
        print_text(&((Layer *)g_ptr_array_index(layers, i))->shown);
    }
    return 0;
}

static const struct option info_names[] = {
    QEMU_NAME_HELP,        {"format", required_argument, NULL, 'f'},
    QEMU_NAME_OUTPUT,      {"backing-chain", no_argument, NULL, QEMU_BACKING_CHAIN},
    QEMU_NAME_OBJECT,      QEMU_NAME_IMAGE_OPTS,
    QEMU_NAME_FORCE_SHARE, {0},
};

const CliQemuCommand cli_qemu_info = {
    .name = "info",
    .letters = ":hf:U",
    .names = info_names,
    .usage = "[--image-opts] [-f FORMAT] [--output=human|json] [--backing-chain] [-U] FILE",
    .run = run_info,
};
