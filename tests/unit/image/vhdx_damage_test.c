/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Images that lie (the classes of CVE-2014-0148: the block allocation table's bounds, sizes that
 * loop for ever), failing storage, and power cuts over a parent.
 *
 * A new image lies like this: headers at 64 and 128 KiB, region tables at 192 and 256 KiB, log at
 * 1 MiB, metadata at 2 MiB (items from 64 KiB on: file parameters, size, id, two sector sizes,
 * parent), block allocation table at 3 MiB, blocks from 4 MiB on.
 */
#include "bytes.h"
#include "vhdx_images.h"

enum {
    HEADER = 64 * 1024,
    REGIONS = 192 * 1024,
    METADATA = 2 * 1024 * 1024,
    ITEMS = METADATA + 64 * 1024,
    BAT = 3 * 1024 * 1024
};

/* Entries of tables. */
enum { REGION_BAT = 16, REGION_METADATA = 48 };
#define ITEM(n) (METADATA + 32 + (n)*32)

static void sign(CstBlob *blob, uint64_t offset, size_t len)
{
    g_autofree uint8_t *raw = g_malloc(len);

    assert_true(cst_blob_pread(blob, raw, len, offset, NULL));
    vhdx_checksum_set(raw, len);
    assert_true(cst_blob_pwrite(blob, raw, len, offset, NULL));
}

/* Writes to both headers, or to both region tables. The offset tells which. */
static void poke(CstBlob *blob, uint64_t offset, uint64_t value, unsigned len)
{
    uint8_t raw[8];

    cst_put_le64(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, len, offset, NULL));
    if (offset < REGIONS) {
        assert_true(cst_blob_pwrite(blob, raw, len, offset + 64 * 1024, NULL));
        sign(blob, HEADER, VHDX_HEADER_LEN);
        sign(blob, 2 * HEADER, VHDX_HEADER_LEN);
    } else if (offset < CST_MIB) {
        assert_true(cst_blob_pwrite(blob, raw, len, offset + VHDX_REGIONS_LEN, NULL));
        sign(blob, REGIONS, VHDX_REGIONS_LEN);
        sign(blob, REGIONS + VHDX_REGIONS_LEN, VHDX_REGIONS_LEN);
    }
}

typedef struct {
    const char *name;
    uint64_t offset, value;
    unsigned len;
    CstErrorCode code;
} Lie;

static const Lie lies[] = {
    {"version", HEADER + 66, 2, 2, CST_ERROR_UNSUPPORTED},
    {"log version", HEADER + 58, UINT64_C(1) << 48 | 1, 8, CST_ERROR_UNSUPPORTED},
    {"log offset 0", HEADER + 72, 0, 8, CST_ERROR_CORRUPT},
    {"log offset odd", HEADER + 72, CST_MIB + 4096, 8, CST_ERROR_CORRUPT},
    {"log offset far", HEADER + 72, UINT64_MAX / CST_MIB *CST_MIB, 8, CST_ERROR_CORRUPT},
    {"log length 0", HEADER + 68, 0, 4, CST_ERROR_CORRUPT},
    {"log length odd", HEADER + 68, 4096, 4, CST_ERROR_CORRUPT},
    {"log length huge", HEADER + 68, 0xfff00000u, 4, CST_ERROR_CORRUPT},
    {"log over metadata", HEADER + 68, 2 * CST_MIB, 4, CST_ERROR_CORRUPT},
    {"region count", REGIONS + 8, 2048, 4, CST_ERROR_CORRUPT},
    {"region count huge", REGIONS + 8, UINT32_MAX, 4, CST_ERROR_CORRUPT},
    {"no regions", REGIONS + 8, 0, 4, CST_ERROR_CORRUPT},
    {"a region missing", REGIONS + 8, 1, 4, CST_ERROR_CORRUPT},
    {"an empty third region", REGIONS + 8, 3, 4, CST_ERROR_CORRUPT},
    {"unknown required region", REGIONS + REGION_BAT, 1, 8, CST_ERROR_UNSUPPORTED},
    {"table in the header", REGIONS + REGION_BAT + 16, 0, 8, CST_ERROR_CORRUPT},
    {"table over the log", REGIONS + REGION_BAT + 16, CST_MIB, 8, CST_ERROR_CORRUPT},
    {"table over metadata", REGIONS + REGION_BAT + 16, 2 * CST_MIB, 8, CST_ERROR_CORRUPT},
    {"table odd", REGIONS + REGION_BAT + 16, 3 * CST_MIB + 512, 8, CST_ERROR_CORRUPT},
    {"table far", REGIONS + REGION_BAT + 16, UINT64_C(1) << 63, 8, CST_ERROR_CORRUPT},
    {"table empty", REGIONS + REGION_BAT + 24, 0, 4, CST_ERROR_CORRUPT},
    {"table past the end", REGIONS + REGION_BAT + 24, 512 * CST_MIB, 4, CST_ERROR_CORRUPT},
    {"metadata far", REGIONS + REGION_METADATA + 16, UINT64_C(1) << 62, 8, CST_ERROR_CORRUPT},
    {"metadata signature", METADATA, 0, 8, CST_ERROR_CORRUPT},
    {"item count", METADATA + 10, 2048, 2, CST_ERROR_CORRUPT},
    {"no items", METADATA + 10, 0, 2, CST_ERROR_CORRUPT},
    {"an item missing", METADATA + 10, 2, 2, CST_ERROR_CORRUPT},
    {"unknown required item", ITEM(0), 1, 8, CST_ERROR_UNSUPPORTED},
    {"item in the table", ITEM(0) + 16, 32, 4, CST_ERROR_CORRUPT},
    {"item past the region", ITEM(0) + 16, CST_MIB - 4, 4, CST_ERROR_CORRUPT},
    {"item far", ITEM(1) + 16, UINT32_MAX, 4, CST_ERROR_CORRUPT},
    {"item too long", ITEM(1) + 20, UINT32_MAX, 4, CST_ERROR_CORRUPT},
    {"item too short", ITEM(1) + 20, 4, 4, CST_ERROR_CORRUPT},
    {"item empty", ITEM(3) + 20, 0, 4, CST_ERROR_CORRUPT},
    {"block size 0", ITEMS, 0, 4, CST_ERROR_CORRUPT},
    {"block size small", ITEMS, 512 * 1024, 4, CST_ERROR_CORRUPT},
    {"block size huge", ITEMS, 512 * CST_MIB, 4, CST_ERROR_CORRUPT},
    {"block size odd", ITEMS, 3 * CST_MIB, 4, CST_ERROR_CORRUPT},
    {"a parent that is not named", ITEMS + 4, 2, 4, CST_ERROR_CORRUPT},
    {"size huge", ITEMS + 8, UINT64_MAX - 511, 8, CST_ERROR_CORRUPT},
    {"size past 64 TiB", ITEMS + 8, 64 * CST_TIB + 512, 8, CST_ERROR_CORRUPT},
    {"size odd", ITEMS + 8, CST_MIB + 1, 8, CST_ERROR_CORRUPT},
    {"size past the table", ITEMS + 8, CST_TIB, 8, CST_ERROR_CORRUPT},
    {"sector size 0", ITEMS + 32, 0, 4, CST_ERROR_CORRUPT},
    {"sector size odd", ITEMS + 32, 1024, 4, CST_ERROR_CORRUPT},
};

static const CstImageCreate small = {.capacity = 10 * CST_MIB, .block_size = CST_MIB};

static void every_field_that_lies_is_found_out(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
        const Lie *lie = &lies[i];
        g_autoptr(CstBlob) blob = make(&small);
        g_auto(CstImageInfo) info = {0};
        g_autoptr(GError) error = NULL;
        CstImage *image;

        poke(blob, lie->offset, lie->value, lie->len);
        image = cst_image_open(blob, vhdx(), CST_IMAGE_WRITE, NULL, &error);
        if (image)
            fail_msg("%s: opened", lie->name);
        if (!g_error_matches(error, CST_ERROR, lie->code))
            fail_msg("%s: %s", lie->name, error->message);
        assert_true(cst_image_inspect(blob, vhdx(), &info, NULL));
        if (!info.problem)
            fail_msg("%s: not inspected", lie->name);
        assert_int_equal(info.corrupt, lie->code == CST_ERROR_CORRUPT);
    }
}

/* In an unknown version, no other field can be reported as damage. */
static void unknown_version_is_not_reported_as_damage(void **state)
{
    static const struct {
        uint64_t offset, value;
    } versions[] = {{HEADER + 66, 2}, {HEADER + 58, UINT64_C(1) << 48 | 1}};

    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        g_autoptr(CstBlob) blob = make(&small);
        g_autoptr(GError) error = NULL;
        g_auto(CstImageInfo) info = {0};

        poke(blob, versions[i].offset, versions[i].value, i == 0 ? 2 : 8);
        poke(blob, REGIONS + 8, 0, 4);
        assert_null(cst_image_open(blob, vhdx(), 0, NULL, &error));
        assert_int_equal(error->code, CST_ERROR_UNSUPPORTED);
        assert_true(cst_image_inspect(blob, vhdx(), &info, NULL));
        assert_false(info.corrupt);
    }
}

static void a_file_cut_off_anywhere_is_no_crash(void **state)
{
    static const uint64_t sizes[] = {
        0,       7,       8,           65535,           HEADER + 4096,
        REGIONS, CST_MIB, 2 * CST_MIB, 3 * CST_MIB - 1, 4 * CST_MIB - 1};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) blob = make(&small);

        assert_true(cst_blob_resize(blob, sizes[i], NULL));
        assert_null(cst_image_open(blob, vhdx(), 0, NULL, NULL));
    }
}

static void one_damaged_header_or_region_table_is_no_loss(void **state)
{
    static const uint64_t places[] = {HEADER + 1, 2 * HEADER + 1, REGIONS + 20,
                                      REGIONS + VHDX_REGIONS_LEN + 20};

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autoptr(CstBlob) blob = make(&small);
        CstBlob *guest = open_guest(blob, CST_IMAGE_WRITE, NULL);

        put(guest, 0, 100, 5);
        cst_blob_unref(guest);
        put(blob, places[i], 1, 0xee);
        guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
        assert_byte(guest, 0, 100, 5);
        put(guest, 100, 100, 6); /* writes both again */
        cst_blob_unref(guest);
        put(blob, REGIONS + 20, 1, 0xee);
        assert_byte(guest = open_guest(blob, 0, NULL), 0, 100, 5);
        cst_blob_unref(guest);
    }
}

/* --- the block allocation table --------------------------------------------------------------- */

typedef struct {
    const char *name;
    uint64_t entry;
} BadEntry;

static const BadEntry bad_entries[] = {
    {"reserved state 4", 4},
    {"reserved state 5", 5},
    {"partly present without a parent", UINT64_C(4) << 20 | 7},
    {"in the header", 6},
    {"in the log", UINT64_C(1) << 20 | 6},
    {"in the metadata", UINT64_C(2) << 20 | 6},
    {"in the table", UINT64_C(3) << 20 | 6},
    {"past the end", UINT64_C(1000) << 20 | 6},
    {"as far as can be", UINT64_MAX << 20 | 6},
};

/* Ten blocks, of which the first two have content. */
static CstBlob *make_filled(void)
{
    CstBlob *blob = make(&small), *guest = open_guest(blob, CST_IMAGE_WRITE, NULL);

    put(guest, 0, CST_MIB, 1);
    put(guest, CST_MIB, CST_MIB, 2);
    cst_blob_unref(guest);
    return blob;
}

static void a_bad_entry_is_refused_found_and_repaired(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_entries); i++) {
        g_autoptr(CstBlob) blob = make_filled();
        CstBlob *guest;
        CstImageCheck found;
        uint8_t byte;

        poke(blob, BAT + 3 * 8, bad_entries[i].entry, 8);
        guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
        if (cst_blob_pread(guest, &byte, 1, 3 * CST_MIB, NULL))
            fail_msg("%s: read", bad_entries[i].name);
        assert_byte(guest, 0, CST_MIB, 1);
        assert_false(cst_blob_pwrite(guest, "x", 1, 0, NULL)); /* not before it is repaired */
        cst_blob_unref(guest);
        assert_int_equal(check_image(blob, 0).errors, 1);
        found = check_image(blob, CST_CHECK_REPAIR_ALL);
        assert_int_equal(found.errors, 1);
        assert_int_equal(found.errors_fixed, 1);
        assert_clean(blob);
        guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
        assert_byte(guest, 0, CST_MIB, 1);
        assert_byte(guest, 3 * CST_MIB, CST_MIB, 0);
        put(guest, 3 * CST_MIB, CST_MIB, 3);
        cst_blob_unref(guest);
        assert_clean(blob);
    }
}

static void no_block_lies_beyond_the_longest_file(void **state)
{
    const uint64_t end = VHDX_MAX_FILE / CST_MIB;

    for (uint64_t place = end - 1; place <= end + 1; place++) {
        g_autoptr(CstBlob) blob = make_filled(), guest = NULL;
        uint8_t byte;

        assert_true(cst_blob_resize(blob, VHDX_MAX_FILE + 3 * CST_MIB, NULL));
        poke(blob, BAT + 3 * 8, place << 20 | 6, 8);
        guest = open_guest(blob, 0, NULL);
        assert_int_equal(cst_blob_pread(guest, &byte, 1, 3 * CST_MIB, NULL), place < end);
    }
}

static void shared_block_is_reported_and_repaired(void **state)
{
    g_autoptr(CstBlob) blob = make_filled();
    CstBlob *guest;

    poke(blob, BAT + 3 * 8, UINT64_C(4) << 20 | 6, 8); /* as block 0 */
    assert_int_equal(check_image(blob, 0).errors, 1);
    guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
    assert_false(cst_blob_pwrite(guest, "x", 1, 0, NULL));
    cst_blob_unref(guest);
    assert_int_equal(check_image(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 1);
    assert_clean(blob);
    guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
    put(guest, 0, CST_MIB, 7);
    assert_byte(guest, 3 * CST_MIB, CST_MIB, 1);
    cst_blob_unref(guest);
}

static void unreferenced_block_is_a_leak(void **state)
{
    g_autoptr(CstBlob) blob = make_filled();
    CstImageCheck found;
    uint64_t size = 0;

    poke(blob, BAT, 0, 8);
    put(blob, 20 * CST_MIB, 10, 1);
    found = check_image(blob, 0);
    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 2);
    assert_int_equal(found.allocated_clusters, 1);
    assert_int_equal(found.total_clusters, 10);
    found = check_image(blob, CST_CHECK_REPAIR_LEAKS);
    assert_int_equal(found.leaks_fixed, 2);
    assert_clean(blob);
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, 6 * CST_MIB);
}

/* QEMU before 8.0 leaves arbitrary values in entries that a disk without a parent ignores. */
static void entries_without_meaning_are_ignored(void **state)
{
    const CstImageCreate options = {.capacity = 9 * CST_GIB, .block_size = 256 * CST_MIB};
    g_autoptr(CstBlob) blob = make(&options);
    CstBlob *guest;

    poke(blob, BAT + 16 * 8, UINT64_MAX, 8); /* 16 blocks of 256 MiB are a chunk of 4 GiB */
    assert_clean(blob);
    guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
    put(guest, 4 * CST_GIB - 512, 1024, 1);
    cst_blob_unref(guest);
    assert_clean(blob);
}

/* Entries after the end of the disk may have any value. They are used when the disk grows. */
static void added_capacity_is_zero_with_any_old_entry(void **state)
{
    g_autoptr(CstBlob) blob = make(&small);
    CstBlob *guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
    CstImage *image;

    put(guest, 0, 4096, 1);
    cst_blob_unref(guest);
    for (uint64_t block = 10; block < 15; block++)
        poke(blob, BAT + block * 8, UINT64_C(4) << 20 | 6, 8); /* where block 0 is */
    image = open_image(blob, CST_IMAGE_WRITE, NULL);
    assert_true(cst_image_resize(image, 14 * CST_MIB, CST_PREALLOC_OFF, NULL, NULL));
    guest = cst_image_guest_blob(image);
    assert_byte(guest, 0, 4096, 1);
    assert_byte(guest, 10 * CST_MIB, 4 * CST_MIB, 0);
    cst_blob_unref(guest);
    assert_clean(blob);
}

static const CstImageCreate child = {
    .capacity = 10 * CST_MIB, .block_size = CST_MIB, .backing = "p", .backing_format = "vhdx"};

/* The entry of the chunk's sector bitmap follows its 4096 blocks. */
static void a_missing_or_bad_sector_bitmap_is_found_and_repaired(void **state)
{
    static const uint64_t entries[] = {0, 3, UINT64_C(3) << 20 | 6, UINT64_C(1) << 40 | 6,
                                       UINT64_C(4) << 20 | 6};

    for (size_t i = 0; i < G_N_ELEMENTS(entries); i++) {
        g_autoptr(CstBlob) blob = make(&child), parent = cst_blob_sparse_new(10 * CST_MIB);
        CstBlob *guest = open_guest(blob, CST_IMAGE_WRITE, parent);
        uint8_t byte;

        put(guest, 512, 512, 1);
        cst_blob_unref(guest);
        assert_clean(blob);
        poke(blob, BAT + UINT64_C(4096) * 8, entries[i], 8);
        guest = open_guest(blob, 0, parent);
        if (i < 4)
            assert_false(cst_blob_pread(guest, &byte, 1, 0, NULL));
        cst_blob_unref(guest);
        /* the last one is where the bitmap was made: that is no damage */
        assert_int_equal(check_image(blob, 0).errors > 0, i < 4);
        check_image(blob, CST_CHECK_REPAIR_ALL);
        assert_clean(blob);
        guest = open_guest(blob, CST_IMAGE_WRITE, parent);
        put(guest, 0, 100, 3);
        assert_byte(guest, 0, 100, 3);
        cst_blob_unref(guest);
    }
}

/* --- failures --------------------------------------------------------------------------------- */

static void write_and_flush(CstBlob *guest, gboolean *ok)
{
    g_autofree uint8_t *twos = g_malloc(3 * CST_MIB);

    memset(twos, 2, 3 * CST_MIB);
    *ok = cst_blob_pwrite(guest, twos, 5000, CST_MIB + 100, NULL) &&
          cst_blob_pwrite(guest, twos, 3 * CST_MIB, 2 * CST_MIB + 512, NULL) &&
          cst_blob_flush(guest, NULL) && cst_blob_zero(guest, 6 * CST_MIB, CST_MIB, 0, NULL) &&
          cst_blob_pwrite(guest, twos, 700, 7 * CST_MIB + 3, NULL) && cst_blob_flush(guest, NULL);
}

static void assert_written(CstBlob *guest)
{
    assert_byte(guest, CST_MIB + 100, 5000, 2);
    assert_byte(guest, CST_MIB, 100, 9);
    assert_byte(guest, 2 * CST_MIB + 512, 3 * CST_MIB, 2);
    assert_byte(guest, 6 * CST_MIB, CST_MIB, 0);
    assert_byte(guest, 7 * CST_MIB + 3, 700, 2);
}

/* The @nth call of a kind fails or is torn: older data is kept, and work can continue. */
static gboolean fail_once(CstFaultKind kind, unsigned nth, CstBlob *parent)
{
    g_autoptr(CstBlob) inner = make(&child), fault = cst_blob_fault_new(inner);
    CstBlob *guest = open_guest(fault, CST_IMAGE_WRITE, parent);
    gboolean ok = FALSE, struck;

    put(guest, 0, 4096, 1);
    assert_true(cst_blob_flush(guest, NULL));
    cst_blob_fault_arm(fault, kind, nth, CST_FAULT_ONCE);
    write_and_flush(guest, &ok);
    struck = cst_blob_fault_struck(fault);
    assert_int_equal(ok, !struck);
    cst_blob_fault_arm(fault, kind, 0, CST_FAULT_ONCE);
    assert_byte(guest, 0, 4096, 1);
    write_and_flush(guest, &ok);
    assert_true(ok);
    assert_written(guest);
    cst_blob_unref(guest);
    assert_int_equal(check_image(inner, 0).errors, 0);
    guest = open_guest(inner, 0, parent);
    assert_byte(guest, 0, 4096, 1);
    assert_written(guest);
    cst_blob_unref(guest);
    return struck;
}

static void every_failure_is_reported_and_harmless(void **state)
{
    static const CstFaultKind kinds[] = {CST_FAULT_WRITE, CST_FAULT_TORN, CST_FAULT_FLUSH};
    g_autoptr(CstBlob) parent = cst_blob_sparse_new(0);

    put(parent, 0, 10 * CST_MIB, 9);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        unsigned nth = 1;

        while (fail_once(kinds[i], nth, parent))
            nth++;
        assert_true(nth > 1);
    }
}

/* Unreadable tables: the image does not open, or the operations that need them fail. */
static void every_failing_read_is_reported_and_harmless(void **state)
{
    g_autoptr(CstBlob) parent = cst_blob_sparse_new(10 * CST_MIB), inner = make(&child);
    CstBlob *guest;
    unsigned nth = 1;

    put(parent, 0, 10 * CST_MIB, 9);
    guest = open_guest(inner, CST_IMAGE_WRITE, parent);
    put(guest, 0, 4096, 1);
    cst_blob_unref(guest);
    for (gboolean struck = TRUE; struck; nth++) {
        g_autoptr(CstBlob) fault = cst_blob_fault_new(inner);
        CstImage *image;
        gboolean ok = FALSE;
        uint8_t byte = 0;

        cst_blob_fault_arm(fault, CST_FAULT_READ, nth, CST_FAULT_ONCE);
        image = cst_image_open(fault, vhdx(), CST_IMAGE_WRITE, parent, NULL);
        if (image) {
            guest = cst_image_guest_blob(image);
            ok = cst_blob_pread(guest, &byte, 1, 0, NULL) &&
                 cst_blob_pwrite(guest, "abc", 3, 9 * CST_MIB, NULL);
            ok = cst_blob_flush(guest, NULL) && ok;
            cst_blob_unref(guest);
        }
        struck = cst_blob_fault_struck(fault);
        assert_int_equal(ok, !struck);
        assert_clean(inner);
    }
    assert_true(nth > 5);
}

/* From the @nth call on every call fails. The remaining image is sound. */
static void removed_storage_leaves_a_sound_image(void **state)
{
    g_autoptr(CstBlob) parent = cst_blob_sparse_new(0);
    gboolean struck = TRUE;

    put(parent, 0, 10 * CST_MIB, 9);
    for (unsigned nth = 1; struck; nth++) {
        g_autoptr(CstBlob) inner = make(&child), fault = cst_blob_fault_new(inner);
        CstBlob *guest = open_guest(fault, CST_IMAGE_WRITE, parent);
        gboolean ok = FALSE;

        put(guest, 0, 4096, 1);
        assert_true(cst_blob_flush(guest, NULL));
        cst_blob_fault_arm(fault, CST_FAULT_WRITE, nth, CST_FAULT_CUT);
        write_and_flush(guest, &ok);
        struck = cst_blob_fault_struck(fault);
        cst_blob_unref(guest);
        assert_int_equal(check_image(inner, 0).errors, 0);
        guest = open_guest(inner, 0, parent);
        assert_byte(guest, 0, 4096, 1);
        cst_blob_unref(guest);
    }
}

/* --- power cuts ------------------------------------------------------------------------------- */

static void power_cut_over_a_parent_keeps_flushed_data(void **state)
{
    g_autoptr(CstBlob) blob = make(&child), parent = cst_blob_sparse_new(0), power = NULL;
    CstBlob *guest;
    gboolean ok = FALSE;
    unsigned done;

    put(parent, 0, 10 * CST_MIB, 9);
    power = cst_blob_power_new(blob, NULL);
    guest = open_guest(power, CST_IMAGE_WRITE, parent);
    write_and_flush(guest, &ok);
    assert_true(ok);
    done = cst_blob_power_steps(power);
    put(guest, 8 * CST_MIB + 1, 3, 3);
    cst_blob_unref(guest);
    for (unsigned steps = 0; steps <= cst_blob_power_steps(power); steps++) {
        for (uint32_t seed = 0; seed < 8; seed++) {
            g_autoptr(CstBlob) left =
                cst_blob_power_crash(power, steps, seed < 2 ? seed : steps * 8 + seed, NULL);

            assert_int_equal(check_image(left, 0).errors, 0);
            guest = open_guest(left, 0, parent);
            assert_byte(guest, 0, CST_MIB, 9);
            if (steps >= done)
                assert_written(guest);
            cst_blob_unref(guest);
            assert_int_equal(check_image(left, CST_CHECK_REPAIR_LEAKS).errors, 0);
            assert_clean(left);
        }
    }
}

/* The table moves while the image grows: the old one counts, or the new one. */
static void power_cut_while_the_table_moves_keeps_the_content(void **state)
{
    g_autoptr(CstBlob) blob = make_filled(), power = cst_blob_power_new(blob, NULL);
    CstImage *image = open_image(power, CST_IMAGE_WRITE, NULL);

    assert_true(cst_image_resize(image, 200 * CST_GIB, CST_PREALLOC_OFF, NULL, NULL));
    cst_image_free(image);
    for (unsigned steps = 0; steps <= cst_blob_power_steps(power); steps++) {
        for (uint32_t seed = 0; seed < 8; seed++) {
            g_autoptr(CstBlob) left =
                cst_blob_power_crash(power, steps, seed < 2 ? seed : steps * 8 + seed, NULL);
            CstBlob *guest;

            assert_int_equal(check_image(left, 0).errors, 0);
            guest = open_guest(left, CST_IMAGE_WRITE, NULL);
            assert_byte(guest, 0, CST_MIB, 1);
            assert_byte(guest, CST_MIB, CST_MIB, 2);
            put(guest, 5 * CST_MIB, 100, 3);
            cst_blob_unref(guest);
            put(left, REGIONS + 20, 1, 0xee); /* both copies are equal by now */
            guest = open_guest(left, 0, NULL);
            assert_byte(guest, 5 * CST_MIB, 100, 3);
            cst_blob_unref(guest);
        }
    }
}

/* Bytes after the last entry of a region table have no meaning. Here they look like one. */
static void bytes_after_the_region_table_entries_are_kept(void **state)
{
    enum { BEHIND = 16 + 2 * 32 };
    g_autoptr(CstBlob) blob = make(&small);
    CstImage *image;
    uint8_t raw[32], seen[32];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), REGIONS + REGION_BAT, NULL));
    for (unsigned i = 0; i < sizeof(raw); i += 8)
        poke(blob, REGIONS + BEHIND + i, cst_le64(raw + i), 8);
    image = open_image(blob, CST_IMAGE_WRITE, NULL);
    assert_true(cst_image_resize(image, 300 * CST_GIB, CST_PREALLOC_OFF, NULL, NULL));
    cst_image_free(image);
    for (unsigned copy = 0; copy < 2; copy++) {
        uint64_t at = REGIONS + copy * VHDX_REGIONS_LEN;

        assert_true(cst_blob_pread(blob, seen, sizeof(seen), at + BEHIND, NULL));
        assert_memory_equal(seen, raw, sizeof(seen));
        assert_true(cst_blob_pread(blob, seen, sizeof(seen), at + REGION_BAT, NULL));
        assert_memory_not_equal(seen, raw, sizeof(seen)); /* the table has moved */
    }
    assert_clean(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_that_lies_is_found_out),
        cmocka_unit_test(unknown_version_is_not_reported_as_damage),
        cmocka_unit_test(a_file_cut_off_anywhere_is_no_crash),
        cmocka_unit_test(one_damaged_header_or_region_table_is_no_loss),
        cmocka_unit_test(a_bad_entry_is_refused_found_and_repaired),
        cmocka_unit_test(no_block_lies_beyond_the_longest_file),
        cmocka_unit_test(shared_block_is_reported_and_repaired),
        cmocka_unit_test(unreferenced_block_is_a_leak),
        cmocka_unit_test(entries_without_meaning_are_ignored),
        cmocka_unit_test(added_capacity_is_zero_with_any_old_entry),
        cmocka_unit_test(a_missing_or_bad_sector_bitmap_is_found_and_repaired),
        cmocka_unit_test(every_failure_is_reported_and_harmless),
        cmocka_unit_test(every_failing_read_is_reported_and_harmless),
        cmocka_unit_test(removed_storage_leaves_a_sound_image),
        cmocka_unit_test(power_cut_over_a_parent_keeps_flushed_data),
        cmocka_unit_test(power_cut_while_the_table_moves_keeps_the_content),
        cmocka_unit_test(bytes_after_the_region_table_entries_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
