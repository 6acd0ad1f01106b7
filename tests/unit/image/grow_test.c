/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Images that grow until their tables have to move, or with preallocation, while a call fails. The
 * failure is reported, the disk is the old or the new one, and growing again works. Data that a
 * guest flushes afterwards are kept. A new format needs a new row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/image.h>

enum { BLOCKS = 5, WRITTEN = 3 };

typedef struct {
    const char *format;
    CstImageCreate options;
    uint64_t block, grown; /* bytes; the image has BLOCKS blocks at first */
    CstPreallocation preallocation;
} Variant;

static const Variant variants[] = {
    {"vdi", {0}, CST_MIB, 2 * CST_GIB, CST_PREALLOC_OFF},
    {"vpc", {0}, 2 * CST_MIB, 2 * CST_GIB, CST_PREALLOC_OFF},
    {"vhdx", {.block_size = CST_MIB}, CST_MIB, 300 * CST_GIB, CST_PREALLOC_OFF},
    {"vmdk", {0}, 64 * CST_KIB, 40 * CST_GIB, CST_PREALLOC_OFF},
    {"parallels", {.cluster_size = 4096}, 4096, 2000 * 4096, CST_PREALLOC_OFF},
    {"qcow", {0}, 4096, CST_GIB, CST_PREALLOC_OFF},
    {"vdi", {0}, CST_MIB, 7 * CST_MIB, CST_PREALLOC_METADATA},
    {"vpc", {0}, 2 * CST_MIB, 14 * CST_MIB, CST_PREALLOC_METADATA},
    {"vhdx", {.block_size = CST_MIB}, CST_MIB, 7 * CST_MIB, CST_PREALLOC_METADATA},
    {"parallels", {.cluster_size = 4096}, 4096, 7 * 4096, CST_PREALLOC_METADATA},
    {"qcow", {0}, 4096, 7 * 4096, CST_PREALLOC_METADATA},
    {"qed", {.cluster_size = 4096, .table_size = 1}, 4096, 7 * 4096, CST_PREALLOC_METADATA},
};

typedef struct {
    const Variant *variant;
    const CstImageFormat *format;
    CstBlob *blob;
    const char *content; /* the first byte of each of the first BLOCKS blocks */
} Disk;

static void fail_disk(const Disk *disk, CstFaultKind kind, guint nth, const char *what)
{
    fail_msg("%s to %" G_GUINT64_FORMAT ", fault %d %u: %s", disk->variant->format,
             disk->variant->grown, kind, nth, what);
}

static void disk_init(Disk *disk, const Variant *variant)
{
    CstImageCreate options = variant->options;
    g_autoptr(CstBlob) guest = NULL;

    *disk = (Disk){variant, cst_image_format_find(variant->format, NULL), cst_blob_sparse_new(0),
                   "abc\0\0"};
    options.capacity = BLOCKS * variant->block;
    assert_true(cst_image_create(disk->blob, disk->format, &options, NULL, NULL));
    guest =
        cst_image_guest_blob(cst_image_open(disk->blob, disk->format, CST_IMAGE_WRITE, NULL, NULL));
    for (uint64_t i = 0; i < WRITTEN; i++)
        assert_true(cst_blob_pwrite(guest, &disk->content[i], 1, i * variant->block, NULL));
}

static gboolean grow(const Disk *disk, CstImage *image, GError **error)
{
    return cst_image_resize(image, disk->variant->grown, disk->variant->preallocation, NULL,
                            error) &&
           cst_image_flush(image, error);
}

static gboolean grow_file(const Disk *disk, CstBlob *blob, GError **error)
{
    g_autoptr(CstImage) image = cst_image_open(blob, disk->format, CST_IMAGE_WRITE, NULL, error);

    return image && grow(disk, image, error);
}

/*
 * Grows the disk with a fault. With @at_once a failed resize is repeated before the image is
 * closed, and *ret_grown is set to its success.
 */
static gboolean grow_with_fault(const Disk *disk, CstBlob *fault, gboolean at_once,
                                gboolean *ret_struck, gboolean *ret_grown, GError **error)
{
    g_autoptr(CstImage) image = cst_image_open(fault, disk->format, CST_IMAGE_WRITE, NULL, error);
    gboolean done = image && grow(disk, image, error);

    /* closing cannot report a failure */
    *ret_struck = cst_blob_fault_struck(fault);
    *ret_grown = done || (image && at_once && grow(disk, image, NULL));
    return done;
}

static const char *look_at_guest(const Disk *disk, CstBlob *blob, gboolean done)
{
    uint64_t size = 0, block = disk->variant->block;
    g_autoptr(CstBlob) guest = NULL;
    CstImage *image = cst_image_open(blob, disk->format, 0, NULL, NULL);

    if (!image)
        return "it can't be opened";
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_get_size(guest, &size, NULL));
    if (size != disk->variant->grown && (done || size != BLOCKS * block))
        return "the size is neither the old nor the new one";
    for (uint64_t at = 0; at < size; at += MAX(block, size / 8 / block * block)) {
        char seen = 'x', wanted = at / block < BLOCKS ? disk->content[at / block] : '\0';

        if (!cst_blob_pread(guest, &seen, 1, at, NULL) || seen != wanted)
            return "it shows something else";
    }
    return NULL;
}

static const char *judge(const Disk *disk, CstBlob *blob, gboolean done)
{
    /* closing may have failed, which is no error but of this format */
    uint64_t marked = strcmp(disk->variant->format, "parallels") == 0;
    CstImageCheck found = {0};

    if (!cst_image_check(blob, disk->format, 0, &found, NULL, NULL))
        return "it can't be checked";
    if (found.errors > marked)
        return "a check finds errors";
    return look_at_guest(disk, blob, done);
}

/* Whether the three written blocks and all added blocks are allocated. */
static gboolean all_is_allocated(const Disk *disk, CstBlob *blob)
{
    CstImageCheck found = {0};

    return disk->variant->preallocation == CST_PREALLOC_OFF ||
           (cst_image_check(blob, disk->format, 0, &found, NULL, NULL) &&
            found.allocated_clusters == WRITTEN + 2);
}

/* Returns FALSE if the resize makes fewer than @nth such calls. */
static gboolean play(const Disk *disk, CstFaultKind kind, guint nth, gboolean at_once)
{
    g_autoptr(CstBlob) inner = cst_blob_sparse_copy(disk->blob);
    g_autoptr(CstBlob) fault = cst_blob_fault_new(inner);
    g_autoptr(GError) error = NULL;
    gboolean done, struck = FALSE, grown = FALSE;
    const char *wrong;

    cst_blob_fault_arm(fault, kind, nth, CST_FAULT_ONCE);
    done = grow_with_fault(disk, fault, at_once, &struck, &grown, &error);
    if (done == struck || (!done && !g_error_matches(error, CST_ERROR, CST_ERROR_IO)))
        fail_disk(disk, kind, nth, done ? "it was not told" : error->message);
    wrong = judge(disk, inner, grown);
    if (!wrong && done && !all_is_allocated(disk, inner))
        wrong = "not all that was added has its space";
    if (!wrong && !done && !grow_file(disk, inner, NULL))
        wrong = "it can't be done again";
    if (!wrong)
        wrong = judge(disk, inner, TRUE);
    if (wrong)
        fail_disk(disk, kind, nth, wrong);
    return struck;
}

static gboolean play_both(const Disk *disk, CstFaultKind kind, guint nth)
{
    return play(disk, kind, nth, FALSE) && play(disk, kind, nth, TRUE);
}

/*
 * Runs @one for every format, with the nth call of each kind failing. @one returns FALSE after the
 * last call.
 */
static void play_all(gboolean (*one)(const Disk *disk, CstFaultKind kind, guint nth))
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        Disk disk;

        disk_init(&disk, &variants[i]);
        for (CstFaultKind kind = 0; kind < CST_FAULT_KINDS; kind++)
            for (guint nth = 1; one(&disk, kind, nth);)
                nth += 1 + nth / 8;
        cst_blob_unref(disk.blob);
    }
}

static void failure_while_tables_move_keeps_the_content(void **state)
{
    play_all(play_both);
}

/* A guest discards the first block, and writes to a block that has no place yet. */
static gboolean use_guest(const Disk *disk, CstBlob *guest)
{
    uint64_t block = disk->variant->block;

    return cst_blob_zero(guest, 0, block, CST_ZERO_MAY_UNMAP, NULL) &&
           cst_blob_pwrite(guest, "d", 1, WRITTEN * block, NULL) && cst_blob_flush(guest, NULL);
}

/* Returns FALSE if there are fewer such calls. The program ends without closing the image. */
static gboolean play_guest(const Disk *disk, CstFaultKind kind, guint nth)
{
    g_autoptr(CstBlob) inner = cst_blob_sparse_copy(disk->blob), left = NULL, guest = NULL;
    g_autoptr(CstBlob) fault = cst_blob_fault_new(inner);
    CstImage *image = cst_image_open(fault, disk->format, CST_IMAGE_WRITE, NULL, NULL);
    Disk used = *disk;
    const char *wrong;
    gboolean done;

    assert_non_null(image);
    cst_blob_fault_arm(fault, kind, nth, CST_FAULT_ONCE);
    done = grow(disk, image, NULL);
    guest = cst_image_guest_blob(image);
    if (done)
        return FALSE;
    if (!use_guest(disk, guest))
        fail_disk(disk, kind, nth, "it can't be written to");
    left = cst_blob_sparse_copy(inner);
    used.content = "\0bcd\0";
    wrong = judge(&used, left, FALSE);
    if (wrong)
        fail_disk(disk, kind, nth, wrong);
    return TRUE;
}

static void flush_of_a_guest_after_a_failure_is_durable(void **state)
{
    play_all(play_guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_while_tables_move_keeps_the_content),
        cmocka_unit_test(flush_of_a_guest_after_a_failure_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
