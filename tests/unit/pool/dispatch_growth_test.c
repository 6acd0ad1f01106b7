/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dispatcher of spaces that can be extended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <pool/pool.h>

#include "odd_backend.h"

/* Replaces the registry. */
const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &odd_backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return TRUE;
}

static CstPoolState *pool;

static int set_up(void **unused)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_new(CST_POOL_DIR);

    def->name = g_strdup("p");
    odd_how = ODD_RIGHT;
    pool = cst_pool_state_open(def, NULL, NULL);
    return pool ? 0 : -1;
}

static int tear_down(void **unused)
{
    cst_dry_run_set(FALSE);
    cst_pool_state_unref(pool);
    return 0;
}

static gboolean call_growths(GError **error)
{
    g_autoptr(GPtrArray) growths = cst_pool_state_growths(pool, TRUE, error);

    return growths != NULL;
}

static gboolean call_growth_use(GError **error)
{
    CstGrowth growth = {.kind = CST_GROWTH_DATA};

    return cst_pool_state_growth_use(pool, &growth, error);
}

static gboolean call_grow(GError **error)
{
    const CstGrowth growth = {.kind = CST_GROWTH_DATA};

    return cst_pool_state_grow(pool, &growth, 1, error);
}

static const OddCall calls[] = {
    {"growths", call_growths, NULL},
    {"growth_use", call_growth_use, NULL},
    {"grow", call_grow, NULL},
};

static char *blame(const char *slot)
{
    return g_strdup("'p': the dir backend's");
}

static char *trace(const OddCall *call)
{
    return g_strdup_printf("dir.%s 'p': ", call->slot);
}

static const OddDispatcher dispatcher = {calls, G_N_ELEMENTS(calls), blame, trace};

static void result_and_error_of_growths_are_handed_on(void **unused)
{
    odd_assert_handed_on(&dispatcher);
}

static void backend_that_breaks_the_contract_of_growths_is_named(void **unused)
{
    odd_assert_broken_are_named(&dispatcher);
}

static void pool_without_growths_is_reported(void **unused)
{
    gboolean (*real)(CstPoolState *, gboolean, GPtrArray *, GError **) = odd_backend.growths;

    odd_backend.growths = NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(calls[i].call(&error));
        assert_int_equal(cst_error_code(error), CST_ERROR_NO_SUPPORT);
        assert_non_null(strstr(error->message, "no spaces that can be extended"));
    }
    odd_backend.growths = real;
}

static void dry_run_extends_no_space(void **unused)
{
    g_autoptr(GError) error = NULL;

    cst_dry_run_set(TRUE);
    assert_true(call_growths(NULL) && call_growth_use(NULL));
    assert_false(call_grow(&error));
    assert_int_equal(cst_error_code(error), CST_ERROR_DRY_RUN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(result_and_error_of_growths_are_handed_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(backend_that_breaks_the_contract_of_growths_is_named,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(pool_without_growths_is_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dry_run_extends_no_space, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
