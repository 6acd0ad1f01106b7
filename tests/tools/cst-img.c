/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The image engine for the differential tests: a command on the command line, or with "serve" any
 * number of them from standard input, so that a test starts one process and not thousands. What
 * commands have leaked is then found when the process ends.
 *
 * A command comes as the directory to be in, the number of its words, and its words, each with a
 * zero byte behind it. The answer is a line "STATUS OUT ERR" and as many bytes as OUT and ERR say:
 * the exit status that the command would have had, what it printed, and what it complained of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <image/bitmap.h>
#include <image/image.h>
#include <image/snapshot.h>

#include "images.h"

/* A command's exit statuses; FAILED sets the error. */
enum { DONE = 0, FAILED = 1, ERRORS_STAY = 2, USAGE = 2, LEAKS_STAY = 3 };

static int done_if(gboolean ok)
{
    return ok ? DONE : FAILED;
}

static int cmd_info(int argc, char **argv, GError **error)
{
    const CstImageFormat *format = argc > 1 ? cst_image_format_find(argv[1], error) : NULL;
    g_autoptr(CstBlob) blob = NULL;
    g_auto(CstImageInfo) info = {0};

    if (argc > 1 && !format)
        return FAILED;
    blob = tool_file(argv[0], FALSE, FALSE, error);
    if (!blob || !cst_image_inspect(blob, format, &info, error))
        return FAILED;
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
    return DONE;
}

static int cmd_create(int argc, char **argv, GError **error)
{
    g_autoptr(CstBlob) blob = tool_file(argv[1], TRUE, TRUE, error);

    return done_if(
        blob && tool_create(argv[0], blob, strtoull(argv[2], NULL, 0), argc - 3, argv + 3, error));
}

/* FORMAT NEW [OPTION=VALUE…]: an image of the size of @src, opened to be filled. */
static CstImage *create_like(CstBlob *src, int argc, char **argv, uint64_t *ret_size,
                             GError **error)
{
    g_autoptr(CstBlob) file = tool_file(argv[1], TRUE, TRUE, error);

    if (!file || !cst_blob_get_size(src, ret_size, error) ||
        !tool_create(argv[0], file, *ret_size, argc - 2, argv + 2, error))
        return NULL;
    return tool_image(argv[1], argv[0], CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, error);
}

/* FORMAT FILE FORMAT NEW [OPTION=VALUE…] */
static int cmd_convert(int argc, char **argv, GError **error)
{
    g_autoptr(CstBlob) src = tool_guest(argv[1], argv[0], 0, error);
    g_autoptr(CstBlob) dst = NULL;
    uint64_t size = 0;
    CstImage *image = src ? create_like(src, argc - 2, argv + 2, &size, error) : NULL;

    if (!image)
        return FAILED;
    dst = cst_image_guest_blob(image);
    return done_if(cst_blob_copy(src, 0, dst, 0, size, CST_COPY_DST_ZERO, NULL, error) &&
                   cst_blob_flush(dst, error));
}

/* Compressing a range of units in each of several threads. */
typedef struct {
    CstBlob *src;
    CstImage *dst;
    uint64_t unit, size;
    gint next;
} Packing;

/* Returns the error that has ended it; NULL: all is done. */
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
            return error;
        if (!cst_bytes_are_zero(buf, len) &&
            !cst_image_write_compressed(packing->dst, buf, len, at, &error))
            return error;
    }
}

/* FORMAT FILE FORMAT NEW [OPTION=VALUE…]: as convert -c. */
static int cmd_pack(int argc, char **argv, GError **error)
{
    g_autoptr(CstBlob) src = tool_guest(argv[1], argv[0], 0, error);
    g_autoptr(CstImage) dst = NULL;
    Packing packing = {.src = src};
    GThread *threads[4];
    GError *first = NULL;

    if (src)
        dst = create_like(src, argc - 2, argv + 2, &packing.size, error);
    if (!dst)
        return FAILED;
    packing.dst = dst;
    packing.unit = cst_image_compression_unit(dst);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("pack", pack_worker, &packing);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        GError *one = g_thread_join(threads[i]);

        if (one && first)
            g_error_free(one);
        else if (one)
            first = one;
    }
    if (first) {
        g_propagate_error(error, first);
        return FAILED;
    }
    return done_if(cst_image_flush(dst, error));
}

static int cmd_resize(int argc, char **argv, GError **error)
{
    g_autoptr(CstImage) image = tool_image(argv[1], argv[0], CST_IMAGE_WRITE, error);
    CstPreallocation preallocation = CST_PREALLOC_OFF;

    return done_if(
        image && (argc <= 3 || tool_preallocation(argv[3], &preallocation, error)) &&
        cst_image_resize(image, strtoull(argv[2], NULL, 0), preallocation, NULL, error) &&
        cst_image_flush(image, error));
}

/* FORMAT FILE [leaks|all]: prints what is found. */
static int cmd_check(int argc, char **argv, GError **error)
{
    unsigned flags = 0;
    CstImageCheck check;

    if (argc > 2)
        flags = strcmp(argv[2], "all") == 0 ? CST_CHECK_REPAIR_ALL : CST_CHECK_REPAIR_LEAKS;
    if (!tool_check(argv[1], argv[0], flags, &check, error))
        return FAILED;
    if (check.errors > check.errors_fixed)
        return ERRORS_STAY;
    return check.leaks > check.leaks_fixed ? LEAKS_STAY : DONE;
}

static int list_snapshots(CstImage *image, GError **error)
{
    g_autoptr(GPtrArray) snapshots = cst_image_snapshot_list(image, error);

    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const CstImageSnapshot *one = g_ptr_array_index(snapshots, i);

        printf("%s %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", one->id,
               one->name, one->seconds, one->state_size, one->capacity);
    }
    return done_if(snapshots != NULL);
}

/* FORMAT FILE list|(create|revert|delete NAME) */
static int cmd_snapshot(int argc, char **argv, GError **error)
{
    gboolean list = strcmp(argv[2], "list") == 0, ok;
    g_autoptr(CstImage) image = tool_image(argv[1], argv[0], list ? 0 : CST_IMAGE_WRITE, error);

    if (!image)
        return FAILED;
    if (list)
        return list_snapshots(image, error);
    if (argc < 4)
        return USAGE;
    if (strcmp(argv[2], "create") == 0)
        ok = cst_image_snapshot_create(image, argv[3], NULL, error);
    else if (strcmp(argv[2], "revert") == 0)
        ok = cst_image_snapshot_revert(image, argv[3], NULL, error);
    else
        ok = cst_image_snapshot_delete(image, argv[3], NULL, error);
    return done_if(ok && cst_image_flush(image, error));
}

static int list_bitmaps(CstImage *image, GError **error)
{
    g_autoptr(GPtrArray) bitmaps = cst_image_bitmap_list(image, error);

    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const CstImageBitmap *one = g_ptr_array_index(bitmaps, i);

        printf("%s %" G_GUINT64_FORMAT " %d %d\n", one->name, one->granularity, one->enabled,
               one->inconsistent);
    }
    return done_if(bitmaps != NULL);
}

/* FORMAT FILE list | (add NAME GRANULARITY) | (remove|clear|enable|disable NAME) |
 * (merge NAME SOURCE [FILE]) */
static int cmd_bitmap(int argc, char **argv, GError **error)
{
    gboolean list = strcmp(argv[2], "list") == 0;
    g_autoptr(CstImage) image = tool_image(argv[1], argv[0], list ? 0 : CST_IMAGE_WRITE, error);
    g_autoptr(CstImage) other = NULL;
    const char *verb = argv[2], *name = argc > 3 ? argv[3] : "", *arg = argc > 4 ? argv[4] : "0";

    if (!image)
        return FAILED;
    if (list)
        return list_bitmaps(image, error);
    if (strcmp(verb, "add") == 0)
        return done_if(cst_image_bitmap_add(image, name, strtoull(arg, NULL, 0), TRUE, error));
    if (strcmp(verb, "remove") == 0)
        return done_if(cst_image_bitmap_remove(image, name, error));
    if (strcmp(verb, "clear") == 0)
        return done_if(cst_image_bitmap_clear(image, name, error));
    if (strcmp(verb, "merge") != 0)
        return done_if(cst_image_bitmap_enable(image, name, strcmp(verb, "enable") == 0, error));
    if (argc > 5) {
        other = tool_image(argv[5], argv[0], 0, error);
        if (!other)
            return FAILED;
    }
    return done_if(cst_image_bitmap_merge(image, name, other ? other : image, arg, error));
}

/* (write|zero|unmap|discard|flush) OFFSET LENGTH BYTE */
static int do_io(CstBlob *guest, char **argv, GError **error)
{
    uint64_t offset = strtoull(argv[1], NULL, 0), length = strtoull(argv[2], NULL, 0);

    if (strcmp(argv[0], "write") == 0) {
        g_autofree char *buf = g_malloc(length);

        memset(buf, atoi(argv[3]), length);
        return done_if(cst_blob_pwrite(guest, buf, length, offset, error));
    }
    if (strcmp(argv[0], "zero") == 0 || strcmp(argv[0], "unmap") == 0)
        return done_if(cst_blob_zero(guest, offset, length,
                                     argv[0][0] == 'u' ? CST_ZERO_MAY_UNMAP : 0, error));
    if (strcmp(argv[0], "discard") == 0)
        return done_if(cst_blob_discard(guest, offset, length, error));
    return strcmp(argv[0], "flush") == 0 ? done_if(cst_blob_flush(guest, error)) : USAGE;
}

/* FORMAT FILE, then any number of what do_io() takes. */
static int cmd_io(int argc, char **argv, GError **error)
{
    g_autoptr(CstBlob) guest = tool_guest(argv[1], argv[0], CST_IMAGE_WRITE, error);
    int status = guest ? DONE : FAILED;

    for (int i = 2; status == DONE && i + 3 < argc; i += 4)
        status = do_io(guest, argv + i, error);
    return status != DONE ? status : done_if(cst_blob_flush(guest, error));
}

static int cmd_map(int argc, char **argv, GError **error)
{
    g_autoptr(CstBlob) guest = tool_guest(argv[1], argv[0], 0, error);
    uint64_t size = 0;

    if (!guest || !cst_blob_get_size(guest, &size, error))
        return FAILED;
    for (uint64_t at = 0; at < size;) {
        CstExtent extent;

        if (!cst_blob_extent(guest, at, size - at, &extent, error))
            return FAILED;
        printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %u\n", extent.offset, extent.length,
               extent.flags);
        at += extent.length;
    }
    return DONE;
}

/* Runs a command and writes to @err what it complains of. */
static int run(int argc, char **argv, FILE *err)
{
    static const struct {
        const char *name;
        int least;
        int (*run)(int argc, char **argv, GError **error);
    } commands[] = {
        {"info", 1, cmd_info},       {"create", 3, cmd_create},
        {"convert", 4, cmd_convert}, {"resize", 3, cmd_resize},
        {"io", 2, cmd_io},           {"map", 2, cmd_map},
        {"check", 2, cmd_check},     {"snapshot", 3, cmd_snapshot},
        {"pack", 4, cmd_pack},       {"bitmap", 3, cmd_bitmap},
    };

    for (size_t i = 0; argc > 0 && i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;
        int status;

        if (strcmp(argv[0], commands[i].name) != 0 || argc - 1 < commands[i].least)
            continue;
        status = commands[i].run(argc - 1, argv + 1, &error);
        if (error) {
            text = cst_error_text(error);
            fprintf(err, "cst-img: %s\n", text);
        }
        return status;
    }
    fprintf(err, "usage: cst-img serve|info|create|convert|resize|io|map|check|snapshot|pack|"
                 "bitmap …\n");
    return USAGE;
}

/* The next word from standard input; NULL: there are no more. */
static char *next_word(void)
{
    char *word = NULL;
    size_t size = 0;

    if (getdelim(&word, &size, '\0', stdin) >= 0)
        return word;
    free(word);
    return NULL;
}

/* The words of the next command, whose directory this process is in then; NULL: there is none. */
static GPtrArray *next_command(void)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(free);

    for (int missing = 2; missing > 0; missing--) {
        char *word = next_word();

        if (!word)
            return NULL;
        g_ptr_array_add(words, word);
        if (words->len == 2)
            missing += atoi(word);
    }
    if (chdir(words->pdata[0]) != 0) {
        perror(words->pdata[0]);
        return NULL;
    }
    g_ptr_array_remove_range(words, 0, 2);
    return g_steal_pointer(&words);
}

static void answer(GPtrArray *words)
{
    FILE *pipe = stdout, *err;
    char *out_text = NULL, *err_text = NULL;
    size_t out_size = 0, err_size = 0;
    int status;

    stdout = open_memstream(&out_text, &out_size);
    err = open_memstream(&err_text, &err_size);
    status = run((int)words->len, (char **)words->pdata, err);
    fclose(stdout);
    fclose(err);
    stdout = pipe;
    printf("%d %zu %zu\n", status, out_size, err_size);
    fwrite(out_text, 1, out_size, stdout);
    fwrite(err_text, 1, err_size, stdout);
    fflush(stdout);
    free(out_text);
    free(err_text);
}

static int serve(void)
{
    GPtrArray *words;

    while ((words = next_command())) {
        answer(words);
        g_ptr_array_unref(words);
    }
    return done_if(feof(stdin) != 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        return serve();
    return run(argc - 1, argv + 1, stderr);
}
