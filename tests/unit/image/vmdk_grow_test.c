/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * VMDK images with a separate descriptor. The descriptor never gives an extent more length than
 * the extent has on the disk.
 */
#include "../blob_size.h"
#include "vmdk_images.h"

#include <blob/fault.h>

enum { SECTORS = 4, LENGTH = SECTORS * 512 };

/** An image of two extents, "first" and "last", and storage that fails under any of its files. */
typedef struct {
    GHashTable *directory;
    CstBlob *text, *image; /* content of the descriptor's file, and the layer over it */
} Disk;

static CstBlob *file_of(const Disk *disk, const char *name)
{
    return strcmp(name, "text") == 0 ? disk->image : g_hash_table_lookup(disk->directory, name);
}

/* @access: to the first extent. */
static void disk_init(Disk *disk, const char *access)
{
    static const char *const names[] = {"first", "last"};

    disk->directory = directory_new();
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(CstBlob) inner = cst_blob_memory_new(NULL, LENGTH);

        g_hash_table_insert(disk->directory, g_strdup(names[i]), cst_blob_fault_new(inner));
    }
    disk->text = text_of("%s 4 FLAT \"first\" 0\nRW 4 FLAT \"last\" 0\n", access);
    disk->image = cst_blob_fault_new(disk->text);
}

static void disk_clear(Disk *disk)
{
    cst_blob_unref(disk->image);
    cst_blob_unref(disk->text);
    g_hash_table_unref(disk->directory);
}

static gboolean resize(const Disk *disk, uint64_t capacity, GError **error)
{
    const CstImageFiles files = directory_files(disk->directory);
    const CstImageOpen how = {.flags = CST_IMAGE_WRITE, .files = &files};
    g_autoptr(CstImage) image = cst_image_open_as(disk->image, vmdk(), &how, error);

    return image && cst_image_resize(image, capacity, CST_PREALLOC_OFF, NULL, error);
}

/* Compares the descriptor, whose content ID changes with each change. */
static void assert_names(const Disk *disk, const char *last)
{
    uint64_t len = size_of(disk->text);
    g_autofree char *text = g_malloc0(len + 1);

    assert_true(cst_blob_pread(disk->text, text, len, 0, NULL));
    assert_non_null(strstr(text, last));
}

/* The @nth flush of @name fails, and so does all that is changed in it afterwards. */
static void assert_refused(const char *name, unsigned nth, uint64_t capacity)
{
    g_autoptr(GError) error = NULL;
    Disk disk;

    disk_init(&disk, "RW");
    cst_blob_fault_arm(file_of(&disk, name), CST_FAULT_FLUSH, nth, CST_FAULT_CUT);
    assert_false(resize(&disk, capacity, &error));
    assert_int_equal(error->code, CST_ERROR_IO);
    if (capacity > 2 * LENGTH)
        assert_names(&disk, "\nRW 4 FLAT \"last\"");
    else
        assert_int_equal(size_of(file_of(&disk, "last")), LENGTH);
    disk_clear(&disk);
}

static void extents_are_on_the_disk_before_the_descriptor_names_them(void **state)
{
    assert_refused("first", 1, 3 * LENGTH);
    assert_refused("last", 1, 3 * LENGTH);
}

static void the_descriptor_is_on_the_disk_before_an_extent_is_cut(void **state)
{
    assert_refused("text", 1, LENGTH + 512); /* with the new content ID */
    assert_refused("text", 2, LENGTH + 512);
}

static void an_extent_that_is_only_read_is_not_flushed(void **state)
{
    Disk disk;

    disk_init(&disk, "RDONLY");
    cst_blob_fault_arm(file_of(&disk, "first"), CST_FAULT_FLUSH, 1, CST_FAULT_ONCE);
    assert_true(resize(&disk, 3 * LENGTH, NULL));
    assert_false(cst_blob_fault_struck(file_of(&disk, "first")));
    assert_int_equal(size_of(file_of(&disk, "first")), LENGTH);
    assert_int_equal(size_of(file_of(&disk, "last")), 2 * LENGTH);
    assert_names(&disk, "\nRW 8 FLAT \"last\"");
    disk_clear(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extents_are_on_the_disk_before_the_descriptor_names_them),
        cmocka_unit_test(the_descriptor_is_on_the_disk_before_an_extent_is_cut),
        cmocka_unit_test(an_extent_that_is_only_read_is_not_flushed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
