/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The setting of the depth of backing chains, and its decisions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/chains.h>
#include <model/pool_def.h>

static CstPoolDef *parse_setting(const char *elements, GError **error)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='dir' xmlns:c='" CST_XML_NAMESPACE "'><name>a</name>"
                        "<target><path>/a</path></target>%s</pool>",
                        elements);

    return cst_pool_def_parse(xml, 0, error);
}

static void setting_survives_a_round_trip(void **state)
{
    static const struct {
        const char *elements;
        CstChainLimits limits;
    } rows[] = {
        {"<c:chains/>", {0}},
        {"<c:chains warn='8' refuse='16'/>", {8, 16}},
        {"<c:chains warn='2'/>", {2, 0}},
        {"<c:chains refuse='256'/>", {0, 256}},
        {"<c:chains warn='5' refuse='5'/>", {5, 5}},
        {"<c:chains warn='5'/><c:chains refuse='9'/>", {0, 9}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstPoolDef) def = parse_setting(rows[i].elements, NULL);
        g_autoptr(CstPoolDef) copy = cst_pool_def_copy(def);
        g_autofree char *text = cst_pool_def_format(copy, NULL);
        g_autoptr(CstPoolDef) again = cst_pool_def_parse(text, 0, NULL);

        assert_int_equal(again->chains.warn, rows[i].limits.warn);
        assert_int_equal(again->chains.refuse, rows[i].limits.refuse);
        assert_int_equal(strstr(text, "cistern") != NULL,
                         rows[i].limits.warn || rows[i].limits.refuse);
    }
}

static void wrong_setting_is_refused(void **state)
{
    static const char *const wrong[] = {
        "warn='1'",    "warn='257'", "warn='x'",           "warn=''",
        "refuse='-1'", "refuse='1'", "warn='9' refuse='8'"};

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *element = g_strdup_printf("<c:chains %s/>", wrong[i]);
        g_autoptr(GError) error = NULL;

        assert_null(parse_setting(element, &error));
        assert_int_equal(cst_error_code(error), CST_ERROR_CONFIG);
    }
}

static void chain_is_judged_by_its_depth(void **state)
{
    static const struct {
        CstChainLimits limits;
        uint32_t depth;
        CstChainState state;
    } rows[] = {
        {{0, 0}, 7, CST_CHAIN_OK},   {{0, 0}, 8, CST_CHAIN_DEEP}, {{0, 0}, 200, CST_CHAIN_DEEP},
        {{3, 0}, 2, CST_CHAIN_OK},   {{3, 0}, 3, CST_CHAIN_DEEP}, {{3, 5}, 4, CST_CHAIN_DEEP},
        {{3, 5}, 5, CST_CHAIN_FULL}, {{3, 5}, 6, CST_CHAIN_FULL}, {{0, 4}, 3, CST_CHAIN_OK},
        {{0, 4}, 4, CST_CHAIN_FULL}, {{20, 0}, 19, CST_CHAIN_OK},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_int_equal(cst_chain_limits_judge(&rows[i].limits, rows[i].depth), rows[i].state);
    assert_string_equal(cst_chain_state_word(CST_CHAIN_DEEP), "deep");
    assert_null(cst_chain_state_word(CST_CHAIN_STATE_LAST));
    assert_null(cst_chain_state_word(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_survives_a_round_trip),
        cmocka_unit_test(wrong_setting_is_refused),
        cmocka_unit_test(chain_is_judged_by_its_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
