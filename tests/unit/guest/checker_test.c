/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verdicts derived from the output of file system checkers. */
#include "unit.h"

#include <string.h>

#include <base/bytes.h>

#include "checker.h"
#include "partition.h"

static CstGuestPart *judged(const char *type, int status, const char *out, const char *err,
                            gboolean settled)
{
    CstGuestPart *part = guest_part_new(1, 0, 512);
    CstChildResult result = {status, g_strdup(out), g_strdup(err)};

    guest_checker_judge(guest_checker_find(type), &result, settled, part);
    cst_child_result_clear(&result);
    return part;
}

static void assert_judged(CstGuestPart *part, CstGuestVerdict verdict, const char *detail)
{
    assert_int_equal(part->verdict, verdict);
    if (detail)
        assert_string_equal(part->detail, detail);
    else
        assert_null(part->detail);
    guest_part_free(part);
}

static void each_kind_has_its_checker(void **state)
{
    static const char *const kinds[][2] = {
        {"ext2", "e2fsck"}, {"ext3", "e2fsck"},   {"ext4", "e2fsck"}, {"xfs", "xfs_repair"},
        {"btrfs", "btrfs"}, {"vfat", "fsck.fat"}, {"ntfs", "ntfsfix"}};

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        assert_string_equal(guest_checker_find(kinds[i][0])->check[0], kinds[i][1]);
    assert_null(guest_checker_find("zfs_member"));
}

static void an_exit_status_of_0_is_sound(void **state)
{
    assert_judged(judged("ext4", 0, "Pass 1: Checking\nbash: 11/16 files", "e2fsck 1.47", FALSE),
                  CST_GUEST_SOUND, NULL);
    assert_judged(judged("ext4", 0, "", "", TRUE), CST_GUEST_SOUND,
                  "journal to be replayed; sound after that");
    assert_judged(judged("vfat", 0, "", "", TRUE), CST_GUEST_SOUND, "marked as mounted; sound");
}

static void other_status_is_damage_with_the_reason(void **state)
{
    assert_judged(
        judged("ext4", 4, "Pass 1: Checking\n\nInode 2 is bad.  Fix? no\n", "e2fsck 1.47", TRUE),
        CST_GUEST_DAMAGED, "e2fsck ends with status 4: Inode 2 is bad.  Fix? no");
    assert_judged(judged("xfs", 1, "No modify flag set\n",
                         "Phase 1 - find\n        - zero log...\nbad magic # \033\n", FALSE),
                  CST_GUEST_DAMAGED, "xfs_repair ends with status 1: bad magic # \\x1b");
    /* This host gave the tool too little memory. */
    assert_judged(judged("ext4", 8, "", "e2fsck: Memory allocation failed while reading", FALSE),
                  CST_GUEST_UNPROVEN,
                  "e2fsck ends with status 8: e2fsck: Memory allocation failed while reading");
}

static void lines_are_not_too_long(void **state)
{
    g_autofree char *line = g_strnfill(100000, 'x');
    CstGuestPart *part = judged("ntfs", 1, line, "", FALSE);

    assert_true(strlen(part->detail) < 250);
    guest_part_free(part);
}

static void unsupported_state_is_not_damage(void **state)
{
    assert_judged(judged("xfs", 1, "bad",
                         "ALERT: The filesystem has valuable metadata changes in a log which is "
                         "being\nignored",
                         FALSE),
                  CST_GUEST_UNKNOWN, "journal to be replayed, which only the kernel can");
    assert_judged(judged("btrfs", 1, "", "warning, device 2 is missing\n", FALSE),
                  CST_GUEST_UNKNOWN, "parts of it are on other disks");
    assert_judged(
        judged("ntfs", 1, "", "The disk contains an unclean file system (0, 0).\n", FALSE),
        CST_GUEST_UNKNOWN, "journal to be replayed, which only Windows can");
    assert_judged(judged("ext4", 4, "Block 7 is missing", "", FALSE), CST_GUEST_DAMAGED,
                  "e2fsck ends with status 4: Block 7 is missing");
}

/* --- FAT -------------------------------------------------------------------------------------- */

static CstBlob *fat(size_t size, uint16_t sectors_16, uint8_t state_16, uint8_t state_32)
{
    g_autofree uint8_t *disk = g_malloc0(size);

    cst_put_le16(disk + 11, 512);
    cst_put_le16(disk + 0x16, sectors_16);
    disk[0x25] = state_16;
    disk[0x41] = state_32;
    cst_put_le16(disk + 0x30, 1);
    return cst_blob_memory_new(disk, size);
}

static uint8_t byte_at(CstBlob *blob, uint64_t offset)
{
    uint8_t byte;

    assert_true(cst_blob_pread(blob, &byte, 1, offset, NULL));
    return byte;
}

static gboolean unmount(CstBlob *blob)
{
    gboolean was_mounted;

    assert_true(guest_checker_find("vfat")->unmount(blob, &was_mounted, NULL));
    return was_mounted;
}

static void mark_of_a_mounted_fat_is_removed(void **state)
{
    g_autoptr(CstBlob) fat_16 = fat(4096, 9, 0x81, 1), fat_32 = fat(4096, 0, 1, 3);

    assert_true(unmount(fat_16));
    assert_int_equal(byte_at(fat_16, 0x25), 0x80);
    assert_int_equal(byte_at(fat_16, 0x41), 1);
    assert_int_equal(byte_at(fat_16, 512 + 488), 0);
    assert_true(unmount(fat_32));
    assert_int_equal(byte_at(fat_32, 0x41), 2);
    assert_int_equal(byte_at(fat_32, 0x25), 1);
    for (guint i = 0; i < 4; i++)
        assert_int_equal(byte_at(fat_32, 512 + 488 + i), 0xff);
    assert_int_equal(byte_at(fat_32, 512 + 492), 0);
}

static void a_fat_that_is_not_mounted_stays_as_it_is(void **state)
{
    g_autoptr(CstBlob) fat_16 = fat(4096, 9, 0xfe, 1), fat_32 = fat(4096, 0, 1, 0xfe);

    assert_false(unmount(fat_16));
    assert_false(unmount(fat_32));
    assert_int_equal(byte_at(fat_32, 512 + 488), 0);
}

static void a_fat_may_be_too_short(void **state)
{
    g_autoptr(CstBlob) none = fat(200, 0, 0, 0), no_info = fat(1000, 0, 0, 1);

    assert_false(unmount(none));
    assert_true(unmount(no_info));
    assert_int_equal(byte_at(no_info, 0x41), 0);
    assert_int_equal(byte_at(no_info, 999), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_checker),
        cmocka_unit_test(an_exit_status_of_0_is_sound),
        cmocka_unit_test(other_status_is_damage_with_the_reason),
        cmocka_unit_test(lines_are_not_too_long),
        cmocka_unit_test(unsupported_state_is_not_damage),
        cmocka_unit_test(mark_of_a_mounted_fat_is_removed),
        cmocka_unit_test(a_fat_that_is_not_mounted_stays_as_it_is),
        cmocka_unit_test(a_fat_may_be_too_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
