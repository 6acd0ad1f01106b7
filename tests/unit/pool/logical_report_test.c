/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The validation of LVM's report, field by field, and the resulting record of a volume. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_lvm.h"

static const char whole[] =
    "{\"report\": [ {"
    "\"vg\": [{\"vg_name\":\"vg\", \"vg_uuid\":\"vu\", \"vg_size\":\"100\", \"vg_free\":\"40\", "
    "\"vg_extent_size\":\"4\", \"pv_count\":\"1\", \"lv_count\":\"1\"}], "
    "\"pv\": [{\"pv_missing\":\"\", \"pe_start\":\"1048576\", \"pv_name\":\"/dev/sda\"}], "
    "\"lv\": [{\"lv_uuid\":\"lu\", \"lv_name\":\"disk\", \"lv_attr\":\"-wi-a----\", "
    "\"lv_size\":\"60\", \"origin\":\"base\", \"origin_uuid\":\"bu\", \"pool_lv\":\"tp\", "
    "\"data_percent\":\"12.34\", \"metadata_percent\":\"56.78\", \"lv_metadata_size\":\"8\", "
    "\"lv_time\":\"1000\", \"lv_tags\":\"one,two\"}], "
    "\"seg\": [{\"lv_uuid\":\"lu\", \"segtype\":\"linear\", \"seg_start\":\"7\", "
    "\"seg_size\":\"60\", \"devices\":\"/dev/sda(2)\", \"thin_id\":\"\"}] } ] }";

/* Returns the report with the first @from after @part replaced by @to. */
static char *changed(const char *part, const char *from, const char *to)
{
    g_autofree char *heading = g_strdup_printf("\"%s\": [", part);
    const char *begin = strstr(whole, heading);
    const char *at = begin ? strstr(begin, from) : NULL;

    assert_non_null(at);
    return g_strdup_printf("%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
}

/* Parses the changed report; NULL: it was rejected. */
static LvmGroup *parse_changed(const char *part, const char *from, const char *to)
{
    g_autofree char *report = changed(part, from, to);
    g_autoptr(GError) error = NULL;
    LvmGroup *group = lvm_group_parse("vg", report, &error);

    assert_int_equal(group == NULL, error != NULL);
    if (error && !g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT))
        fail_msg("%s", error->message);
    return group;
}

static void all_fields_of_a_report_are_read(void **unused)
{
    g_autoptr(LvmGroup) group = lvm_group_parse("vg", whole, NULL);
    const LvmVolume *lv = lvm_group_find(group, "disk");
    const LvmSegment *segment = g_ptr_array_index(lv->segments, 0);

    assert_string_equal(group->name, "vg");
    assert_string_equal(group->uuid, "vu");
    assert_int_equal(group->size, 100);
    assert_int_equal(group->free, 40);
    assert_int_equal(group->extent_size, 4);
    assert_int_equal(group->devices->len, 1);
    assert_string_equal(((LvmPhysical *)g_ptr_array_index(group->devices, 0))->path, "/dev/sda");
    assert_int_equal(((LvmPhysical *)g_ptr_array_index(group->devices, 0))->start, MIB);
    assert_false(group->partial);
    assert_string_equal(lv->uuid, "lu");
    assert_string_equal(lv->attr, "-wi-a----");
    assert_false(lv->hidden);
    assert_int_equal(lv->size, 60);
    assert_string_equal(lv->origin, "base");
    assert_string_equal(lv->origin_uuid, "bu");
    assert_string_equal(lv->pool, "tp");
    assert_int_equal(lv->data, 1234);
    assert_int_equal(lv->metadata, 5678);
    assert_int_equal(lv->metadata_size, 8);
    assert_int_equal(lv->created, 1000);
    assert_int_equal(g_strv_length(lv->tags), 2);
    assert_string_equal(lv->tags[1], "two");
    assert_string_equal(segment->type, "linear");
    assert_int_equal(segment->start, 7);
    assert_int_equal(segment->size, 60);
    assert_string_equal(segment->devices, "/dev/sda(2)");
}

/* Fields that are missing, or a number where LVM has text. */
static void each_field_must_exist_with_its_type(void **unused)
{
    static const struct {
        const char *part;
        const char *fields[13];
    } rows[] = {
        {"vg",
         {"vg_name", "vg_uuid", "vg_size", "vg_free", "vg_extent_size", "pv_count", "lv_count"}},
        {"pv", {"pv_missing", "pv_name", "pe_start"}},
        {"lv",
         {"lv_uuid", "lv_name", "lv_attr", "lv_size", "origin", "origin_uuid", "pool_lv",
          "data_percent", "metadata_percent", "lv_metadata_size", "lv_time", "lv_tags"}},
        {"seg", {"lv_uuid", "segtype", "seg_start", "seg_size", "devices", "thin_id"}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        for (const char *const *field = rows[i].fields; *field; field++) {
            g_autofree char *key = g_strdup_printf("\"%s\":", *field);
            g_autofree char *missing = g_strdup_printf("\"no-%s\":", *field);
            g_autofree char *number = g_strdup_printf("\"%s\":7, \"was\":", *field);

            if (parse_changed(rows[i].part, key, missing))
                fail_msg("%s may be missing", *field);
            if (parse_changed(rows[i].part, key, number))
                fail_msg("%s may be a number", *field);
        }
}

static void each_part_must_be_a_list_of_objects(void **unused)
{
    static const char *const parts[] = {"vg", "pv", "lv", "seg"};

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *heading = g_strdup_printf("\"%s\": [", parts[i]);
        g_autofree char *missing = g_strdup_printf("\"no-%s\": [", parts[i]);
        g_autofree char *other = g_strdup_printf("\"%s\": {}, \"was\": [", parts[i]);
        g_autofree char *text = g_strdup_printf("\"%s\": [\"text\", ", parts[i]);

        assert_null(parse_changed(parts[i], heading, missing));
        assert_null(parse_changed(parts[i], heading, other));
        assert_null(parse_changed(parts[i], heading, text));
    }
}

/* Also in an empty group, which has no other field that could be missing. */
static void a_part_of_an_empty_group_must_be_a_list_as_well(void **unused)
{
    static const char *const parts[] = {"pv", "lv", "seg"};
    static const char *const wrong[] = {"{}", "[[]]", "[\"text\"]", "null"};

    for (size_t i = 0; i <= G_N_ELEMENTS(parts); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(wrong); j++) {
            const char *shape[] = {"[]", "[]", "[]"};
            g_autofree char *report = NULL;
            g_autoptr(LvmGroup) group = NULL;

            if (i < G_N_ELEMENTS(parts))
                shape[i] = wrong[j];
            report =
                g_strdup_printf("{\"report\": [{\"vg\": [{\"vg_name\":\"vg\", \"vg_uuid\":\"vu\", "
                                "\"vg_size\":\"1\", \"vg_free\":\"1\", \"vg_extent_size\":\"4\", "
                                "\"pv_count\":\"0\", \"lv_count\":\"0\"}], "
                                "\"pv\": %s, \"lv\": %s, \"seg\": %s}]}",
                                shape[0], shape[1], shape[2]);
            group = lvm_group_parse("vg", report, NULL);
            if ((group != NULL) != (i == G_N_ELEMENTS(parts)))
                fail_msg("%s", report);
        }
}

static void numbers_have_bounds(void **unused)
{
    static const struct {
        const char *part, *from, *to;
        gboolean believed;
    } rows[] = {
        {"vg", "\"40\"", "\"100\"", TRUE},
        {"vg", "\"40\"", "\"101\"", FALSE},
        {"vg", "\"40\"", "\"-1\"", FALSE},
        {"vg", "\"40\"", "\"4x\"", FALSE},
        {"vg", "\"100\"", "\"9223372036854775807\"", TRUE},
        {"vg", "\"100\"", "\"9223372036854775808\"", FALSE},
        {"vg", "size\":\"4\"", "size\":\"0\"", FALSE},
        {"vg", "pv_count\":\"1\"", "pv_count\":\"2\"", FALSE},
        {"vg", "pv_count\":\"1\"", "pv_count\":\"0\"", FALSE},
        {"vg", "lv_count\":\"1\"", "lv_count\":\"2\"", FALSE},
        {"vg", "lv_count\":\"1\"", "lv_count\":\"0\"", FALSE},
        {"vg", "[{",
         "[{\"vg_name\":\"vg\", \"vg_uuid\":\"u\", \"vg_size\":\"1\", "
         "\"vg_free\":\"0\", \"vg_extent_size\":\"4\"}, {",
         FALSE},
        {"lv", "\"60\"", "\"61\"", FALSE},
        {"lv", "-wi-a----", "-wi-a---", FALSE},
        {"lv", "\"disk\"", "\"[disk]\"", FALSE}, /* one visible LV fewer */
        {"lv", "\"8\"", "\"eight\"", FALSE},
        {"seg", "\"lu\"", "\"other\"", FALSE},
        {"seg", "\"60\"", "\"59\"", FALSE},
        {"seg", "[{", "[{\"lv_uuid\":\"other\"}, {", FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(LvmGroup) group = parse_changed(rows[i].part, rows[i].from, rows[i].to);

        if ((group != NULL) != rows[i].believed)
            fail_msg("%s for %s", rows[i].to, rows[i].from);
    }
}

static void percentages_are_hundredths(void **unused)
{
    static const struct {
        const char *text;
        int percent;
    } rows[] = {
        {"", LVM_PERCENT_UNKNOWN}, {"0.00", 0},       {"0.01", 1},
        {"99.99", 9999},           {"100.00", 10000}, {"100", 10000},
    };
    static const char *const wrong[] = {"100.01", "-1", "x", "1x", ".5", "+5", " 5", "nan"};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(LvmGroup) data = parse_changed("lv", "12.34", rows[i].text);
        g_autoptr(LvmGroup) metadata = parse_changed("lv", "56.78", rows[i].text);

        assert_int_equal(lvm_group_find(data, "disk")->data, rows[i].percent);
        assert_int_equal(lvm_group_find(metadata, "disk")->metadata, rows[i].percent);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        if (parse_changed("lv", "12.34", wrong[i]))
            fail_msg("'%s' is a percentage", wrong[i]);
}

static void empty_field_is_absent(void **unused)
{
    g_autoptr(LvmGroup) origin = parse_changed("lv", "\"base\"", "\"\"");
    g_autoptr(LvmGroup) hidden = parse_changed("lv", "\"base\"", "\"[base]\"");
    g_autoptr(LvmGroup) brackets = parse_changed("lv", "\"base\"", "\"[]\"");
    g_autoptr(LvmGroup) pool = parse_changed("lv", "\"tp\"", "\"\"");
    g_autoptr(LvmGroup) metadata = parse_changed("lv", "\"8\"", "\"\"");
    g_autoptr(LvmGroup) missing = parse_changed("pv", "\"\"", "\"missing\"");

    assert_null(lvm_group_find(origin, "disk")->origin);
    assert_null(lvm_group_find(hidden, "disk")->origin);
    assert_string_equal(lvm_group_find(brackets, "disk")->origin, "[]");
    assert_null(lvm_group_find(pool, "disk")->pool);
    assert_int_equal(lvm_group_find(metadata, "disk")->metadata_size, 0);
    assert_true(missing->partial);
}

/* Two LVs with the same name or UUID. */
static void names_and_uuids_are_unique(void **unused)
{
#define SECOND(uuid, name)                                                                      \
    "\"lv\": [{\"lv_uuid\":\"" uuid "\", \"lv_name\":\"" name "\", \"lv_attr\":\"-wi-a----\", " \
    "\"lv_size\":\"0\", \"origin\":\"\", \"origin_uuid\":\"\", \"pool_lv\":\"\", "              \
    "\"data_percent\":\"\", \"metadata_percent\":\"\", \"lv_metadata_size\":\"\", "             \
    "\"lv_time\":\"0\", \"lv_tags\":\"\"}, "
    g_autoptr(LvmGroup) other = parse_changed("lv", "\"lv\": [", SECOND("uo", "[other]"));

    assert_true(lvm_group_find(other, "other")->hidden);
    assert_int_equal(other->volumes->len, 2);
    assert_null(parse_changed("lv", "\"lv\": [", SECOND("uo", "[disk]")));
    assert_null(parse_changed("lv", "\"lv\": [", SECOND("lu", "[other]")));
}

/* --- the record ------------------------------------------------------------------------------- */

/* The record has the owner, mode and times of the node. */
static void a_record_has_the_nodes_owner_and_times(void **unused)
{
    g_autofree char *node = fake_path("dev/vg/disk");
    g_autoptr(CstVolume) volume = NULL;
    struct stat st;

    fake_add("disk", 4 * MIB, "-wi-a-----", "", "");
    assert_int_equal(chmod(node, 0641), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(node, 12, 34), 0);
    assert_int_equal(stat(node, &st), 0);
    assert_true(cst_pool_state_scan_one(fake_state, "disk", NULL, &volume, NULL));
    assert_int_equal(volume->mode, 0641);
    assert_int_equal(volume->uid, st.st_uid);
    assert_int_equal(volume->gid, st.st_gid);
    assert_int_equal(volume->atime_ns, st.st_atim.tv_sec * 1000000000L + st.st_atim.tv_nsec);
    assert_int_equal(volume->stamp.mtime_ns, st.st_mtim.tv_sec * 1000000000L + st.st_mtim.tv_nsec);
    assert_int_equal(volume->stamp.ctime_ns, st.st_ctim.tv_sec * 1000000000L + st.st_ctim.tv_nsec);
    /* A device node, as real LVs have it. */
    g_clear_pointer(&volume, cst_volume_unref);
    assert_int_equal(unlink(node), 0);
    assert_int_equal(symlink("/dev/null", node), 0);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(cst_pool_state_scan_one(fake_state, "disk", NULL, &volume, NULL));
    assert_int_not_equal(st.st_rdev, 0);
    assert_int_equal(volume->stamp.device, st.st_rdev);
}

static void record_has_the_origin(void **unused)
{
    static const struct {
        const char *attr, *origin, *backing, *thin_pool;
    } rows[] = {
        {"-wi-a-----", "", NULL, NULL},
        {"swi-a-s---", "base", "/dev/vg/base", NULL},
        {"Vwi-a-tz--", "base", "/dev/vg/base", "tp"},
        {"Vwi-a-tz--", ".cistern-1.old", NULL, "tp"}, /* hidden object of ours */
        {"Vwi-a-tz--", "", NULL, "tp"},
    };

    fake_add("base", 4 * MIB, "owi-a-s---", "", "");
    fake_add(".cistern-1.old", 4 * MIB, "Vwi-a-tz--", "", "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstVolume) volume = NULL;

        fake_add("disk", 4 * MIB, rows[i].attr, rows[i].origin, "");
        assert_true(cst_pool_state_scan_one(fake_state, "disk", NULL, &volume, NULL));
        assert_true(g_strcmp0(volume->extra->backing_path, rows[i].backing) == 0);
        assert_true(g_strcmp0(volume->extra->backing_format, rows[i].backing ? "raw" : NULL) == 0);
        if (rows[i].backing)
            assert_int_equal(volume->extra->backing_trust, CST_TRUST_NAMED);
        assert_true(g_strcmp0(cst_options_get(volume->extra->options, "thin-pool"),
                              rows[i].thin_pool) == 0);
    }
}

static void parts_of_parts_have_a_bound(void **unused)
{
    enum { DEEPEST = 6 };

    for (int i = 0; i <= DEEPEST; i++) {
        g_autofree char *name = g_strdup_printf("[part%d]", i);
        g_autofree char *place = g_strdup_printf("place/[part%d]", i);
        g_autofree char *below = g_strdup_printf("part%d(0)", i + 1);

        fake_add(name, 4 * MIB, "iwi-aor---", "", "");
        fake_put(place, i < DEEPEST ? below : "/dev/sda(2)");
    }
    fake_add("disk", 4 * MIB, "rwi-a-r---", "", "");
    for (int first = 1; first >= 0; first--) {
        g_autofree char *below = g_strdup_printf("part%d(0)", first);
        g_autoptr(CstVolume) volume = NULL;
        g_autoptr(GError) error = NULL;

        fake_put("place/disk", below);
        assert_int_equal(cst_pool_state_scan_one(fake_state, "disk", NULL, &volume, &error),
                         first == 1);
        if (first == 0)
            assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    }
}

/* A known record is kept while it matches. A record that differs is replaced. */
static void record_is_kept_until_a_field_changes(void **unused)
{
    static const struct {
        const char *attr;
        mode_t mode;
        const char *place;
    } rows[] = {
        {"-wi-a-----", 0600, "/dev/sda(2)"}, {"-wi-a-----", 0640, "/dev/sda(2)"},
        {"-wi-a-----", 0640, "/dev/sda(3)"}, {"-wi-a-----", 0640, "/dev/sdb(3)"},
        {"Vwi-a-tz--", 0640, "/dev/sdb(3)"}, {"-wi-a-----", 0640, "/dev/sdb(3)"},
    };
    g_autofree char *node = fake_path("dev/vg/disk");
    g_autoptr(CstVolume) known = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        CstVolume *volume = NULL;

        fake_add("disk", 4 * MIB, rows[i].attr, "", "");
        fake_put("place/disk", rows[i].place);
        assert_int_equal(chmod(node, rows[i].mode), 0);
        assert_true(cst_pool_state_scan_one(fake_state, "disk", known, &volume, NULL));
        assert_ptr_not_equal(volume, known);
        g_clear_pointer(&known, cst_volume_unref);
        known = volume;
        assert_true(cst_pool_state_scan_one(fake_state, "disk", known, &volume, NULL));
        assert_ptr_equal(volume, known);
        cst_volume_unref(volume);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields_of_a_report_are_read),
        cmocka_unit_test(each_field_must_exist_with_its_type),
        cmocka_unit_test(each_part_must_be_a_list_of_objects),
        cmocka_unit_test(a_part_of_an_empty_group_must_be_a_list_as_well),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(percentages_are_hundredths),
        cmocka_unit_test(empty_field_is_absent),
        cmocka_unit_test(names_and_uuids_are_unique),
        TEST(record_has_the_origin),
        TEST(parts_of_parts_have_a_bound),
        TEST(a_record_has_the_nodes_owner_and_times),
        TEST(record_is_kept_until_a_field_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
