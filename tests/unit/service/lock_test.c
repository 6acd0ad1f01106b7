/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands without a daemon acquire the driver lock for each access to the definitions. If a daemon
 * starts in between, it holds the lock from then on. If such an access fails, the dependants of a
 * volume are unknown, which differs from a volume without dependants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/images.h>
#include <service/volumes.h>
#include <store/driver_lock.h>

#include "fixture.h"

/* Wrapped with --wrap: the counted-down attempt finds the lock held by another process. */
static guint looks_left;

gboolean __real_cst_driver_lock_acquire(CstDriverLock *lock, unsigned timeout_ms, GError **error);
gboolean __wrap_cst_driver_lock_acquire(CstDriverLock *lock, unsigned timeout_ms, GError **error);

gboolean __wrap_cst_driver_lock_acquire(CstDriverLock *lock, unsigned timeout_ms, GError **error)
{
    if (looks_left > 0 && --looks_left == 0)
        return cst_fail(error, CST_ERROR_BUSY, "a daemon has started");
    return __real_cst_driver_lock_acquire(lock, timeout_ms, error);
}

/* All these calls fail, because "base" has two overlays. */

static gboolean delete_base(CstPool *pool, GError **error)
{
    return cst_vol_delete(pool, "base", 0, NULL, error);
}

static gboolean wipe_base(CstPool *pool, GError **error)
{
    return cst_vol_wipe(pool, "base", CST_WIPE_ZERO, 0, NULL, error);
}

static gboolean commit_one(CstPool *pool, GError **error)
{
    return cst_vol_commit(pool, "one", NULL, 0, NULL, error);
}

/*
 * Makes "base" in a pool, and the overlays "one" and "two". Then switches to a service without a
 * daemon.
 */
static CstPool *make_chain(Fixture *f)
{
    g_autofree char *base = g_build_filename(f->images, "p", "base", NULL);
    g_autofree char *below = g_strdup_printf("<backingStore><path>%s</path><format type='raw'/>"
                                             "</backingStore>",
                                             base);
    CstPool *pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "base", "raw", "");
    fixture_create(pool, "one", "qcow2", below);
    fixture_create(pool, "two", "qcow2", below);
    cst_pool_unref(pool);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    pool = cst_service_pool_by_name(f->service, "p", &error);
    assert_no_error(error);
    return pool;
}

static void volume_is_kept_while_its_dependents_are_unknown(void **state)
{
    static gboolean (*const changes[])(CstPool *, GError **) = {delete_base, wipe_base, commit_one};
    g_autoptr(CstPool) pool = make_chain(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        guint look = 0;

        do {
            g_autoptr(GError) error = NULL;

            looks_left = ++look;
            if (changes[i](pool, &error))
                fail_msg("change %zu is made at look %u", i, look);
            assert_error(&error, CST_ERROR_BUSY);
        } while (looks_left == 0);
        looks_left = 0;
        assert_true(look > 1);
        assert_true(fixture_exists(*state, "p", "base"));
    }
}

static void a_chain_is_shown_whole_or_not_at_all(void **state)
{
    g_autoptr(CstPool) pool = make_chain(*state);
    guint look = 0;

    do {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) rows = NULL;

        looks_left = ++look;
        rows = cst_vol_chain(pool, "one", &error);
        if (rows)
            assert_int_equal(rows->len, 3);
        else
            assert_error(&error, CST_ERROR_BUSY);
    } while (looks_left == 0);
    looks_left = 0;
    assert_true(look > 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(volume_is_kept_while_its_dependents_are_unknown),
        TEST(a_chain_is_shown_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
