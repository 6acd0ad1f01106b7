/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Ranges changed since an internal snapshot, against a model: random writes, discards, resizes and
 * snapshots. Each byte that differs must lie in a reported range. Each reported range was written
 * to, discarded or resized. The same is tested with changes by QEMU's tools.
 */
#include <glib/gstdio.h>

#include <base/changed.h>
#include <blob/sparse.h>
#include <image/snapshot.h>

#include "qcow2_images.h"

#define MOST  (3u << 20)
#define STEPS 300
#define SLOTS 4 /* snapshots at a time */

/* --- the model -------------------------------------------------------------------------------- */

/* A content: its bytes, and for each cluster which step touched it last. */
typedef struct {
    uint64_t size;
    uint8_t *bytes;     /* MOST of them */
    unsigned *versions; /* one for each cluster of MOST bytes */
} Content;

typedef struct {
    CstBlob *blob;
    unsigned cluster;
    Content now, then[SLOTS];
    gboolean taken[SLOTS];
    unsigned step;
    GRand *chance;
    guint told;
} Model;

static guint clusters(const Model *model)
{
    return MOST / model->cluster;
}

static void content_new(const Model *model, Content *content)
{
    content->bytes = g_malloc0(MOST);
    content->versions = g_new0(unsigned, clusters(model));
}

static void content_free(Content *content)
{
    g_free(content->bytes);
    g_free(content->versions);
}

static void content_copy(const Model *model, Content *to, const Content *from)
{
    to->size = from->size;
    memcpy(to->bytes, from->bytes, MOST);
    memcpy(to->versions, from->versions, clusters(model) * sizeof(unsigned));
}

static void model_begin(Model *model, CstBlob *blob, unsigned cluster, uint64_t size, guint32 seed)
{
    *model = (Model){.blob = blob, .cluster = cluster, .chance = g_rand_new_with_seed(seed)};
    content_new(model, &model->now);
    model->now.size = size;
    for (int i = 0; i < SLOTS; i++)
        content_new(model, &model->then[i]);
}

static void model_end(Model *model)
{
    content_free(&model->now);
    for (int i = 0; i < SLOTS; i++)
        content_free(&model->then[i]);
    g_rand_free(model->chance);
}

static void touch(Model *model, uint64_t offset, uint64_t end)
{
    for (uint64_t at = offset / model->cluster; at * model->cluster < end; at++)
        model->now.versions[at] = model->step;
}

/*
 * --- the reported ranges
 * --------------------------------------------------------------------------
 */

static const char *const names[SLOTS] = {"a", "b", "c", "d"};

/*
 * Returns TRUE for each cluster that is reported, over as many calls as needed. *ret_pages is their
 * number.
 */
static gboolean *ask(Model *model, const char *since, const char *until, uint64_t size,
                     guint *ret_pages)
{
    g_autoptr(CstImage) image = open_image(model->blob, 0);
    gboolean *told = g_new0(gboolean, clusters(model));
    g_auto(CstChanged) changed = {.max = (guint)g_rand_int_range(model->chance, 1, 40)};
    uint64_t end = 0;

    *ret_pages = 0;
    do {
        g_autoptr(GError) error = NULL;

        if (!cst_image_changed(image, since, until, NULL, &changed, &error))
            fail_msg("%s", error->message);
        assert_int_equal(changed.capacity, size);
        assert_true(changed.ranges->len <= changed.max);
        assert_true(changed.next > changed.offset || changed.next == size);
        assert_true(changed.next <= size);
        for (guint i = 0; i < changed.ranges->len; i++) {
            CstRange range = g_array_index(changed.ranges, CstRange, i);

            assert_true(range.length > 0 && range.offset >= changed.offset);
            assert_true(i == 0 || range.offset > end);
            end = range.offset + range.length;
            assert_true(end <= changed.next);
            for (uint64_t at = range.offset / model->cluster; at * model->cluster < end; at++)
                told[at] = TRUE;
        }
        changed.offset = changed.next;
        ++*ret_pages;
    } while (changed.next < size);
    return told;
}

/* Asserts that each byte that differs is reported, and that no untouched cluster is reported. */
static void compare(Model *model, const Content *old, const Content *new, const char *since,
                    const char *until)
{
    guint pages;
    g_autofree gboolean *told = ask(model, since, until, new->size, &pages);

    for (guint i = 0; (uint64_t)i * model->cluster < new->size; i++) {
        uint64_t at = (uint64_t)i * model->cluster, end = MIN(at + model->cluster, new->size);
        gboolean differs =
            end > old->size || memcmp(old->bytes + at, new->bytes + at, end - at) != 0;
        gboolean touched = end > old->size || old->versions[i] != new->versions[i];

        if (differs && !told[i])
            fail_msg("step %u: cluster %u has changed since '%s' until '%s', and is not told",
                     model->step, i, since, until ? until : "now");
        if (told[i] && !touched)
            fail_msg("step %u: cluster %u was not touched since '%s' until '%s', and is told",
                     model->step, i, since, until ? until : "now");
        model->told += told[i];
    }
}

static void compare_all(Model *model)
{
    for (int i = 0; i < SLOTS; i++) {
        if (!model->taken[i])
            continue;
        compare(model, &model->then[i], &model->now, names[i], NULL);
        for (int j = 0; j < SLOTS; j++)
            if (model->taken[j])
                compare(model, &model->then[i], &model->then[j], names[i], names[j]);
    }
}

/* --- changes by our engine -------------------------------------------------------------------- */

/* Reads the guest's current content into the model. */
static void read_back(Model *model, CstBlob *guest)
{
    assert_true(cst_blob_pread(guest, model->now.bytes, model->now.size, 0, NULL));
}

static void change_guest(Model *model)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_image(model->blob, CST_IMAGE_WRITE));
    uint64_t offset = (uint64_t)g_rand_int_range(model->chance, 0, (gint32)model->now.size);
    uint64_t length = (uint64_t)g_rand_int_range(model->chance, 1, 5 * (gint32)model->cluster);
    g_autofree uint8_t *buf = NULL;

    length = MIN(length, model->now.size - offset);
    buf = g_malloc(length);
    memset(buf, g_rand_int_range(model->chance, 0, 256), length);
    switch (g_rand_int_range(model->chance, 0, 4)) {
    case 0: assert_true(cst_blob_zero(guest, offset, length, CST_ZERO_MAY_UNMAP, NULL)); break;
    case 1: assert_true(cst_blob_discard(guest, offset, length, NULL)); break;
    default: assert_true(cst_blob_pwrite(guest, buf, length, offset, NULL)); break;
    }
    touch(model, offset, offset + length);
    read_back(model, guest);
    assert_true(cst_blob_flush(guest, NULL));
}

static void pack(Model *model)
{
    g_autoptr(CstImage) image = open_image(model->blob, CST_IMAGE_WRITE);
    uint64_t unit = cst_image_compression_unit(image), offset;
    g_autofree uint8_t *buf = NULL;
    g_autoptr(CstBlob) guest = NULL;

    if (unit == 0 || model->now.size < unit)
        return;
    offset = (uint64_t)g_rand_int_range(model->chance, 0, (gint32)(model->now.size / unit)) * unit;
    buf = g_malloc(unit);
    memset(buf, g_rand_int_range(model->chance, 0, 256), unit);
    assert_true(cst_image_write_compressed(image, buf, unit, offset, NULL));
    touch(model, offset, offset + unit);
    guest = cst_image_guest_blob(g_steal_pointer(&image));
    read_back(model, guest);
    assert_true(cst_blob_flush(guest, NULL));
}

/* Images of version 2, and images with snapshots of older versions, refuse some sizes. */
static void resize(Model *model)
{
    g_autoptr(CstImage) image = open_image(model->blob, CST_IMAGE_WRITE);
    uint64_t size = (uint64_t)g_rand_int_range(model->chance, 1, MOST / 512) * 512;
    g_autoptr(CstBlob) guest = NULL;

    if (!cst_image_resize(image, size, CST_PREALLOC_OFF, NULL, NULL))
        return;
    touch(model, MIN(size, model->now.size), MAX(size, model->now.size));
    model->now.size = size;
    memset(model->now.bytes + size, 0, MOST - size);
    guest = cst_image_guest_blob(g_steal_pointer(&image));
    read_back(model, guest);
    assert_true(cst_blob_flush(guest, NULL));
}

/* Creates the snapshot if it does not exist, else deletes it or reverts to it. */
static void change_snapshots(Model *model)
{
    g_autoptr(CstImage) image = open_image(model->blob, CST_IMAGE_WRITE);
    int i = g_rand_int_range(model->chance, 0, SLOTS);

    if (!model->taken[i]) {
        assert_true(cst_image_snapshot_create(image, names[i], NULL, NULL));
        content_copy(model, &model->then[i], &model->now);
        model->taken[i] = TRUE;
    } else if (g_rand_boolean(model->chance)) {
        assert_true(cst_image_snapshot_delete(image, names[i], NULL, NULL));
        model->taken[i] = FALSE;
    } else {
        assert_true(cst_image_snapshot_revert(image, names[i], NULL, NULL));
        content_copy(model, &model->now, &model->then[i]);
    }
    assert_true(cst_image_flush(image, NULL));
}

static void take_step(Model *model)
{
    int what = g_rand_int_range(model->chance, 0, 20);

    model->step++;
    if (what < 3)
        change_snapshots(model);
    else if (what < 5)
        pack(model);
    else if (what == 5)
        resize(model);
    else
        change_guest(model);
}

static const CstImageCreate variants[] = {
    {.capacity = 1 << 20, .cluster_size = 4096},
    {.capacity = 1 << 20, .compat = "0.10", .cluster_size = 512},
    {.capacity = 1 << 20, .extended_l2 = TRUE, .cluster_size = 16384},
    {.capacity = (1 << 20) + 512, .cluster_size = 512, .refcount_bits = 64},
    {.capacity = 2 << 20},
};

static void changed_ranges_have_each_difference_and_no_untouched_cluster(void **state)
{
    for (guint i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
        unsigned cluster = variants[i].cluster_size ? (unsigned)variants[i].cluster_size : 65536;
        Model model;

        assert_true(cst_image_create(blob, qcow2(), &variants[i], NULL, NULL));
        model_begin(&model, blob, cluster, variants[i].capacity, 15 + i);
        for (unsigned step = 0; step < STEPS; step++) {
            take_step(&model);
            if (step % 5 == 0)
                compare_all(&model);
        }
        assert_true(model.told > 1000);
        assert_sound(blob, FALSE);
        model_end(&model);
    }
}

/* --- changes by QEMU's tools ------------------------------------------------------------------ */

/* Returns FALSE if qemu-io reports that it made no change. */
static gboolean G_GNUC_PRINTF(1, 2) tool(const char *format, ...)
{
    g_autofree char *line = NULL;
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    va_list args;
    int status = 0;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    assert_true(g_spawn_command_line_sync(line, &out, &err, &status, NULL));
    if (strstr(out, "failed"))
        return FALSE;
    if (status != 0)
        fail_msg("%s: %s%s", line, out, err);
    return TRUE;
}

/* Compressed data does not replace existing data. */
static void qemu_writes(Model *model, const char *path)
{
    static const char *const kinds[] = {"-z -u", "-z", "-c", "", "", ""};
    uint64_t offset = (uint64_t)g_rand_int_range(model->chance, 0, (gint32)model->now.size / 512);
    uint64_t length = (uint64_t)g_rand_int_range(model->chance, 1, (gint32)model->cluster / 100);
    int kind = g_rand_int_range(model->chance, 0, G_N_ELEMENTS(kinds));
    int byte = kind < 2 ? 0 : g_rand_int_range(model->chance, 1, 256);
    g_autofree char *pattern = byte ? g_strdup_printf("-P %d", byte) : g_strdup("");

    offset *= 512;
    length *= 512;
    if (kind == 2) {
        offset = offset / model->cluster * model->cluster;
        length = model->cluster;
    }
    length = MIN(length, model->now.size - offset);
    if (!tool("qemu-io -f qcow2 -c 'write %s %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "' %s",
              kinds[kind], pattern, offset, length, path)) {
        assert_int_equal(kind, 2);
        return;
    }
    memset(model->now.bytes + offset, byte, length);
    touch(model, offset, offset + length);
}

static void qemu_snapshots(Model *model, const char *path)
{
    int i = g_rand_int_range(model->chance, 0, SLOTS);

    if (!model->taken[i]) {
        assert_true(tool("qemu-img snapshot -c %s %s", names[i], path));
        content_copy(model, &model->then[i], &model->now);
        model->taken[i] = TRUE;
    } else if (g_rand_boolean(model->chance)) {
        assert_true(tool("qemu-img snapshot -d %s %s", names[i], path));
        model->taken[i] = FALSE;
    } else {
        assert_true(tool("qemu-img snapshot -a %s %s", names[i], path));
        content_copy(model, &model->now, &model->then[i]);
    }
}

/* QEMU only grows an image with snapshots, and only if it is not of version 2. */
static void qemu_grows(Model *model, const char *path)
{
    uint64_t size = model->now.size + 512 * (uint64_t)g_rand_int_range(model->chance, 1, 200);

    if (size > MOST)
        return;
    assert_true(tool("qemu-img resize -q -f qcow2 %s %" G_GUINT64_FORMAT, path, size));
    touch(model, model->now.size, size);
    model->now.size = size;
}

static void changes_by_qemu_are_reported(void **state)
{
    static const char *const options[] = {"cluster_size=4k", "compat=0.10,cluster_size=4k",
                                          "extended_l2=on,cluster_size=16k", "lazy_refcounts=on"};
    static const unsigned sizes[] = {4096, 4096, 16384, 65536};
    g_autofree char *tool_path = g_find_program_in_path("qemu-io");
    g_autofree char *dir = g_dir_make_tmp("changed-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "disk", NULL);

    if (!tool_path) {
        g_rmdir(dir);
        skip();
    }
    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autoptr(CstBlob) blob = NULL;
        Model model;

        assert_true(tool("qemu-img create -q -f qcow2 -o %s %s 1M", options[i], path));
        model_begin(&model, NULL, sizes[i], 1 << 20, 40 + i);
        for (unsigned step = 0; step < 60; step++) {
            int what = g_rand_int_range(model.chance, 0, 20);

            model.step++;
            if (what < 5)
                qemu_snapshots(&model, path);
            else if (what == 5 && !strstr(options[i], "0.10"))
                qemu_grows(&model, path);
            else
                qemu_writes(&model, path);
            if (step % 4 == 0) {
                g_clear_pointer(&blob, cst_blob_unref);
                model.blob = blob = cst_blob_file_open(path, FALSE, NULL);
                compare_all(&model);
            }
        }
        assert_true(model.told > 100);
        model_end(&model);
    }
    g_unlink(path);
    g_rmdir(dir);
}

/* --- cases ------------------------------------------------------------------------------------ */

static CstBlob *make(const CstImageCreate *options)
{
    CstBlob *blob = cst_blob_sparse_new(0);
    CstImage *image;

    assert_true(cst_image_create(blob, qcow2(), options, NULL, NULL));
    write_guest(blob, 0, 300000, 1);
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_true(cst_image_snapshot_create(image, "s", NULL, NULL));
    cst_image_free(image);
    return blob;
}

static void tell(CstBlob *blob, const char *since, CstChanged *changed)
{
    g_autoptr(CstImage) image = open_image(blob, 0);

    *changed = (CstChanged){.max = 100};
    assert_true(cst_image_changed(image, since, NULL, NULL, changed, NULL));
}

static void assert_fails(CstBlob *blob, const char *since, const char *until, int code)
{
    g_autoptr(CstImage) image = open_image(blob, 0);
    g_auto(CstChanged) changed = {.max = 100};
    g_autoptr(GError) error = NULL;

    assert_false(cst_image_changed(image, since, until, NULL, &changed, &error));
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("%s", error->message);
}

/* The id is the same; everything else that could be is, too, where there is no clock. */
static void a_snapshot_made_anew_is_another(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[0]);
    g_auto(CstChanged) first = {0}, renamed = {0}, second = {0};
    CstImage *image;

    tell(blob, "s", &first);
    assert_int_equal(first.ranges->len, 0);
    assert_string_not_equal(first.identity, "");
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_true(cst_image_snapshot_rename(image, "s", "t", NULL));
    cst_image_free(image);
    tell(blob, "t", &renamed);
    assert_string_equal(first.identity, renamed.identity);
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_true(cst_image_snapshot_delete(image, "t", NULL, NULL));
    assert_true(cst_image_snapshot_create(image, "s", NULL, NULL));
    cst_image_free(image);
    tell(blob, "s", &second);
    assert_string_not_equal(first.identity, second.identity);
}

static void missing_snapshot_or_format_without_snapshots_is_an_error(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[0]);
    g_autoptr(CstBlob) raw = cst_blob_memory_new(NULL, 1024);
    g_autoptr(CstImage) plain =
        cst_image_open(raw, cst_image_format_find("raw", NULL), 0, NULL, NULL);
    g_auto(CstChanged) changed = {.max = 1};
    g_autoptr(GError) error = NULL;

    assert_fails(blob, "none", NULL, CST_ERROR_NOT_FOUND);
    assert_fails(blob, "s", "none", CST_ERROR_NOT_FOUND);
    assert_false(cst_image_changed(plain, "s", NULL, NULL, &changed, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
}

/* The place of the snapshot's L1 table, and of its first L2 table. */
static uint64_t l1_of_snapshot(CstBlob *blob)
{
    return get64(blob, get64(blob, 64));
}

/* A hypervisor writes in place when the COPIED flag says that the cluster is not shared. */
static void shared_cluster_with_the_copied_flag_is_reported(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[0]);
    uint64_t active_l2, entry;
    g_auto(CstChanged) changed = {0};

    write_guest(blob, 40960, 1, 9); /* so that the active table is a copy */
    active_l2 = get64(blob, get64(blob, 40)) & UINT64_C(0x00fffffffffffe00);
    entry = get64(blob, active_l2 + 16);
    put64(blob, active_l2 + 16, entry | UINT64_C(1) << 63);
    tell(blob, "s", &changed);
    assert_int_equal(changed.ranges->len, 2);
    assert_int_equal(g_array_index(changed.ranges, CstRange, 0).offset, 8192);
    assert_int_equal(g_array_index(changed.ranges, CstRange, 0).length, 4096);
    assert_int_equal(g_array_index(changed.ranges, CstRange, 1).offset, 40960);
}

/* Of 64 tables two, the snapshot's and the one in use: the second snapshot found no flags to clear,
 * so it shares all tables with the image. */
static void tables_that_are_shared_are_not_read(void **state)
{
    const CstImageCreate options = {
        .capacity = 128 << 20, .cluster_size = 4096, .preallocation = CST_PREALLOC_METADATA};
    g_autoptr(CstBlob) blob = make(&options);
    g_autoptr(CstImage) image = NULL;
    g_auto(CstChanged) changed = {.max = 100};
    uint64_t before;

    image = open_image(blob, CST_IMAGE_WRITE);
    assert_true(cst_image_snapshot_create(image, "t", NULL, NULL));
    g_clear_pointer(&image, cst_image_free);
    write_guest(blob, 100 << 20, 1, 9);
    image = open_image(blob, 0);
    before = cst_blob_sparse_read(blob);
    assert_true(cst_image_changed(image, "t", NULL, NULL, &changed, NULL));
    assert_true(cst_blob_sparse_read(blob) - before < 100000);
    assert_int_equal(changed.ranges->len, 1);
    assert_int_equal(g_array_index(changed.ranges, CstRange, 0).offset, 100 << 20);
}

static void damage_is_no_answer(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[0]);
    uint64_t l1 = l1_of_snapshot(blob), entry = get64(blob, l1);

    put64(blob, l1, entry + 512);
    assert_fails(blob, "s", NULL, CST_ERROR_CORRUPT);
    put64(blob, l1, UINT64_C(1) << 50);
    assert_fails(blob, "s", NULL, CST_ERROR_CORRUPT);
    put64(blob, l1, entry);
    put32(blob, get64(blob, 64) + 8, 0x7fffffff); /* entries of the L1 table */
    assert_fails(blob, "s", NULL, CST_ERROR_CORRUPT);
}

static void it_can_be_cancelled(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[0]);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(CstImage) image = NULL;
    g_auto(CstChanged) changed = {.max = 1};
    g_autoptr(GError) error = NULL;

    write_guest(blob, 0, 1, 9);
    image = open_image(blob, 0);
    cst_task_cancel(task);
    assert_false(cst_image_changed(image, "s", NULL, task, &changed, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
}

/* Of an image that is based on another one, the snapshot alone is not the content. */
static void based_on_another_it_has_no_identity(void **state)
{
    const CstImageCreate options = {
        .capacity = 1 << 20, .backing = "base", .backing_format = "raw"};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) base = cst_blob_memory_new(NULL, 1 << 20);
    g_autoptr(CstImage) image = NULL;
    g_auto(CstChanged) changed = {.max = 100};

    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    image = cst_image_open(blob, qcow2(), CST_IMAGE_WRITE, base, NULL);
    assert_true(cst_image_snapshot_create(image, "s", NULL, NULL));
    assert_true(cst_image_changed(image, "s", NULL, NULL, &changed, NULL));
    assert_string_equal(changed.identity, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_ranges_have_each_difference_and_no_untouched_cluster),
        cmocka_unit_test(changes_by_qemu_are_reported),
        cmocka_unit_test(a_snapshot_made_anew_is_another),
        cmocka_unit_test(missing_snapshot_or_format_without_snapshots_is_an_error),
        cmocka_unit_test(shared_cluster_with_the_copied_flag_is_reported),
        cmocka_unit_test(tables_that_are_shared_are_not_read),
        cmocka_unit_test(damage_is_no_answer),
        cmocka_unit_test(it_can_be_cancelled),
        cmocka_unit_test(based_on_another_it_has_no_identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
