/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <image/bitmap.h>
#include <image/snapshot.h>

#include "fault_case.h"
#include "same.h"

gboolean run_operation(Disk *disk, const Operation *operation, gboolean (*struck)(gpointer data),
                       gpointer data, gboolean *ret_before, GError **error)
{
    CstImage *image;
    gboolean done;

    if (operation->on_disk) {
        done = operation->on_disk(disk, error);
        *ret_before = struck && struck(data);
        return done;
    }
    image = open_image(disk, CST_IMAGE_WRITE, error);
    *ret_before = struck && struck(data);
    if (!image)
        return FALSE;
    if (operation->on_guest) {
        g_autoptr(CstBlob) guest = cst_image_guest_blob(image);

        done = operation->on_guest(guest, error) && cst_blob_flush(guest, error);
        *ret_before = struck && struck(data);
        return done;
    }
    done = operation->on_image(image, error) && cst_image_flush(image, error);
    *ret_before = struck && struck(data);
    cst_image_free(image);
    return done;
}

/*
 * --- views of the image --------------------------------------------------------------------------
 */

void fail_case(const Case *c, const char *what)
{
    const CstImageCreate *options = &c->variant->options;

    fail_msg("%s %s %u%s%s, %s, %s %u (%u): %s", c->variant->format,
             options->subformat ? options->subformat : "", (unsigned)options->cluster_size,
             options->lazy_refcounts ? " lazy" : "", options->backing ? " based" : "",
             c->operation->name, c->kind, c->nth, c->seed, what);
}

/* That a Parallels image was not closed is an error by itself, as QEMU counts. */
static uint64_t errors_to_expect(CstBlob *blob, const CstImageFormat *format)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, format, &info, NULL));
    return g_str_equal(cst_image_format_name(format), "parallels") && info.dirty ? 1 : 0;
}

/* The refcounts of an image that was not closed may be outdated. Its dirty bit records that. */
static void assert_sound(const Case *c, CstBlob *blob, const CstImageFormat *format)
{
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};
    g_autofree char *text = NULL;

    if (c->variant->options.lazy_refcounts)
        cst_image_check(blob, format, CST_CHECK_REPAIR_ALL, &found, NULL, NULL);
    if (!cst_image_check(blob, format, 0, &found, NULL, &error)) {
        if (!g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED))
            fail_case(c, error->message);
    } else if (found.errors > errors_to_expect(blob, format)) {
        text = g_strdup_printf("%u errors", (unsigned)found.errors);
        fail_case(c, text);
    }
}

/* Writes bitmaps, snapshots and options of the image as text. */
static void write_notes(Disk *disk, CstImage *image, View *view)
{
    g_autoptr(GPtrArray) bitmaps = cst_image_bitmap_list(image, NULL);
    g_autoptr(GPtrArray) snapshots = cst_image_snapshot_list(image, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(part_at(disk, 0)->shown, disk->format, &info, NULL));
    g_string_append_printf(text, "compat %s, %u bits;", info.compat, info.refcount_bits);
    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const CstImageBitmap *bitmap = g_ptr_array_index(bitmaps, i);

        g_string_append_printf(text, " bitmap %s %d %d", bitmap->name, bitmap->enabled,
                               bitmap->inconsistent);
    }
    for (guint i = 0; snapshots && i < snapshots->len; i++)
        g_string_append_printf(text, " snapshot %s",
                               ((const CstImageSnapshot *)g_ptr_array_index(snapshots, i))->name);
    assert_true(g_strlcpy(view->notes, text->str, sizeof(view->notes)) < sizeof(view->notes));
}

void look(const Case *c, Disk *disk, View *ret_view)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = open_image(disk, 0, &error);
    g_autoptr(GPtrArray) snapshots = NULL;
    g_autoptr(CstBlob) guest = NULL;

    if (!image)
        fail_case(c, error->message);
    memset(ret_view, 0, G_STRUCT_OFFSET(View, bytes));
    ret_view->size = cst_image_capacity(image);
    snapshots = cst_image_snapshot_list(image, NULL);
    ret_view->snapshots = snapshots ? snapshots->len : 0;
    write_notes(disk, image, ret_view);
    guest = cst_image_guest_blob(image);
    if (ret_view->size > GROWN)
        fail_case(c, "the size is neither the old nor the new one");
    if (!cst_blob_pread(guest, ret_view->bytes, ret_view->size, 0, &error))
        fail_case(c, error->message);
    memset(ret_view->bytes + ret_view->size, 0, GROWN - ret_view->size);
}

static gboolean is_free(const Operation *operation, uint64_t at)
{
    return operation->may_lose && at >= FROM && at < FROM + LENGTH;
}

gboolean is_same(const Operation *operation, const View *a, const View *b)
{
    if (a->size != b->size || a->snapshots != b->snapshots || strcmp(a->notes, b->notes) != 0)
        return FALSE;
    for (uint64_t at = 0; (at = next_difference(a->bytes, b->bytes, at, a->size)) < a->size; at++)
        if (!is_free(operation, at))
            return FALSE;
    return TRUE;
}

gboolean moves_its_only_mark(const Case *c)
{
    return c->operation->moves_end && strcmp(c->variant->format, "vpc") == 0 &&
           g_strcmp0(c->variant->options.subformat, "fixed") == 0;
}

/* Whether the capacity that was added to @old reads as zeroes. */
static gboolean reads_zero_behind(const Case *c, const View *seen, const View *old, const View *new)
{
    if (new->size <= old->size || seen->size != new->size ||
        (moves_its_only_mark(c) && strstr(c->kind, "last")))
        return TRUE;
    return memcmp(seen->bytes + old->size, new->bytes + old->size, new->size - old->size) == 0;
}

/* Of two states either, or where that is allowed some of both. */
static void assert_between(const Case *c, const View *seen, const View *old, const View *new)
{
    uint64_t common = MIN(MIN(old->size, new->size), seen->size);

    if (c->operation->at_once) {
        if (!is_same(c->operation, seen, old) && !is_same(c->operation, seen, new))
            fail_case(c, "it is neither as before nor as after");
        return;
    }
    if ((seen->size != old->size && seen->size != new->size) || seen->snapshots != old->snapshots)
        fail_case(c, "the size is neither the old nor the new one");
    for (uint64_t at = 0, next; at < common; at = next) {
        next = MAX(next_difference(seen->bytes, old->bytes, at, common),
                   next_difference(seen->bytes, new->bytes, at, common));
        if (next > at)
            continue;
        if (!is_free(c->operation, at))
            fail_case(c, "content was lost");
        next++;
    }
    if (!reads_zero_behind(c, seen, old, new))
        fail_case(c, "what was added does not read as zeroes");
}

/* A megabyte that each of thousands of cases fills. */
static View scratch;

void judge(const Case *c, Disk *disk, gboolean done, const View *old, const View *new)
{
    View *seen = &scratch;

    assert_sound(c, part_at(disk, 0)->shown, disk->format);
    look(c, disk, seen);
    if (done && !is_same(c->operation, seen, new))
        fail_case(c, "it was reported as done and is not");
    assert_between(c, seen, old, new);
}

void assert_can_go_on(const Case *c, Disk *disk, gboolean undone, const View *old, const View *new)
{
    View *seen = &scratch;
    g_autoptr(GError) error = NULL;
    gboolean before;

    look(c, disk, seen);
    if (c->operation->at_once && undone && !c->operation->late) {
        if (!is_same(c->operation, seen, old))
            fail_case(c, "it has failed and is done");
        return;
    }
    if (c->operation->at_once && is_same(c->operation, seen, new))
        return;
    if (!run_operation(disk, c->operation, NULL, NULL, &before, &error))
        fail_case(c, error->message);
    look(c, disk, seen);
    if (!is_same(c->operation, seen, new))
        fail_case(c, "it was done again, and the result is wrong");
}

/*
 * --- the initial image ---------------------------------------------------------------------------
 */

gboolean prepare(Disk *disk, const Operation *operation)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autoptr(CstBlob) guest = NULL;
    g_autoptr(GError) error = NULL;
    CstImage *image;

    disk_create(disk);
    image = open_image(disk, CST_IMAGE_WRITE, NULL);
    assert_non_null(image);
    if (operation->prepare && !operation->prepare(image, &error)) {
        cst_image_free(image);
        return FALSE;
    }
    guest = cst_image_guest_blob(image);
    memset(buf, OLD, SIZE);
    assert_true(cst_blob_pwrite(guest, buf, 200000, 0, NULL));
    assert_true(cst_blob_pwrite(guest, buf, 100000, 300000, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    return TRUE;
}

gboolean play_without_faults(const Case *c, const Disk *ground, const View *old, View *new)
{
    g_autoptr(GError) error = NULL;
    gboolean done, struck;
    Disk disk;

    disk_copy(ground, &disk);
    done = run_operation(&disk, c->operation, NULL, NULL, &struck, &error);
    if (done) {
        look(c, &disk, new);
        assert_sound(c, part_at(&disk, 0)->shown, disk.format);
        if (c->operation->model) {
            g_autofree View *wanted = g_memdup2(old, sizeof(View));

            c->operation->model(wanted);
            memset(wanted->bytes + MIN(wanted->size, old->size), 0,
                   GROWN - MIN(wanted->size, old->size));
            g_strlcpy(wanted->notes, new->notes, sizeof(wanted->notes));
            if (!is_same(c->operation, new, wanted))
                fail_case(c, "the result is wrong");
        }
    } else if (!g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        fail_case(c, error->message);
    }
    disk_clear(&disk);
    return done;
}
