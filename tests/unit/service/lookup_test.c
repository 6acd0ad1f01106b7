/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lookups of volumes by path while the storage of a pool fails. The failure is reported, because
 * the path may be a volume, and a volume is never used without a claim.
 */
#include "memory_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "core/pool.h"

static char *path_of_volume(CstPool *pool, const char *name)
{
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);

    return cst_pool_state_vol_path(storage, name);
}

static void assert_lookup(Fixture *f, const char *path, CstErrorCode code)
{
    g_autoptr(CstPool) found = NULL;
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    assert_false(cst_service_volume_by_path(f->service, path, &found, &name, &error));
    assert_true(g_error_matches(error, CST_ERROR, code));
}

static void lookup_fails_with_the_error_of_the_storage(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = memory_pool(f, "p");
    g_autofree char *path = path_of_volume(pool, "v");
    g_autoptr(CstPool) found = NULL;
    g_autofree char *name = NULL;

    assert_lookup(f, path, CST_ERROR_NO_VOL);
    memory_put("p", "v", 512);
    cst_memory_fault("scan_one", 1);
    assert_lookup(f, path, CST_ERROR_IO);
    assert_true(cst_service_volume_by_path(f->service, path, &found, &name, NULL));
    assert_string_equal(name, "v");
}

/* The definition has all properties of the base, so that it needs no volume. */
static gboolean create_overlay(CstPool *pool, const char *base, GError **error)
{
    g_autofree char *xml = g_strdup_printf("<volume><name>new</name><capacity>512</capacity>"
                                           "<backingStore><path>%s</path></backingStore></volume>",
                                           base);
    g_autofree char *made = NULL;

    return cst_vol_create(pool, xml, 0, NULL, &made, error);
}

static void overlay_is_not_created_without_a_claim_of_its_base(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autofree char *base = path_of_volume(pool, "v");
    g_autoptr(GError) error = NULL;

    memory_put("p", "v", 512);
    cst_memory_fault("scan_one", 1);
    assert_false(create_overlay(pool, base, &error));
    assert_true(cst_memory_struck());
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, memory_setup, memory_teardown)
    const struct CMUnitTest tests[] = {
        TEST(lookup_fails_with_the_error_of_the_storage),
        TEST(overlay_is_not_created_without_a_claim_of_its_base),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
