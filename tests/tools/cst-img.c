/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The image engine on a command line, for the differential tests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <image/bitmap.h>
#include <image/image.h>
#include <image/snapshot.h>

#include "images.h"

static G_NORETURN void die(GError *error)
{
    char *text = cst_error_text(error);

    fprintf(stderr, "cst-img: %s\n", text);
    g_free(text);
    g_error_free(error);
    exit(1);
}

static CstBlob *open_file(const char *path, gboolean writable, gboolean create)
{
    GError *error = NULL;
    CstBlob *blob = tool_file(path, writable, create, &error);

    if (!blob)
        die(error);
    return blob;
}

static const CstImageFormat *format_of(const char *name)
{
    GError *error = NULL;
    const CstImageFormat *format = cst_image_format_find(name, &error);

    if (!format)
        die(error);
    return format;
}

static CstImage *open_image(const char *path, const char *format, unsigned flags)
{
    GError *error = NULL;
    CstImage *image = tool_image(path, format, flags, &error);

    if (!image)
        die(error);
    return image;
}

static CstBlob *open_guest(const char *path, const char *format, unsigned flags)
{
    return cst_image_guest_blob(open_image(path, format, flags));
}

static int cmd_info(int argc, char **argv)
{
    g_autoptr(CstBlob) blob = open_file(argv[0], FALSE, FALSE);
    g_auto(CstImageInfo) info = {0};
    GError *error = NULL;

    if (!cst_image_inspect(blob, argc > 1 ? format_of(argv[1]) : NULL, &info, &error))
        die(error);
    printf("format=%s\ncapacity=%" G_GUINT64_FORMAT "\ncluster_size=%" G_GUINT64_FORMAT
           "\ncorrupt=%d\ndirty=%d\nlazy_refcounts=%d\nextended_l2=%d\nsnapshots=%u\n",
           cst_image_format_name(info.format), info.capacity, info.cluster_size, info.corrupt,
           info.dirty, info.lazy_refcounts, info.extended_l2, info.snapshots);
    printf("problem=%s\nbacking=%s\nbacking_format=%s\ndata_file=%s\nencryption=%s\ncompat=%s\n"
           "compression=%s\nsubformat=%s\n",
           info.problem ? info.problem : "", info.backing ? info.backing : "",
           info.backing_format ? info.backing_format : "", info.data_file ? info.data_file : "",
           info.encryption ? info.encryption : "", info.compat ? info.compat : "",
           info.compression ? info.compression : "", info.subformat ? info.subformat : "");
    return 0;
}

static void create(const char *format, CstBlob *blob, uint64_t capacity, int argc, char **argv)
{
    GError *error = NULL;

    if (!tool_create(format, blob, capacity, argc, argv, &error))
        die(error);
}

static int cmd_create(int argc, char **argv)
{
    g_autoptr(CstBlob) blob = open_file(argv[1], TRUE, TRUE);

    create(argv[0], blob, strtoull(argv[2], NULL, 0), argc - 3, argv + 3);
    return 0;
}

static int cmd_convert(int argc, char **argv)
{
    g_autoptr(CstBlob) src = open_guest(argv[1], argv[0], 0);
    g_autoptr(CstBlob) file = open_file(argv[3], TRUE, TRUE);
    g_autoptr(CstBlob) dst = NULL;
    GError *error = NULL;
    uint64_t size = 0;

    if (!cst_blob_get_size(src, &size, &error))
        die(error);
    create(argv[2], file, size, argc - 4, argv + 4);
    dst = open_guest(argv[3], argv[2], CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS);
    if (!cst_blob_copy(src, 0, dst, 0, size, CST_COPY_DST_ZERO, NULL, &error) ||
        !cst_blob_flush(dst, &error))
        die(error);
    return 0;
}

/* Compressing a range of units in each of several threads. */
typedef struct {
    CstBlob *src;
    CstImage *dst;
    uint64_t unit, size;
    gint next;
} Packing;

static void *pack_worker(void *data)
{
    Packing *packing = data;
    g_autofree uint8_t *buf = g_malloc(packing->unit);
    GError *error = NULL;

    for (;;) {
        uint64_t at = (uint64_t)g_atomic_int_add(&packing->next, 1) * packing->unit;
        size_t len = (size_t)MIN(packing->unit, packing->size - MIN(at, packing->size));

        if (len == 0)
            return NULL;
        if (!cst_blob_pread(packing->src, buf, len, at, &error))
            die(error);
        if (!cst_bytes_are_zero(buf, len) &&
            !cst_image_write_compressed(packing->dst, buf, len, at, &error))
            die(error);
    }
}

/* FORMAT FILE FORMAT NEW [OPTION=VALUE…]: as convert -c. */
static int cmd_pack(int argc, char **argv)
{
    g_autoptr(CstBlob) src = open_guest(argv[1], argv[0], 0);
    g_autoptr(CstBlob) file = open_file(argv[3], TRUE, TRUE);
    g_autoptr(CstImage) dst = NULL;
    Packing packing = {.src = src};
    GThread *threads[4];
    GError *error = NULL;

    if (!cst_blob_get_size(src, &packing.size, &error))
        die(error);
    create(argv[2], file, packing.size, argc - 4, argv + 4);
    dst = open_image(argv[3], argv[2], CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS);
    packing.dst = dst;
    packing.unit = cst_image_compression_unit(dst);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("pack", pack_worker, &packing);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    if (!cst_image_flush(dst, &error))
        die(error);
    return 0;
}

static int cmd_resize(int argc, char **argv)
{
    g_autoptr(CstImage) image = open_image(argv[1], argv[0], CST_IMAGE_WRITE);
    CstPreallocation preallocation = CST_PREALLOC_OFF;
    GError *error = NULL;

    if ((argc > 3 && !tool_preallocation(argv[3], &preallocation, &error)) ||
        !cst_image_resize(image, strtoull(argv[2], NULL, 0), preallocation, NULL, &error) ||
        !cst_image_flush(image, &error))
        die(error);
    return 0;
}

/* FORMAT FILE [leaks|all]: prints what is found; status 2 for errors that stay, 3 for leaks. */
static int cmd_check(int argc, char **argv)
{
    unsigned flags = 0;
    GError *error = NULL;
    CstImageCheck check;

    if (argc > 2)
        flags = strcmp(argv[2], "all") == 0 ? CST_CHECK_REPAIR_ALL : CST_CHECK_REPAIR_LEAKS;
    if (!tool_check(argv[1], argv[0], flags, &check, &error))
        die(error);
    if (check.errors > check.errors_fixed)
        return 2;
    return check.leaks > check.leaks_fixed ? 3 : 0;
}

/* FORMAT FILE list|(create|revert|delete NAME) */
static int cmd_snapshot(int argc, char **argv)
{
    gboolean list = strcmp(argv[2], "list") == 0, ok;
    g_autoptr(CstImage) image = open_image(argv[1], argv[0], list ? 0 : CST_IMAGE_WRITE);
    g_autoptr(GPtrArray) snapshots = NULL;
    GError *error = NULL;

    if (list) {
        snapshots = cst_image_snapshot_list(image, &error);
        if (!snapshots)
            die(error);
        for (guint i = 0; i < snapshots->len; i++) {
            const CstImageSnapshot *one = g_ptr_array_index(snapshots, i);

            printf("%s %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n",
                   one->id, one->name, one->seconds, one->state_size, one->capacity);
        }
        return 0;
    }
    if (argc < 4)
        exit(2);
    if (strcmp(argv[2], "create") == 0)
        ok = cst_image_snapshot_create(image, argv[3], NULL, &error);
    else if (strcmp(argv[2], "revert") == 0)
        ok = cst_image_snapshot_revert(image, argv[3], NULL, &error);
    else
        ok = cst_image_snapshot_delete(image, argv[3], NULL, &error);
    if (!ok || !cst_image_flush(image, &error))
        die(error);
    return 0;
}

static int list_bitmaps(CstImage *image)
{
    GError *error = NULL;
    g_autoptr(GPtrArray) bitmaps = cst_image_bitmap_list(image, &error);

    if (!bitmaps)
        die(error);
    for (guint i = 0; i < bitmaps->len; i++) {
        const CstImageBitmap *one = g_ptr_array_index(bitmaps, i);

        printf("%s %" G_GUINT64_FORMAT " %d %d\n", one->name, one->granularity, one->enabled,
               one->inconsistent);
    }
    return 0;
}

/* FORMAT FILE list | (add NAME GRANULARITY) | (remove|clear|enable|disable NAME) |
 * (merge NAME SOURCE [FILE]) */
static int cmd_bitmap(int argc, char **argv)
{
    gboolean list = strcmp(argv[2], "list") == 0, ok = FALSE;
    g_autoptr(CstImage) image = open_image(argv[1], argv[0], list ? 0 : CST_IMAGE_WRITE);
    const char *verb = argv[2], *name = argc > 3 ? argv[3] : "", *arg = argc > 4 ? argv[4] : "0";
    GError *error = NULL;

    if (list)
        return list_bitmaps(image);
    if (strcmp(verb, "add") == 0) {
        ok = cst_image_bitmap_add(image, name, strtoull(arg, NULL, 0), TRUE, &error);
    } else if (strcmp(verb, "remove") == 0) {
        ok = cst_image_bitmap_remove(image, name, &error);
    } else if (strcmp(verb, "clear") == 0) {
        ok = cst_image_bitmap_clear(image, name, &error);
    } else if (strcmp(verb, "merge") == 0) {
        g_autoptr(CstImage) other = argc > 5 ? open_image(argv[5], argv[0], 0) : NULL;

        ok = cst_image_bitmap_merge(image, name, other ? other : image, arg, &error);
    } else {
        ok = cst_image_bitmap_enable(image, name, strcmp(verb, "enable") == 0, &error);
    }
    if (!ok)
        die(error);
    return 0;
}

/* FORMAT FILE, then any number of (write|zero|unmap|discard|flush) OFFSET LENGTH BYTE. */
static int cmd_io(int argc, char **argv)
{
    g_autoptr(CstBlob) guest = open_guest(argv[1], argv[0], CST_IMAGE_WRITE);
    GError *error = NULL;

    for (int i = 2; i + 3 < argc; i += 4) {
        uint64_t offset = strtoull(argv[i + 1], NULL, 0), length = strtoull(argv[i + 2], NULL, 0);
        gboolean ok = FALSE;

        if (strcmp(argv[i], "write") == 0) {
            g_autofree char *buf = g_malloc(length);

            memset(buf, atoi(argv[i + 3]), length);
            ok = cst_blob_pwrite(guest, buf, length, offset, &error);
        } else if (strcmp(argv[i], "zero") == 0 || strcmp(argv[i], "unmap") == 0) {
            ok = cst_blob_zero(guest, offset, length, argv[i][0] == 'u' ? CST_ZERO_MAY_UNMAP : 0,
                               &error);
        } else if (strcmp(argv[i], "discard") == 0) {
            ok = cst_blob_discard(guest, offset, length, &error);
        } else if (strcmp(argv[i], "flush") == 0) {
            ok = cst_blob_flush(guest, &error);
        } else {
            exit(2);
        }
        if (!ok)
            die(error);
    }
    if (!cst_blob_flush(guest, &error))
        die(error);
    return 0;
}

static int cmd_map(int argc, char **argv)
{
    g_autoptr(CstBlob) guest = open_guest(argv[1], argv[0], 0);
    GError *error = NULL;
    uint64_t size = 0;

    if (!cst_blob_get_size(guest, &size, &error))
        die(error);
    for (uint64_t at = 0; at < size;) {
        CstExtent extent;

        if (!cst_blob_extent(guest, at, size - at, &extent, &error))
            die(error);
        printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %u\n", extent.offset, extent.length,
               extent.flags);
        at += extent.length;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int least;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"info", 1, cmd_info},       {"create", 3, cmd_create},
        {"convert", 4, cmd_convert}, {"resize", 3, cmd_resize},
        {"io", 2, cmd_io},           {"map", 2, cmd_map},
        {"check", 2, cmd_check},     {"snapshot", 3, cmd_snapshot},
        {"pack", 4, cmd_pack},       {"bitmap", 3, cmd_bitmap},
    };

    for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].least)
            return commands[i].run(argc - 2, argv + 2);
    fprintf(stderr,
            "usage: cst-img info|create|convert|resize|io|map|check|snapshot|pack|bitmap …\n");
    return 2;
}
