/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The output of partx and blkid, also from compromised tools. */
#include "unit.h"

#include <string.h>

#include "partition.h"

#define DISK (UINT64_C(1) << 30)

static void assert_part(const GPtrArray *parts, guint i, guint number, uint64_t offset,
                        uint64_t length, const char *detail)
{
    const CstGuestPart *part = parts->pdata[i];

    assert_int_equal(part->number, number);
    assert_true(part->offset == offset);
    assert_true(part->length == length);
    if (detail)
        assert_string_equal(part->detail, detail);
    else
        assert_null(part->detail);
}

static void partitions_are_listed_in_their_order(void **state)
{
    g_autoptr(GPtrArray) parts =
        guest_partitions_parse("1 2048 20480 0xc dos\n3 40960 8 0x83 dos\n", DISK);

    assert_int_equal(parts->len, 2);
    assert_part(parts, 0, 1, 2048 * 512, 20480 * 512, NULL);
    assert_part(parts, 1, 3, 40960 * 512, 8 * 512, NULL);
    assert_int_equal(((CstGuestPart *)parts->pdata[0])->verdict, CST_GUEST_UNKNOWN);
}

static void containers_are_left_out(void **state)
{
    static const char *const types[] = {"0x5", "0xf", "0x85"};

    for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *text = g_strdup_printf("2 2048 99 %s dos\n5 2049 9 0x83 dos\n", types[i]);
        g_autoptr(GPtrArray) parts = guest_partitions_parse(text, DISK);

        assert_int_equal(parts->len, 1);
        assert_part(parts, 0, 5, 2049 * 512, 9 * 512, NULL);
    }
}

static void partition_after_the_end_of_the_disk_is_damaged(void **state)
{
    /* To the end; one sector further; far after the end; so far that sums overflow. */
    g_autoptr(GPtrArray) parts =
        guest_partitions_parse("1 2097151 1 0x83 dos\n"
                               "2 2097150 3 0x83 dos\n"
                               "3 9999999 1 0x83 dos\n"
                               "4 18014398509481983 18014398509481983 a gpt\n",
                               DISK);

    assert_int_equal(parts->len, 4);
    assert_part(parts, 0, 1, DISK - 512, 512, NULL);
    for (guint i = 1; i < 4; i++) {
        const CstGuestPart *part = parts->pdata[i];

        assert_int_equal(part->verdict, CST_GUEST_DAMAGED);
        assert_string_equal(part->detail, "it reaches beyond the end of the disk");
    }
}

static void overlapping_partition_is_not_checked(void **state)
{
    g_autoptr(GPtrArray) parts = guest_partitions_parse("1 100 100 a gpt\n"
                                                        "2 199 1 a gpt\n"
                                                        "3 200 1 a gpt\n"
                                                        "4 0 2000 a gpt\n"
                                                        "5 99 1 a gpt\n",
                                                        DISK);

    assert_part(parts, 1, 2, 199 * 512, 512, "it overlaps partition 1");
    assert_part(parts, 2, 3, 200 * 512, 512, NULL);
    assert_part(parts, 3, 4, 0, 2000 * 512, "it overlaps partition 1");
    assert_int_equal(((CstGuestPart *)parts->pdata[3])->verdict, CST_GUEST_UNKNOWN);
    assert_part(parts, 4, 5, 99 * 512, 512, "it overlaps partition 4");
}

static void number_of_partitions_is_limited(void **state)
{
    GString *text = g_string_new(NULL);
    g_autoptr(GPtrArray) parts = NULL;

    for (guint i = 1; i <= 5000; i++)
        g_string_append_printf(text, "%u %u 1 a gpt\n", i, i);
    parts = guest_partitions_parse(text->str, DISK);
    assert_int_equal(parts->len, CST_GUEST_PARTS);
    g_string_free(text, TRUE);
}

static void other_text_is_refused(void **state)
{
    static const char *const texts[] = {
        "1 2048 20480 0xc",
        "1 2048 20480 0xc dos more",
        "x 2048 20480 0xc dos",
        "0 2048 20480 0xc dos",
        "1 -1 20480 0xc dos",
        "1 2048 0x10 0xc dos",
        "1 2048 99999999999999999999 0xc dos",
        "1 18014398509481984 1 0xc dos",
        "4294967296 1 1 0xc dos",
        "1  1 1 0xc dos",
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        assert_null(guest_partitions_parse(texts[i], DISK));
}

static void types_are_blkids_words(void **state)
{
    g_autofree char *type = NULL, *member = NULL, *none = NULL, *odd = NULL, *empty = NULL;

    assert_true(guest_type_parse("DEVNAME=x\nUUID=TYPE=y\nTYPE=ext4\nUSAGE=filesystem\n", &type));
    assert_string_equal(type, "ext4");
    assert_false(guest_type_parse("TYPE=LVM2_member\nUSAGE=raid\n", &member));
    assert_string_equal(member, "LVM2_member");
    assert_false(guest_type_parse("PTTYPE=dos\nUSAGE=filesystem\n", &none));
    assert_null(none);
    assert_false(guest_type_parse("TYPE=\nUSAGE=filesystem\n", &empty));
    assert_null(empty);
    assert_true(guest_type_parse(
        "TYPE=\033[2Jaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nUSAGE=filesystem",
        &odd));
    assert_string_equal(odd, "\\x1b[2Jaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_are_listed_in_their_order),
        cmocka_unit_test(containers_are_left_out),
        cmocka_unit_test(partition_after_the_end_of_the_disk_is_damaged),
        cmocka_unit_test(overlapping_partition_is_not_checked),
        cmocka_unit_test(number_of_partitions_is_limited),
        cmocka_unit_test(other_text_is_refused),
        cmocka_unit_test(types_are_blkids_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
