/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dispatcher of calls about many volumes: limits, and volumes that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/task.h>
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
static const char *const two_names[] = {"v", "w"};

static int set_up(void **unused)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_new(CST_POOL_DIR);

    def->name = g_strdup("p");
    pool = cst_pool_state_open(def, NULL, NULL);
    return pool ? 0 : -1;
}

static int tear_down(void **unused)
{
    cst_pool_state_unref(pool);
    return 0;
}

static guint many; /* holders of each volume */

static gboolean hold_many(CstPoolState *state, const char *const *names, guint count, CstTask *task,
                          GPtrArray **holders, GError **error)
{
    for (guint i = 0; i < count; i++)
        for (guint k = 0; k < many; k++)
            cst_holders_add(holders[i], k + 1, "%s", names[i]);
    return TRUE;
}

/* The holders of the other volumes are listed. */
static void volume_with_holders_over_the_limit_of_a_list_is_unknown(void **unused)
{
    gpointer real = (gpointer)odd_backend.vols_holders;
    g_autoptr(GPtrArray) lists = NULL, beyond = NULL;

    odd_backend.vols_holders = hold_many;
    many = CST_HOLDERS_MAX / 2;
    lists = cst_pool_state_vols_holders(pool, two_names, 2, NULL, NULL);
    assert_non_null(lists);
    assert_int_equal(((GPtrArray *)lists->pdata[1])->len, many);
    many++;
    beyond = cst_pool_state_vols_holders(pool, two_names, 2, NULL, NULL);
    assert_non_null(beyond);
    assert_int_equal(((GPtrArray *)beyond->pdata[0])->len, many);
    assert_null(beyond->pdata[1]);
    odd_backend.vols_holders = real;
}

static gboolean hold_first(CstPoolState *state, const char *name, GPtrArray *holders,
                           GError **error)
{
    if (strcmp(name, two_names[0]) != 0)
        return cst_fail(error, CST_ERROR_BUSY, "no answer");
    cst_holders_add(holders, 1, "one");
    return TRUE;
}

static void holders_of_a_volume_that_fails_are_unknown(void **unused)
{
    gpointer real = (gpointer)odd_backend.vols_holders, one = (gpointer)odd_backend.vol_holders;
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GPtrArray) lists = NULL, none = NULL;
    g_autoptr(GError) error = NULL;

    odd_backend.vols_holders = NULL;
    odd_backend.vol_holders = hold_first;
    lists = cst_pool_state_vols_holders(pool, two_names, 2, task, &error);
    assert_non_null(lists);
    assert_int_equal(lists->len, 2);
    assert_int_equal(((GPtrArray *)lists->pdata[0])->len, 1);
    assert_null(lists->pdata[1]);
    cst_task_cancel(task);
    none = cst_pool_state_vols_holders(pool, two_names, 2, task, &error);
    assert_null(none);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
    odd_backend.vols_holders = real;
    odd_backend.vol_holders = one;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(volume_with_holders_over_the_limit_of_a_list_is_unknown,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(holders_of_a_volume_that_fails_are_unknown, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
