/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and tags of LVs, and the blob of an LV's device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include <base/error.h>

#include "fake_lvm.h"

#define HEX "0123456789abcdef0123456789abcdef"

/* --- makers ----------------------------------------------------------------------------------- */

/* Returns the part "BOOT_PID_START" of a draft's name made by this process. */
static char *our_mark(void)
{
    g_autofree char *draft = cst_draft_name(TOKEN);
    const char *mark = strchr(draft + strlen(".cistern-"), '.') + 1;

    return g_strndup(mark, strlen(mark) - strlen(".part"));
}

static void draft_name_identifies_its_process(void **unused)
{
    g_autofree char *draft = cst_draft_name(TOKEN), *old = cst_draft_old_name(draft);
    g_autofree char *mark = our_mark();
    char boot[5];
    unsigned long long start = 0;
    int pid = 0;

    assert_true(g_str_has_prefix(draft, ".cistern-" HEX "."));
    assert_int_equal(sscanf(mark, "%4[0-9a-f]_%d_%llu", boot, &pid, &start), 3);
    assert_int_equal(pid, getpid());
    assert_true(start > 0);
    assert_true(cst_draft_is(draft) && !cst_draft_is_old(draft));
    assert_true(cst_draft_is_old(old) && !cst_draft_is(old));
    assert_true(cst_draft_maker_lives(draft));
    assert_true(cst_draft_maker_lives(old));
}

static void makers_of_other_starts_and_boots_are_dead(void **unused)
{
    g_autofree char *mark = our_mark();
    unsigned long long start = 0;
    char boot[5];
    int pid = 0;
    char *names[8];

    sscanf(mark, "%4[0-9a-f]_%d_%llu", boot, &pid, &start);
    names[0] = g_strdup_printf(".cistern-" HEX ".%s_%d_%llu.part", boot, pid, start);
    names[1] = g_strdup_printf(".cistern-" HEX ".%s_%d_%llu.part", boot, pid, start + 1);
    names[2] = g_strdup_printf(".cistern-" HEX ".%s_%d_%llu.part", boot, 999999999, start);
    names[3] = g_strdup_printf(".cistern-" HEX ".%c%s_%d_%llu.part", boot[0] == '0' ? '1' : '0',
                               boot + 1, pid, start);
    names[4] = g_strdup_printf(".cistern-" HEX ".%s_%d_0.part", boot, 999999999);
    names[5] = g_strdup_printf(".cistern-" HEX ".%s_%d.part", boot, pid);
    names[6] = g_strdup_printf("disk-" HEX ".%s_%d_%llu.part", boot, pid, start);
    names[7] = g_strdup(".cistern-1.snap");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        assert_int_equal(cst_draft_maker_lives(names[i]), i == 0);
        g_free(names[i]);
    }
}

static void a_draft_is_of_its_token_only(void **unused)
{
    assert_true(cst_draft_is_of(".cistern-" HEX ".0000_1_1.part", TOKEN));
    assert_false(cst_draft_is_of(".cistern-" HEX ".0000_1_1.old", TOKEN));
    assert_false(cst_draft_is_of(".cistern-" HEX "f.0000_1_1.part", TOKEN));
    assert_false(cst_draft_is_of(".cistern-1" HEX ".0000_1_1.part", TOKEN));
    assert_false(cst_draft_is_of(".cistern-" HEX ".0000_1_1.part", "0123"));
    assert_false(cst_draft_is_of("disk", TOKEN));
}

static void snapshots_have_names_of_their_own(void **unused)
{
    g_autofree char *one = cst_hidden_name(LOGICAL_SNAPSHOT_SUFFIX),
                    *two = cst_hidden_name(LOGICAL_SNAPSHOT_SUFFIX);

    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), strlen(".cistern-.snap") + 32);
    assert_true(g_str_has_prefix(one, ".cistern-") && g_str_has_suffix(one, ".snap"));
}

/* --- names ------------------------------------------------------------------------------------ */

static void names_have_the_maximum_length_of_lvm(void **unused)
{
    g_autofree char *longest = g_strnfill(127, 'a'), *longer = g_strnfill(128, 'a');
    g_autoptr(GError) error = NULL;

    assert_true(logical_name_check(longest, NULL));
    assert_false(logical_name_check(longer, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INVALID));
    assert_non_null(strstr(error->message, "LVM takes no name"));
}

static void reserved_name_of_lvm_is_reported(void **unused)
{
    static const char *const rows[][2] = {
        {"a_tdata", "the name 'a_tdata' has '_tdata' in it"},
        {"x_wcorig_0", "'_wcorig' in it"},
        {"snapshot1", "the beginning of the name 'snapshot1' is reserved"},
        {"pvmove0", "the beginning of the name 'pvmove0' is reserved"},
        {"-a", "LVM takes no name '-a'"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(logical_name_check(rows[i][0], &error));
        assert_non_null(strstr(error->message, rows[i][1]));
    }
}

/* --- tags ------------------------------------------------------------------------------------- */

static void tags_hold_any_text(void **unused)
{
    static const char *const texts[][2] = {
        {"plain-1.0+x_y", "cistern:snap=plain-1.0+x_y"},
        {"a b", "cistern:snap=a#20b"},
        {"\xff,#", "cistern:snap=#ff#2c#23"},
        {"", "cistern:snap="},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *tag = logical_tag("snap", texts[i][0]);
        char *tags[] = {(char *)"other", (char *)"cistern:snapped=no", tag, NULL};
        LvmVolume lv = {.tags = tags};
        g_autofree char *value = logical_tag_value(&lv, "snap");
        g_autofree char *none = logical_tag_value(&lv, "sna");

        assert_string_equal(tag, texts[i][1]);
        assert_string_equal(value, texts[i][0]);
        assert_null(none);
    }
}

/* Tags of other programs may have another form. */
static void truncated_tag_is_read_unchanged(void **unused)
{
    static const char *const texts[][2] = {
        {"cistern:snap=a#2", "a#2"}, {"cistern:snap=a#", "a#"},   {"cistern:snap=#2x", "#2x"},
        {"cistern:snap=#x2", "#x2"}, {"cistern:snap=#412", "A2"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        char *tags[] = {(char *)texts[i][0], NULL};
        LvmVolume lv = {.tags = tags};
        g_autofree char *value = logical_tag_value(&lv, "snap");

        assert_string_equal(value, texts[i][1]);
    }
}

/* --- content ---------------------------------------------------------------------------------- */

static CstBlob *open_thin(int flags)
{
    g_autofree char *path = fake_path("dev/vg/thin");
    int fd = open(path, flags | O_CLOEXEC);

    assert_true(fd >= 0);
    return logical_blob_new((LogicalState *)fake_state, fd, "thin", TRUE, NULL);
}

static void an_lv_is_read_and_written_as_a_file(void **unused)
{
    g_autoptr(CstBlob) blob = NULL;
    CstExtent extent = {0};
    uint64_t size = 0;
    char buf[6] = "";

    fake_add("thin", 8 * MIB, "Vwi-a-tz--", "", "");
    blob = open_thin(O_RDWR);
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, 8 * MIB);
    assert_true(cst_blob_pwrite(blob, "abcdef", 6, 4 * MIB, NULL));
    assert_true(cst_blob_flush(blob, NULL));
    assert_true(cst_blob_zero(blob, 4 * MIB + 1, 2, 0, NULL));
    assert_true(cst_blob_pread(blob, buf, 6, 4 * MIB, NULL));
    assert_memory_equal(buf, "a\0\0def", 6);
    assert_true(cst_blob_extent(blob, 0, size, &extent, NULL));
    assert_int_equal(extent.length, 4 * MIB);
    assert_int_equal(extent.flags, CST_EXTENT_HOLE | CST_EXTENT_ZERO);
    assert_true(cst_blob_allocate(blob, 0, 4096, NULL));
    assert_true(cst_blob_discard(blob, 4 * MIB, 4096, NULL));
    assert_true(cst_blob_pread(blob, buf, 6, 4 * MIB, NULL));
    assert_memory_equal(buf, "\0\0\0\0\0\0", 6);
}

/* The kernel reports an input/output error; the pool reports the cause. */
static void write_refused_by_a_full_pool_reports_no_space(void **unused)
{
    static const struct {
        const char *attr;
        CstErrorCode code;
        const char *words;
    } rows[] = {
        {"twi-aotzD-", CST_ERROR_NO_SPACE, "thin pool 'tp' of volume group 'vg' has no space"},
        {"twi-aotz--", CST_ERROR_IO, ""},
    };

    fake_add("thin", 8 * MIB, "Vwi-a-tz--", "", "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) written = NULL, zeroed = NULL;
        g_autoptr(CstBlob) blob = NULL;

        fake_add("tp", 64 * MIB, rows[i].attr, "", "");
        blob = open_thin(O_RDONLY); /* all writes fail */
        assert_false(cst_blob_pwrite(blob, "x", 1, 0, &written));
        assert_false(cst_blob_zero(blob, 0, 4096, 0, &zeroed));
        assert_int_equal(written->code, rows[i].code);
        assert_int_equal(zeroed->code, rows[i].code);
        assert_non_null(strstr(written->message, rows[i].words));
        assert_non_null(strstr(zeroed->message, rows[i].words));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draft_name_identifies_its_process),
        cmocka_unit_test(makers_of_other_starts_and_boots_are_dead),
        cmocka_unit_test(a_draft_is_of_its_token_only),
        cmocka_unit_test(snapshots_have_names_of_their_own),
        cmocka_unit_test(names_have_the_maximum_length_of_lvm),
        cmocka_unit_test(reserved_name_of_lvm_is_reported),
        cmocka_unit_test(tags_hold_any_text),
        cmocka_unit_test(truncated_tag_is_read_unchanged),
        TEST(an_lv_is_read_and_written_as_a_file),
        TEST(write_refused_by_a_full_pool_reports_no_space),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
