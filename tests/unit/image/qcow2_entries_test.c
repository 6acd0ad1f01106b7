/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * L2 entries with contradictory bits. A check finds each entry, once for every user of its table.
 * A repair fixes the entries whose meaning is certain.
 */
#include <blob/sparse.h>
#include <image/snapshot.h>

#include "listed.h"
#include "qcow2/state.h"
#include "qcow2_images.h"

enum { CLUSTER = 65536, SIZE = 1024 * 1024 };

/* The clusters of the image, and so the entries of its one L2 table. */
enum { DATA, PACKED, NONE, ENTRIES };

/** The damage of an entry, and its expected repair. */
typedef struct {
    gboolean extended; /* has a bitmap of subclusters */
    unsigned index;
    uint64_t word, bitmap; /* bits that are turned over */
    unsigned errors;       /* found by a repair, with one user */
    unsigned fixed;
    uint64_t word_after, bitmap_after; /* bits that differ from the sound entry */
} Damage;

#define ZERO(sub) (UINT64_C(1) << (32 + (sub)))
#define ALL_ZERO  UINT64_C(0xffffffff00000000)

static const Damage damages[] = {
    {FALSE, DATA, QCOW2_COPIED, 0, 1, 1, 0, 0},
    {FALSE, DATA, 2, 0, 1, 0, 2, 0},
    {FALSE, DATA, UINT64_C(1) << 56, 0, 1, 0, UINT64_C(1) << 56, 0},
    {FALSE, PACKED, QCOW2_COPIED, 0, 1, 1, 0, 0},
    {FALSE, NONE, QCOW2_READS_ZERO | 512, 0, 1, 1, QCOW2_READS_ZERO, 0},
    {TRUE, DATA, QCOW2_COPIED, 0, 1, 1, 0, 0},
    {TRUE, DATA, QCOW2_READS_ZERO, 0, 1, 0, QCOW2_READS_ZERO, 0},
    {TRUE, DATA, 0, ZERO(0), 1, 1, 0, ZERO(0) | 1},
    {TRUE, DATA, 0, ZERO(31), 1, 1, 0, ZERO(31) | 1u << 31},
    {TRUE, DATA, 0, ALL_ZERO, 1, 1, 0, G_MAXUINT64}, /* all zeroes, but with a place */
    {TRUE, PACKED, QCOW2_COPIED, 0, 1, 1, 0, 0},
    {TRUE, PACKED, 0, 1, 1, 1, 0, 0},
    {TRUE, PACKED, 0, ZERO(31), 1, 1, 0, 0},
    {TRUE, PACKED, QCOW2_COPIED, ZERO(0) | 1, 1, 1, 0, 0},
    {TRUE, NONE, 0, 1, 1, 0, 0, 1},
    {TRUE, NONE, 512, ZERO(7), 1, 1, 0, ZERO(7)},
};

static void pack_cluster(CstBlob *blob, uint64_t offset)
{
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);
    g_autofree uint8_t *buf = g_malloc(CLUSTER);

    memset(buf, PACKED + 1, CLUSTER);
    assert_true(cst_image_write_compressed(image, buf, CLUSTER, offset, NULL));
    assert_true(cst_image_flush(image, NULL));
}

static CstBlob *make(gboolean extended)
{
    const CstImageCreate options = {.capacity = SIZE, .extended_l2 = extended};
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    pack_cluster(blob, PACKED * CLUSTER);
    return blob;
}

static uint64_t l2_of(CstBlob *blob)
{
    return get64(blob, get64(blob, QCOW2_AT_L1_OFFSET)) & QCOW2_OFFSET_MASK;
}

static Qcow2Entry entry_of(CstBlob *blob, const Damage *damage)
{
    uint64_t at = l2_of(blob) + damage->index * (damage->extended ? 16 : 8);

    return (Qcow2Entry){get64(blob, at), damage->extended ? get64(blob, at + 8) : 0};
}

static void turn_over(CstBlob *blob, const Damage *damage)
{
    uint64_t at = l2_of(blob) + damage->index * (damage->extended ? 16 : 8);
    Qcow2Entry entry = entry_of(blob, damage);

    put64(blob, at, entry.word ^ damage->word);
    if (damage->extended)
        put64(blob, at + 8, entry.bitmap ^ damage->bitmap);
}

static void find_and_repair(CstBlob *blob, const Damage *damage, unsigned users)
{
    Qcow2Entry before = entry_of(blob, damage), after;
    CstImageCheck found;

    turn_over(blob, damage);
    found = check_listed(blob, qcow2(), 0);
    if (damage->word & 512) /* while it has that place, the two clusters that it touches are used */
        assert_true(found.errors > damage->errors * users);
    else
        assert_int_equal(found.errors, damage->errors * users);
    found = check_listed(blob, qcow2(), CST_CHECK_REPAIR_ALL);
    assert_int_equal(found.errors, damage->errors * users);
    assert_int_equal(found.errors_fixed, damage->fixed * users);
    assert_int_equal(found.leaks, 0);
    after = entry_of(blob, damage);
    assert_int_equal(after.word, before.word ^ damage->word_after);
    assert_int_equal(after.bitmap, before.bitmap ^ damage->bitmap_after);
    found = check_listed(blob, qcow2(), 0);
    assert_int_equal(found.errors, (damage->errors - damage->fixed) * users);
    assert_int_equal(found.leaks, 0);
}

static void damaged_entries_are_found_and_repaired_if_possible(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autoptr(CstBlob) blob = make(damages[i].extended);

        write_guest(blob, DATA * CLUSTER, CLUSTER, DATA + 1);
        find_and_repair(blob, &damages[i], 1);
    }
}

/* An entry of which only a part could be put right is neither changed nor counted as repaired. */
static void unrepairable_entry_is_kept_and_the_repairable_one_is_repaired(void **state)
{
    static const Damage mendable = {.extended = TRUE, .index = DATA, .bitmap = ZERO(0)};
    static const Damage hopeless = {
        .extended = TRUE, .index = NONE, .word = 2, .bitmap = ZERO(0) | 1};
    g_autoptr(CstBlob) blob = make(TRUE);
    CstImageCheck found;

    write_guest(blob, DATA * CLUSTER, CLUSTER, DATA + 1);
    turn_over(blob, &mendable);
    turn_over(blob, &hopeless);
    found = check_listed(blob, qcow2(), CST_CHECK_REPAIR_ALL);
    assert_int_equal(found.errors, 2);
    assert_int_equal(found.errors_fixed, 1);
    assert_int_equal(entry_of(blob, &hopeless).word, hopeless.word);
    assert_int_equal(entry_of(blob, &hopeless).bitmap, hopeless.bitmap);
    found = check_listed(blob, qcow2(), 0);
    assert_int_equal(found.errors, 1);
}

/* Compressed clusters have no flag for other users. The snapshot and the image share one table. */
static void an_entry_of_a_shared_table_is_one_error_for_each_user(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autoptr(CstBlob) blob = make(damages[i].extended);
        g_autoptr(CstImage) image = NULL;

        if (damages[i].index == DATA)
            continue;
        image = open_image(blob, CST_IMAGE_WRITE);
        assert_true(cst_image_snapshot_create(image, "s", NULL, NULL));
        g_clear_pointer(&image, cst_image_free);
        find_and_repair(blob, &damages[i], 2);
    }
}

static void table_of_only_a_snapshot_is_repaired(void **state)
{
    g_autoptr(CstBlob) blob = make(FALSE);
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);
    uint64_t at = l2_of(blob) + PACKED * 8, word = get64(blob, at);
    CstImageCheck found;

    assert_true(cst_image_snapshot_create(image, "s", NULL, NULL));
    g_clear_pointer(&image, cst_image_free);
    write_guest(blob, DATA * CLUSTER, CLUSTER, DATA + 1);
    assert_true(at != l2_of(blob) + PACKED * 8);
    put64(blob, at, word ^ QCOW2_COPIED);
    assert_int_equal(check_listed(blob, qcow2(), 0).errors, 1);
    found = check_listed(blob, qcow2(), CST_CHECK_REPAIR_ALL);
    assert_int_equal(found.errors, 1);
    assert_int_equal(found.errors_fixed, 1);
    assert_int_equal(get64(blob, at), word);
    assert_sound(blob, FALSE);
}

/* Compressed data end in the middle of a cluster, which may be the last of the file. */
static void compressed_data_up_to_the_end_of_the_file_are_sound(void **state)
{
    g_autoptr(CstBlob) blob = make(FALSE);
    const Damage packed = {.index = PACKED};
    uint64_t at = l2_of(blob) + PACKED * 8, size = 0, sectors = UINT64_C(1) << 54;
    Qcow2Entry entry = entry_of(blob, &packed);

    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size % CLUSTER, 0);
    entry.word = (entry.word & ~(sectors * 255)) + (CLUSTER / 512 - 1) * sectors;
    put64(blob, at, entry.word); /* all of the last cluster */
    assert_sound(blob, FALSE);
    put64(blob, at, entry.word + sectors); /* and one sector more */
    assert_int_equal(check_listed(blob, qcow2(), 0).errors, 1);
    assert_int_equal(check_listed(blob, qcow2(), CST_CHECK_REPAIR_ALL).errors_fixed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_entries_are_found_and_repaired_if_possible),
        cmocka_unit_test(unrepairable_entry_is_kept_and_the_repairable_one_is_repaired),
        cmocka_unit_test(an_entry_of_a_shared_table_is_one_error_for_each_user),
        cmocka_unit_test(table_of_only_a_snapshot_is_repaired),
        cmocka_unit_test(compressed_data_up_to_the_end_of_the_file_are_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
