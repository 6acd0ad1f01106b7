/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <model/pool_def.h>

static void every_type_has_a_whole_row(void **state)
{
    for (int type = 0; type < CST_POOL_TYPE_LAST; type++) {
        const CstPoolTypeInfo *info = cst_pool_type_info(type);
        CstPoolType parsed;

        assert_non_null(info);
        assert_true(cst_pool_type_parse(info->name, &parsed));
        assert_int_equal(parsed, type);
        assert_false(info->volume_formats && info->volume_marks);
        assert_true((info->volume_formats || info->volume_marks) == !!info->listed_formats);
        assert_true(!info->listed_formats == !info->default_volume_format);
        if (info->volume_marks)
            assert_true(cst_pool_volume_mark_ok(type, info->default_volume_format));
        if (info->volume_formats)
            assert_true(cst_pool_volume_format_ok(type, info->default_volume_format));
        if (info->source_formats)
            assert_non_null(cst_pool_format_name(type, info->default_source_format));
        assert_non_null(cst_vol_type_name(info->volume_type));
    }
    assert_null(cst_pool_type_info(CST_POOL_TYPE_LAST));
    assert_null(cst_pool_type_info(-1));
}

static void names_outside_the_lists_are_not_parsed(void **state)
{
    CstPoolType pool;
    CstVolType volume;
    int format;

    assert_false(cst_pool_type_parse("floppy", &pool));
    assert_false(cst_pool_type_parse(NULL, &pool));
    assert_false(cst_vol_type_parse("files", &volume));
    assert_false(cst_vol_type_parse(NULL, &volume));
    assert_false(cst_pool_format_parse(CST_POOL_DIR, "auto", &format));
    assert_false(cst_pool_format_parse(CST_POOL_NETFS, NULL, &format));
    assert_true(cst_pool_format_parse(CST_POOL_NETFS, "cifs", &format));
    assert_int_equal(format, 3);
    assert_false(cst_pool_volume_format_ok(CST_POOL_DIR, "none"));
    assert_false(cst_pool_volume_format_ok(CST_POOL_LOGICAL, "raw"));
    assert_false(cst_pool_volume_format_ok(CST_POOL_DIR, NULL));
    assert_false(cst_pool_volume_format_ok(CST_POOL_DISK, "linux"));
    assert_false(cst_pool_volume_mark_ok(CST_POOL_DIR, "linux"));
    assert_false(cst_pool_volume_mark_ok(CST_POOL_DISK, "raw"));
    assert_false(cst_pool_volume_mark_ok(CST_POOL_DISK, NULL));
    assert_true(cst_pool_volume_mark_ok(CST_POOL_DISK, "linux-swap"));
}

static void volume_types_have_libvirts_numbers(void **state)
{
    static const char *const names[] = {"file", "block", "dir", "network", "netdir", "ploop"};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        CstVolType type;

        assert_true(cst_vol_type_parse(names[i], &type));
        assert_int_equal(type, i);
    }
    assert_null(cst_vol_type_name(G_N_ELEMENTS(names)));
}

static void capabilities_report_the_built_in_types(void **state)
{
    gboolean supported[CST_POOL_TYPE_LAST] = {[CST_POOL_ZFS] = TRUE};
    g_autofree char *text = cst_pool_capabilities_format(supported);

    assert_non_null(strstr(text, "<pool type='zfs' supported='yes'>"));
    assert_non_null(strstr(text, "<pool type='dir' supported='no'>"));
    assert_non_null(strstr(text, "<pool type='sheepdog' supported='no'>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_a_whole_row),
        cmocka_unit_test(names_outside_the_lists_are_not_parsed),
        cmocka_unit_test(volume_types_have_libvirts_numbers),
        cmocka_unit_test(capabilities_report_the_built_in_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
