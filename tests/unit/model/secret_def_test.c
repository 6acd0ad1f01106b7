/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <model/secret_def.h>

static void usages_have_libvirts_numbers(void **state)
{
    static const char *const names[] = {"none", "volume", "ceph", "iscsi", "tls", "vtpm"};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        CstSecretUsage usage;

        assert_true(cst_secret_usage_parse(names[i], &usage));
        assert_int_equal(usage, i);
        assert_string_equal(cst_secret_usage_name(usage), names[i]);
    }
    assert_null(cst_secret_usage_name(G_N_ELEMENTS(names)));
    assert_null(cst_secret_usage_name(-1));
    assert_false(cst_secret_usage_parse("Volume", &(CstSecretUsage){0}));
    assert_false(cst_secret_usage_parse(NULL, &(CstSecretUsage){0}));
}

static void a_new_secret_is_neither_private_nor_ephemeral(void **state)
{
    g_autoptr(CstSecretDef) def = cst_secret_def_parse("<secret/>", 0, NULL);

    assert_non_null(def);
    assert_false(def->is_private);
    assert_false(def->ephemeral);
    assert_int_equal(def->usage, CST_SECRET_NONE);
    assert_null(def->usage_id);
    assert_false(cst_uuid_is_zero(&def->uuid));
}

static void id_is_in_the_element_of_its_usage(void **state)
{
    static const struct {
        CstSecretUsage usage;
        const char *text;
    } cases[] = {
        {CST_SECRET_VOLUME, "  <usage type='volume'>\n    <volume>a&amp;b</volume>\n  </usage>\n"},
        {CST_SECRET_CEPH, "  <usage type='ceph'>\n    <name>a&amp;b</name>\n  </usage>\n"},
        {CST_SECRET_ISCSI, "  <usage type='iscsi'>\n    <target>a&amp;b</target>\n  </usage>\n"},
        {CST_SECRET_TLS, "  <usage type='tls'>\n    <name>a&amp;b</name>\n  </usage>\n"},
        {CST_SECRET_VTPM, "  <usage type='vtpm'>\n    <name>a&amp;b</name>\n  </usage>\n"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(CstSecretDef) def = cst_secret_def_new();
        g_autoptr(CstSecretDef) again = NULL;
        g_autofree char *text = NULL;

        def->usage = cases[i].usage;
        def->usage_id = g_strdup("a&b");
        text = cst_secret_def_format(def);
        assert_non_null(strstr(text, cases[i].text));
        again = cst_secret_def_parse(text, 0, NULL);
        assert_int_equal(again->usage, cases[i].usage);
        assert_string_equal(again->usage_id, "a&b");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usages_have_libvirts_numbers),
        cmocka_unit_test(a_new_secret_is_neither_private_nor_ephemeral),
        cmocka_unit_test(id_is_in_the_element_of_its_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
