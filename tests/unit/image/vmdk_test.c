/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* VMDK's own: several files, parents, layout, and images of the size of the format. */
#include "vmdk_images.h"

#include <blob/fault.h>
#include <blob/sparse.h>

/* --- layout ---------------------------------------------------------------------------------- */

static void both_copies_of_the_tables_change(void **state)
{
    g_autoptr(CstBlob) blob = five_grains();
    uint32_t table = get32(blob, get32(blob, AT_GD) * 512);
    uint32_t redundant = get32(blob, get32(blob, AT_RGD) * 512);

    assert_int_not_equal(table, redundant);
    for (uint32_t i = 0; i < 5; i++) {
        /* written from the last to the first, one after the other */
        uint32_t place = get32(blob, AT_OVERHEAD) + (4 - i) * GRAIN / 512;

        assert_int_equal(get32(blob, table * 512 + i * 4), place);
        assert_int_equal(get32(blob, redundant * 512 + i * 4), place);
    }
    assert_clean(blob);
    assert_int_equal(check(blob, 0).allocated_clusters, 5);
}

static uint32_t content_id(CstBlob *blob)
{
    char text[200] = "";

    assert_true(cst_blob_pread(blob, text, sizeof(text) - 1, 512, NULL));
    return (uint32_t)strtoul(strstr(text, "\nCID=") + 5, NULL, 16);
}

static void the_content_id_changes_once_with_the_first_write(void **state)
{
    g_autoptr(CstBlob) blob = create(CST_MIB, NULL);
    uint32_t before = content_id(blob), after;
    g_autoptr(CstBlob) guest = open_guest(blob);

    assert_int_equal(content_id(blob), before);
    mark(guest, 1);
    after = content_id(blob);
    assert_int_not_equal(after, before);
    mark(guest, 2);
    assert_int_equal(content_id(blob), after);
}

/* Programs of VMware go by the geometry: whole cylinders of so many heads and sectors. */
static void the_geometry_follows_the_adapter(void **state)
{
    static const struct {
        const char *adapter;
        unsigned heads;
    } adapters[] = {{"ide", 16}, {"lsilogic", 255}, {"buslogic", 255}, {"legacyESX", 255}};
    const uint64_t capacity = 10 * CST_GIB;

    for (size_t i = 0; i < G_N_ELEMENTS(adapters); i++) {
        const CstImageCreate options = {.capacity = capacity, .adapter_type = adapters[i].adapter};
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
        g_autofree char *wanted =
            g_strdup_printf("ddb.geometry.cylinders = \"%u\"\nddb.geometry.heads = \"%u\"\n"
                            "ddb.geometry.sectors = \"63\"\nddb.adapterType = \"%s\"\n",
                            (unsigned)(capacity / 512 / adapters[i].heads / 63), adapters[i].heads,
                            adapters[i].adapter);
        char text[2048] = "";

        assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
        assert_true(cst_blob_pread(blob, text, sizeof(text) - 1, 512, NULL));
        assert_non_null(strstr(text, wanted));
    }
}

/* A directory may end the file. It must not be cut off, and must not reach over the end. */
static void a_directory_ends_with_the_file_at_most(void **state)
{
    static const struct {
        unsigned bytes, sectors_behind;
    } ends[] = {{4, 0}, {3, 0}, {0, 0}, {4, 1}, {4, 1000}};

    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_autoptr(CstBlob) blob = five_grains();
        uint32_t table = get32(blob, get32(blob, AT_GD) * 512);
        g_autoptr(CstBlob) guest = NULL;
        CstImage *image;
        uint64_t size = 0;

        assert_true(cst_blob_get_size(blob, &size, NULL));
        assert_int_equal(size % 512, 0);
        assert_true(cst_blob_pwrite(blob, &table, ends[i].bytes, size, NULL));
        put32(blob, AT_GD, (uint32_t)(size / 512) + ends[i].sectors_behind);
        image = cst_image_open(blob, vmdk(), 0, NULL, NULL);
        assert_int_equal(image != NULL, i == 0);
        guest = image ? cst_image_guest_blob(image) : NULL;
        assert_true(!guest || is_marked(guest, 4));
    }
}

static void sizes_around_the_ends_of_tables_work(void **state)
{
    const uint64_t table = UINT64_C(512) * GRAIN, directory = 128 * table;
    const uint64_t sizes[] = {512,         GRAIN - 512, GRAIN + 512,     table - 512,      table,
                              table + 512, directory,   directory + 512, 3 * CST_TIB + 512};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const CstImageCreate options = {.capacity = sizes[i]};
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
        g_autoptr(CstBlob) guest = NULL;
        char end[3] = "";

        assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
        guest = open_guest(blob);
        assert_true(cst_blob_pwrite(guest, "end", 3, sizes[i] - 3, NULL));
        assert_true(cst_blob_flush(guest, NULL));
        assert_true(cst_blob_pread(guest, end, 3, sizes[i] - 3, NULL));
        assert_memory_equal(end, "end", 3);
        assert_clean(blob);
        assert_true(cst_blob_sparse_used(blob) < 4 * CST_MIB);
    }
}

static void holes_of_many_terabytes_are_few_extents(void **state)
{
    const CstImageCreate options = {.capacity = 3 * CST_TIB};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;
    unsigned count = 0;

    assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
    guest = open_guest(blob);
    for (uint64_t at = 0; at < options.capacity; count++) {
        CstExtent extent;

        assert_true(cst_blob_extent(guest, at, options.capacity - at, &extent, NULL));
        assert_true(extent.flags & CST_EXTENT_ZERO);
        at += extent.length;
    }
    assert_true(count < 100);
}

/* Sector numbers have 32 bits. */
static void a_full_file_is_reported(void **state)
{
    const CstImageCreate options = {.capacity = CST_MIB};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
    assert_true(cst_blob_resize(blob, 2 * CST_TIB - GRAIN, NULL));
    guest = open_guest(blob);
    assert_true(cst_blob_pwrite(guest, "x", 1, 0, NULL));
    assert_false(cst_blob_pwrite(guest, "x", 1, GRAIN, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT));
    assert_true(cst_blob_flush(guest, NULL));
    assert_clean(blob);
}

static void bad_options_are_refused(void **state)
{
    g_autofree char *long_name = g_strnfill(20000, 'n');
    const CstImageCreate bad[] = {
        {.subformat = "vmfsSparse"},
        {.adapter_type = "nvme"},
        {.cluster_size = 4096},
        {.cluster_size = 3 * 8192},
        {.cluster_size = 2 * CST_MIB},
        {.subformat = "monolithicFlat", .cluster_size = 65536},
        {.subformat = "monolithicFlat"}, /* without callbacks that create files */
        {.subformat = "streamOptimized", .preallocation = CST_PREALLOC_FULL},
        {.backing = "base", .backing_format = "vmdk"}, /* its content ID is unknown */
        {.backing = "base", .backing_format = "raw"},
        {.capacity = G_MAXINT64 - 511},
        {.subformat = "streamOptimized", .capacity = G_MAXINT64 - 511},
        {.subformat = "streamOptimized", .capacity = CST_MIB, .file_name = long_name},
        {.compat = "1.1"},
    };
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        if (cst_image_create(blob, vmdk(), &bad[i], NULL, NULL))
            fail_msg("case %zu passed", i);
}

/* --- zeroed grains ---------------------------------------------------------------------------- */

static void zeroed_grains_hide_the_parent_where_the_header_allows_them(void **state)
{
    g_autoptr(CstBlob) blob = five_grains();
    uint32_t table = get32(blob, get32(blob, AT_GD) * 512);
    g_autoptr(CstBlob) guest = NULL;
    uint8_t seen = 9;

    put32(blob, table * 512, 1);
    put32(blob, get32(blob, get32(blob, AT_RGD) * 512) * 512, 1);
    assert_true(check(blob, 0).errors > 0); /* a pointer to the first sector */
    put32(blob, AT_FLAGS, get32(blob, AT_FLAGS) | 4);
    put32(blob, AT_VERSION, 2);
    assert_int_equal(check(blob, 0).errors, 0);
    guest = open_guest(blob);
    assert_true(cst_blob_pread(guest, &seen, 1, 0, NULL));
    assert_int_equal(seen, 0);
    mark(guest, 0);
    assert_true(is_marked(guest, 0));
    assert_true(is_marked(guest, 4));
}

/* --- parents ---------------------------------------------------------------------------------- */

static void a_child_shows_its_parent_and_grows_without_it(void **state)
{
    g_autoptr(CstBlob) parent = five_grains();
    g_autoptr(CstBlob) parent_guest = open_guest(parent);
    g_autoptr(CstBlob) child = create_child(parent_guest, 3 * GRAIN + 512);
    CstImage *image = cst_image_open(child, vmdk(), CST_IMAGE_WRITE, parent_guest, NULL);
    g_autoptr(CstBlob) guest = NULL;
    g_autofree uint8_t *zeroes = g_malloc(GRAIN);

    assert_non_null(image);
    assert_true(cst_image_resize(image, 5 * GRAIN, CST_PREALLOC_OFF, NULL, NULL));
    guest = cst_image_guest_blob(image);
    assert_true(is_marked(guest, 1));
    assert_true(cst_blob_pwrite(guest, "x", 1, 2 * GRAIN + 100, NULL)); /* filled up from it */
    assert_true(is_marked(guest, 2));
    assert_true(cst_blob_pread(guest, zeroes, GRAIN, 4 * GRAIN, NULL));
    assert_true(cst_bytes_are_zero(zeroes, GRAIN));
    assert_true(cst_blob_zero(guest, GRAIN, GRAIN, CST_ZERO_MAY_UNMAP, NULL));
    assert_true(cst_blob_pread(guest, zeroes, GRAIN, GRAIN, NULL));
    assert_true(cst_bytes_are_zero(zeroes, GRAIN));
    assert_true(cst_blob_flush(guest, NULL));
    assert_clean(child);
}

static void child_is_a_hole_after_the_end_of_its_parent(void **state)
{
    g_autoptr(CstBlob) parent = five_grains();
    g_autoptr(CstBlob) parent_guest = open_guest(parent);
    g_autoptr(CstBlob) child = create_child(parent_guest, 7 * GRAIN);
    g_autoptr(CstBlob) guest =
        cst_image_guest_blob(cst_image_open(child, vmdk(), 0, parent_guest, NULL));
    CstExtent extent;

    assert_true(cst_blob_extent(guest, 4 * GRAIN, 3 * GRAIN, &extent, NULL));
    assert_int_equal(extent.flags, 0);
    assert_int_equal(extent.length, GRAIN);
    assert_true(cst_blob_extent(guest, 5 * GRAIN, 2 * GRAIN, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_HOLE | CST_EXTENT_ZERO);
    assert_int_equal(extent.length, 2 * GRAIN);
}

static void a_parent_that_has_changed_is_refused(void **state)
{
    g_autoptr(CstBlob) parent = five_grains();
    g_autoptr(CstBlob) parent_guest = open_guest(parent);
    g_autoptr(CstBlob) child = create_child(parent_guest, 5 * GRAIN);
    g_autoptr(GError) error = NULL;

    mark(parent_guest, 0);
    assert_null(cst_image_open(child, vmdk(), 0, parent_guest, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_MISMATCH));
}

static void child_without_its_parent_shows_only_its_own_grains(void **state)
{
    g_autoptr(CstBlob) parent = five_grains();
    g_autoptr(CstBlob) parent_guest = open_guest(parent);
    g_autoptr(CstBlob) child = create_child(parent_guest, 5 * GRAIN);
    g_autoptr(CstBlob) guest = open_guest(child);
    g_autofree uint8_t *buf = g_malloc0(GRAIN);

    assert_false(cst_blob_pread(guest, buf, 512, 0, NULL));
    assert_false(cst_blob_pwrite(guest, buf, 512, 0, NULL));
    assert_true(cst_blob_pwrite(guest, buf, GRAIN, GRAIN, NULL));
    assert_true(cst_blob_pread(guest, buf, GRAIN, GRAIN, NULL));
}

/* --- several files ---------------------------------------------------------------------------- */

static void image_of_several_files_opens_and_grows_them(void **state)
{
    g_autoptr(GHashTable) directory = directory_new();
    const CstImageFiles files = directory_files(directory);
    const CstImageCreate options = {.capacity = 3 * CST_GIB,
                                    .subformat = "twoGbMaxExtentSparse",
                                    .files = &files,
                                    .file_name = "disk.vmdk"};
    const CstImageOpen how = {.flags = CST_IMAGE_WRITE, .files = &files};
    const uint64_t border = 2047 * CST_MIB;
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);
    g_autoptr(CstBlob) guest = NULL;
    CstImage *image;
    char seen[6] = "";

    assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
    assert_int_equal(g_hash_table_size(directory), 2);
    assert_true(g_hash_table_contains(directory, "disk-s001.vmdk"));
    assert_true(g_hash_table_contains(directory, "disk-s002.vmdk"));
    image = cst_image_open_as(blob, vmdk(), &how, NULL);
    assert_true(cst_image_resize(image, 5 * CST_GIB, CST_PREALLOC_OFF, NULL, NULL));
    assert_true(g_hash_table_contains(directory, "disk-s003.vmdk"));
    assert_false(cst_image_resize(image, CST_GIB, CST_PREALLOC_OFF, NULL, NULL));
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pwrite(guest, "border", 6, border - 3, NULL));
    assert_true(cst_blob_pwrite(guest, "end", 3, 5 * CST_GIB - 3, NULL));
    g_clear_pointer(&guest, cst_blob_unref);
    guest = cst_image_guest_blob(cst_image_open_as(blob, vmdk(), &how, NULL));
    assert_true(cst_blob_pread(guest, seen, 6, border - 3, NULL));
    assert_memory_equal(seen, "border", 6);
    assert_true(cst_blob_pread(guest, seen, 3, 5 * CST_GIB - 3, NULL));
    assert_memory_equal(seen, "end", 3);
}

/* CVE-2022-47951: a descriptor that names any file of the host. */
static void extents_are_asked_for_by_plain_names_only(void **state)
{
    static const char *const names[] = {"/etc/passwd", "../x", "..", ".", "a/b", "", "x\ty"};
    g_autoptr(GHashTable) directory = directory_new();
    const CstImageFiles files = directory_files(directory);
    const CstImageOpen how = {.files = &files};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(CstBlob) blob = text_of("RW 1 FLAT \"%s\" 0\n", names[i]);

        g_hash_table_insert(directory, g_strdup(names[i]), cst_blob_memory_new(NULL, 512));
        if (cst_image_open_as(blob, vmdk(), &how, NULL))
            fail_msg("'%s' was opened", names[i]);
    }
    g_hash_table_insert(directory, g_strdup("x"), cst_blob_memory_new(NULL, 512));
    assert_opens(text_of("RW 1 FLAT \"%s\" 0\n", "x"), &how, TRUE);
    assert_opens(text_of("RW 1 FLAT \"%s\" 0\n", "x"), &(CstImageOpen){0}, FALSE);
}

static void hostile_descriptors_are_refused(void **state)
{
    static const char *const lines[] = {
        "RW 2 FLAT \"x\" 0\n",                     /* longer than the file */
        "RW 1 FLAT \"x\" 1\n",                     /* beyond its end */
        "RW 1 FLAT \"x\" 18446744073709551615\n",  /* overflow */
        "RW 1 FLAT \"y\" 0\n",                     /* missing file */
        "RW 1 SPARSE \"x\"\n",                     /* no such header */
        "RW 1 SPARSE \"disk.vmdk\"\n",             /* itself */
        "RW 1 FLAT \"x\" 0\nRW 1 FLAT \"x\" 0\n",  /* twice */
        "RW 1 FLAT\n",                             /* nameless */
        "RW 1 VMFSRDM \"x\"\n",                    /* a device */
        "RW 1 FLAT \"x\" 0\nparentCID=12345678\n", /* nameless parent */
    };
    g_autoptr(GHashTable) directory = directory_new();
    const CstImageFiles files = directory_files(directory);
    const CstImageOpen how = {.files = &files};

    g_hash_table_insert(directory, g_strdup("x"), cst_blob_memory_new(NULL, 512));
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        CstBlob *blob = text_of("%s", lines[i]);
        CstImageCheck check;

        g_hash_table_insert(directory, g_strdup("disk.vmdk"), cst_blob_ref(blob));
        assert_true(!cst_image_check_as(blob, vmdk(), 0, &files, &check, NULL, NULL) ||
                    check.errors > 0 || strstr(lines[i], "parent"));
        assert_opens(blob, &how, FALSE);
    }
}

static void check_parts(CstBlob *blob, GHashTable *directory, unsigned flags, CstImageCheck *check)
{
    const CstImageFiles files = directory_files(directory);
    g_autoptr(GError) error = NULL;

    if (!cst_image_check_as(blob, vmdk(), flags, &files, check, NULL, &error))
        fail_msg("check: %s", error->message);
}

/* A grain of each extent of two is written, then entries of the tables are put beyond the end. */
static void extents_are_checked_and_repaired(void **state)
{
    g_autoptr(GHashTable) directory = directory_new();
    const CstImageFiles files = directory_files(directory);
    const CstImageCreate options = {.capacity = 3 * CST_GIB,
                                    .subformat = "twoGbMaxExtentSparse",
                                    .files = &files,
                                    .file_name = "disk.vmdk"};
    const CstImageOpen how = {.flags = CST_IMAGE_WRITE, .files = &files};
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);
    CstImageCheck check;

    assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(CstBlob) guest =
            cst_image_guest_blob(cst_image_open_as(blob, vmdk(), &how, NULL));

        assert_true(cst_blob_pwrite(guest, "x", 1, i * 2047 * CST_MIB, NULL));
    }
    check_parts(blob, directory, 0, &check);
    assert_int_equal(check.errors + check.leaks, 0);
    assert_int_equal(check.allocated_clusters, 2);
    assert_int_equal(check.total_clusters, 3 * CST_GIB / GRAIN);
    for (unsigned i = 0; i < 2; i++) {
        CstBlob *part = g_hash_table_lookup(directory, i ? "disk-s002.vmdk" : "disk-s001.vmdk");
        uint8_t place[4], far[4] = {0xff, 0xff, 0xff, 0x7f};

        assert_true(cst_blob_pread(part, place, 4, 56, NULL)); /* the directory's sector */
        assert_true(cst_blob_pread(part, place, 4, cst_le32(place) * UINT64_C(512), NULL));
        assert_true(cst_blob_pwrite(part, far, 4, cst_le32(place) * UINT64_C(512), NULL));
    }
    check_parts(blob, directory, 0, &check);
    assert_int_equal(check.errors, 2);
    check_parts(blob, directory, CST_CHECK_REPAIR_LEAKS | CST_CHECK_REPAIR_ALL, &check);
    assert_int_equal(check.errors_fixed, 2);
    check_parts(blob, directory, 0, &check);
    assert_int_equal(check.errors + check.leaks, 0);
    assert_false(cst_image_check(blob, vmdk(), 0, &check, NULL, NULL)); /* no callback */
}

static void plain_extents_that_are_too_short_are_errors(void **state)
{
    g_autoptr(GHashTable) directory = directory_new();
    const CstImageFiles files = directory_files(directory);
    const CstImageOpen how = {.files = &files};
    g_autoptr(CstBlob) blob =
        text_of("RW 4 FLAT \"%s\" 0\nRDONLY 4 FLAT \"y\" 0\nRW 9 ZERO\n", "x");
    CstImageCheck check;

    g_hash_table_insert(directory, g_strdup("x"), cst_blob_memory_new(NULL, 512));
    assert_false(cst_image_check_as(blob, vmdk(), 0, &files, &check, NULL, NULL)); /* no y */
    g_hash_table_insert(directory, g_strdup("y"), cst_blob_memory_new(NULL, 512));
    check_parts(blob, directory, 0, &check);
    assert_int_equal(check.errors, 2);
    check_parts(blob, directory, CST_CHECK_REPAIR_LEAKS, &check);
    assert_int_equal(check.errors_fixed, 0);
    check_parts(blob, directory, CST_CHECK_REPAIR_ALL, &check);
    assert_int_equal(check.errors, 2);
    assert_int_equal(check.errors_fixed, 1); /* the other file is read-only */
    g_hash_table_insert(directory, g_strdup("y"), cst_blob_memory_new(NULL, 2048));
    check_parts(blob, directory, 0, &check);
    assert_int_equal(check.errors, 0);
    assert_opens(cst_blob_ref(blob), &how, TRUE);
}

/* Only the last of several extents is truncated, if it is writable. No extent is removed. */
static void only_a_last_extent_that_may_change_is_cut(void **state)
{
    static const struct {
        const char *last;
        uint64_t sectors;
        gboolean done;
    } cases[] = {
        {"RW 4 FLAT \"x\" 4\n", 5, TRUE},
        {"RW 4 FLAT \"x\" 4\n", 3, FALSE},
        {"RDONLY 4 FLAT \"x\" 4\n", 5, FALSE},
        {"NOACCESS 4 FLAT \"x\" 4\n", 5, FALSE},
        {"RW 4 ZERO\n", 5, FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GHashTable) directory = directory_new();
        const CstImageFiles files = directory_files(directory);
        const CstImageOpen how = {.flags = CST_IMAGE_WRITE, .files = &files};
        g_autoptr(CstBlob) blob = text_of("RW 4 FLAT \"x\" 0\n%s", cases[i].last);
        CstBlob *extent = cst_blob_memory_new(NULL, 8 * 512);
        g_autoptr(GError) error = NULL;
        g_autoptr(CstImage) image = NULL;
        uint64_t size = 0;

        g_hash_table_insert(directory, g_strdup("x"), extent);
        image = cst_image_open_as(blob, vmdk(), &how, NULL);
        assert_int_equal(
            cst_image_resize(image, cases[i].sectors * 512, CST_PREALLOC_OFF, NULL, &error),
            cases[i].done);
        assert_true(cases[i].done || error->code == CST_ERROR_UNSUPPORTED);
        assert_int_equal(cst_image_capacity(image), (cases[i].done ? cases[i].sectors : 8) * 512);
        assert_true(cst_blob_get_size(extent, &size, NULL));
        assert_int_equal(size < 8 * 512, cases[i].done);
    }
}

static void extents_without_access_are_left_alone(void **state)
{
    g_autoptr(GHashTable) directory = directory_new();
    const CstImageFiles files = directory_files(directory);
    const CstImageOpen how = {.flags = CST_IMAGE_WRITE, .files = &files};
    g_autoptr(CstBlob) blob =
        text_of("RW 1 FLAT \"%s\" 0\nRDONLY 1 FLAT \"x\" 1\nNOACCESS 1 ZERO\nRW 1 ZERO\n", "x");
    g_autoptr(CstBlob) guest = NULL;
    CstImage *image;
    char byte = 9;

    g_hash_table_insert(directory, g_strdup("x"), cst_blob_memory_new(NULL, 1024));
    image = cst_image_open_as(blob, vmdk(), &how, NULL);
    assert_int_equal(cst_image_capacity(image), 4 * 512);
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pwrite(guest, "x", 1, 0, NULL));
    assert_false(cst_blob_pwrite(guest, "x", 1, 512, NULL));
    assert_true(cst_blob_pread(guest, &byte, 1, 512, NULL));
    assert_false(cst_blob_pread(guest, &byte, 1, 1024, NULL));
    byte = 9;
    assert_true(cst_blob_pread(guest, &byte, 1, 1536, NULL));
    assert_int_equal(byte, 0);
    assert_false(cst_blob_pwrite(guest, "x", 1, 1536, NULL));
}

/* --- streams ---------------------------------------------------------------------------------- */

static void a_stream_that_was_not_finished_is_refused(void **state)
{
    g_autoptr(CstBlob) blob = create(CST_MIB, "streamOptimized");
    g_autoptr(CstBlob) copy = NULL;
    g_autoptr(CstBlob) guest = open_guest(blob);
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *all = NULL;
    uint64_t size = 0;

    mark(guest, 3);
    assert_true(cst_blob_flush(guest, NULL));
    assert_clean(blob);
    assert_true(cst_blob_get_size(blob, &size, NULL));
    all = g_malloc(size);
    assert_true(cst_blob_pread(blob, all, size, 0, NULL));
    copy = cst_blob_memory_new(all, size - 512);
    assert_null(cst_image_open(copy, vmdk(), 0, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
}

static void reopened_stream_is_appended_to(void **state)
{
    g_autoptr(CstBlob) blob = create(CST_MIB, "streamOptimized");

    for (uint64_t i = 5; i-- > 0;) {
        g_autoptr(CstBlob) guest = open_guest(blob);

        mark(guest, i);
        assert_true(cst_blob_flush(guest, NULL));
    }
    for (uint64_t i = 0; i < 5; i++) {
        g_autoptr(CstBlob) guest = open_guest(blob);

        assert_true(is_marked(guest, i));
    }
    assert_clean(blob);
    assert_int_equal(check(blob, 0).compressed_clusters, 5);
}

/* More grains than may wait, from the last to the first. */
static void a_stream_written_backwards_is_right(void **state)
{
    enum { COUNT = 5000 };
    const CstImageCreate options = {
        .capacity = COUNT * 8192, .subformat = "streamOptimized", .cluster_size = 8192};
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);
    g_autoptr(CstBlob) guest = NULL;
    g_autofree uint8_t *buf = g_malloc(8192);

    assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
    guest = open_guest(blob);
    for (uint32_t i = COUNT; i-- > 0;) {
        memset(buf, (int)(i % 255 + 1), 8192);
        assert_true(cst_blob_pwrite(guest, buf, 8192, i * UINT64_C(8192), NULL));
    }
    assert_true(cst_blob_flush(guest, NULL));
    assert_clean(blob);
    for (uint32_t i = 0; i < COUNT; i += 7) {
        assert_true(cst_blob_pread(guest, buf, 8192, i * UINT64_C(8192), NULL));
        assert_int_equal(buf[i % 8192], i % 255 + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_copies_of_the_tables_change),
        cmocka_unit_test(the_content_id_changes_once_with_the_first_write),
        cmocka_unit_test(the_geometry_follows_the_adapter),
        cmocka_unit_test(a_directory_ends_with_the_file_at_most),
        cmocka_unit_test(sizes_around_the_ends_of_tables_work),
        cmocka_unit_test(holes_of_many_terabytes_are_few_extents),
        cmocka_unit_test(a_full_file_is_reported),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(zeroed_grains_hide_the_parent_where_the_header_allows_them),
        cmocka_unit_test(a_child_shows_its_parent_and_grows_without_it),
        cmocka_unit_test(child_is_a_hole_after_the_end_of_its_parent),
        cmocka_unit_test(a_parent_that_has_changed_is_refused),
        cmocka_unit_test(child_without_its_parent_shows_only_its_own_grains),
        cmocka_unit_test(image_of_several_files_opens_and_grows_them),
        cmocka_unit_test(extents_are_asked_for_by_plain_names_only),
        cmocka_unit_test(hostile_descriptors_are_refused),
        cmocka_unit_test(extents_are_checked_and_repaired),
        cmocka_unit_test(plain_extents_that_are_too_short_are_errors),
        cmocka_unit_test(only_a_last_extent_that_may_change_is_cut),
        cmocka_unit_test(extents_without_access_are_left_alone),
        cmocka_unit_test(a_stream_that_was_not_finished_is_refused),
        cmocka_unit_test(reopened_stream_is_appended_to),
        cmocka_unit_test(a_stream_written_backwards_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
