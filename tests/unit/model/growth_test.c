/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The decisions of the automatic extension, and its setting in the XML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/pool_def.h>
#include <model/xml_write.h>

#define EXTENT UINT64_C(4)

static CstGrowth space(CstGrowthKind kind, uint64_t size, uint64_t used)
{
    return (CstGrowth){.kind = kind, .size = size, .used = used, .unit = EXTENT, .copies = 1};
}

static void space_is_due_from_the_threshold_on(void **state)
{
    const CstAutoextend setting = {.threshold = 80, .step = 20}, off = {0};
    CstGrowth growth = space(CST_GROWTH_DATA, 1000, 799);
    uint64_t size = 0;

    assert_int_equal(cst_growth_plan(&setting, &growth, 1000, &size), CST_GROWTH_NOT_DUE);
    growth.used = 800;
    assert_int_equal(cst_growth_plan(&setting, &growth, 1000, &size), CST_GROWTH_DUE);
    assert_int_equal(size, 1200);
    assert_int_equal(cst_growth_plan(&off, &growth, 1000, &size), CST_GROWTH_NOT_DUE);
    growth.by_system = TRUE;
    assert_int_equal(cst_growth_plan(&setting, &growth, 1000, &size), CST_GROWTH_NOT_DUE);
    growth = space(CST_GROWTH_GROUP, 1000, 1000);
    assert_int_equal(cst_growth_plan(&setting, &growth, 0, &size), CST_GROWTH_NOT_DUE);
}

/* Each row: the space has 1000 bytes, all in use. */
static void step_is_limited_by_group_reserve_maximum_and_limit(void **state)
{
    static const struct {
        CstAutoextend setting;
        CstGrowthKind kind;
        uint64_t free, limit;
        uint8_t copies;
        CstGrowthVerdict verdict;
        uint64_t size;
    } rows[] = {
        {{80, 20, 0, 0}, CST_GROWTH_DATA, 1000, 0, 1, CST_GROWTH_DUE, 1200},
        /* Without a step the default is used. */
        {{80, 0, 0, 0}, CST_GROWTH_DATA, 1000, 0, 1, CST_GROWTH_DUE, 1200},
        /* A step is rounded up to extents, and is an extent at least. */
        {{80, 33, 0, 0}, CST_GROWTH_DATA, 1000, 0, 1, CST_GROWTH_DUE, 1332},
        /* The rest of the group is used. */
        {{80, 20, 0, 0}, CST_GROWTH_DATA, 103, 0, 1, CST_GROWTH_DUE, 1100},
        {{80, 20, 0, 0}, CST_GROWTH_DATA, 3, 0, 1, CST_GROWTH_NO_ROOM, 0},
        {{80, 20, 0, 900}, CST_GROWTH_DATA, 1000, 0, 1, CST_GROWTH_DUE, 1100},
        {{80, 20, 0, 1000}, CST_GROWTH_DATA, 1000, 0, 1, CST_GROWTH_NO_ROOM, 0},
        {{80, 20, 0, 2000}, CST_GROWTH_DATA, 1000, 0, 1, CST_GROWTH_NO_ROOM, 0},
        {{80, 20, 1100, 0}, CST_GROWTH_DATA, 1000, 0, 1, CST_GROWTH_DUE, 1100},
        {{80, 20, 1003, 0}, CST_GROWTH_DATA, 1000, 0, 1, CST_GROWTH_AT_MAXIMUM, 0},
        {{80, 20, 500, 0}, CST_GROWTH_DATA, 1000, 0, 1, CST_GROWTH_AT_MAXIMUM, 0},
        /* The group provides metadata twice. */
        {{80, 20, 0, 0}, CST_GROWTH_METADATA, 100, 0, 2, CST_GROWTH_DUE, 1048},
        {{80, 20, 0, 0}, CST_GROWTH_METADATA, 7, 0, 2, CST_GROWTH_NO_ROOM, 0},
        {{80, 20, 0, 0}, CST_GROWTH_METADATA, 1000, 1000, 2, CST_GROWTH_AT_MAXIMUM, 0},
        {{80, 20, 0, 0}, CST_GROWTH_SNAPSHOT, 1000, 1100, 1, CST_GROWTH_DUE, 1100},
        /* A snapshot with space for all changes cannot run full. */
        {{80, 20, 0, 0}, CST_GROWTH_SNAPSHOT, 1000, 1000, 1, CST_GROWTH_NOT_DUE, 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        CstGrowth growth = space(rows[i].kind, 1000, 1000);
        CstGrowthVerdict verdict;
        uint64_t size = 0;

        growth.limit = rows[i].limit;
        growth.copies = rows[i].copies;
        verdict = cst_growth_plan(&rows[i].setting, &growth, rows[i].free, &size);
        if (verdict != rows[i].verdict || size != rows[i].size)
            fail_msg("row %zu: verdict %d, size %" G_GUINT64_FORMAT, i, (int)verdict, size);
    }
}

static void interval_is_shorter_with_less_free_space_and_with_a_writer(void **state)
{
    const CstAutoextend setting = {.threshold = 80, .step = 20};
    const uint64_t gib = UINT64_C(1) << 30;
    CstGrowth large = space(CST_GROWTH_DATA, 1000 * gib, 0);
    CstGrowth small = space(CST_GROWTH_DATA, gib, gib / 2);
    CstGrowth metadata = space(CST_GROWTH_METADATA, gib, gib / 2);
    int64_t idle = cst_growth_interval(&setting, &small, 0);

    assert_int_equal(cst_growth_interval(&setting, &large, 0), 10 * G_TIME_SPAN_SECOND);
    /* A quarter of 512 MiB at 2 GiB/s. */
    assert_true(idle > 60 * G_TIME_SPAN_MILLISECOND && idle < 65 * G_TIME_SPAN_MILLISECOND);
    assert_true(cst_growth_interval(&setting, &metadata, 0) > idle);
    /* 800 GiB below the threshold at 100 GiB/s: half of 8 s. */
    assert_int_equal(cst_growth_interval(&setting, &large, 100 * gib), 4 * G_TIME_SPAN_SECOND);
    small.used = small.size;
    assert_int_equal(cst_growth_interval(&setting, &small, gib), 50 * G_TIME_SPAN_MILLISECOND);
}

static CstPoolDef *parse_setting(const char *attributes, GError **error)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='logical' xmlns:c='" CST_XML_NAMESPACE "'><name>g</name>"
                        "<source><name>g</name></source><target><path>/dev/g</path></target>"
                        "<c:autoextend %s/></pool>",
                        attributes);

    return cst_pool_def_parse(xml, 0, error);
}

static void setting_survives_a_round_trip(void **state)
{
    g_autoptr(CstPoolDef) def =
        parse_setting("threshold='70' step='5' maximum='4096' reserve='8192'", NULL);
    g_autofree char *text = cst_pool_def_format(def, NULL);
    g_autoptr(CstPoolDef) again = cst_pool_def_parse(text, 0, NULL);
    g_autoptr(CstPoolDef) copy = cst_pool_def_copy(again);

    assert_int_equal(copy->autoextend.threshold, 70);
    assert_int_equal(copy->autoextend.step, 5);
    assert_int_equal(copy->autoextend.maximum, 4096);
    assert_int_equal(copy->autoextend.reserve, 8192);
}

static void document_without_the_setting_has_no_element(void **state)
{
    g_autoptr(CstPoolDef) def = parse_setting("threshold='70'", NULL);
    g_autofree char *text = NULL;

    def->autoextend = (CstAutoextend){0};
    text = cst_pool_def_format(def, NULL);
    assert_null(strstr(text, "autoextend"));
    assert_null(strstr(text, "cistern"));
}

static void wrong_setting_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "step='20'",
                                        "threshold='0'",
                                        "threshold='100'",
                                        "threshold='x'",
                                        "threshold='80' step='0'",
                                        "threshold='80' step='101'",
                                        "threshold='80' maximum='-1'",
                                        "threshold='80' reserve='1G'"};

    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(parse_setting(wrong[i], &error));
        assert_int_equal(cst_error_code(error), CST_ERROR_CONFIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(space_is_due_from_the_threshold_on),
        cmocka_unit_test(step_is_limited_by_group_reserve_maximum_and_limit),
        cmocka_unit_test(interval_is_shorter_with_less_free_space_and_with_a_writer),
        cmocka_unit_test(setting_survives_a_round_trip),
        cmocka_unit_test(document_without_the_setting_has_no_element),
        cmocka_unit_test(wrong_setting_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
