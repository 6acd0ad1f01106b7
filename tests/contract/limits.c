/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

#include <service/promise.h>
#include <service/trash.h>

/* Limits of a pool: a promise that exceeds one is refused, and existing volumes are left alone. */

static CstPoolPromise promise_now(Site *site)
{
    g_autoptr(GError) error = NULL;
    CstPoolPromise promise = {0};

    cst_pool_get_promise(site->pool, &promise, &error);
    assert_no_error(error);
    return promise;
}

/* Defines the pool with the element <limits> and @attributes. It counts at once. */
static void limits_set(Site *site, const char *attributes)
{
    g_autofree char *xml = cst_pool_get_xml(site->pool, CST_STORAGE_XML_INACTIVE, NULL);
    g_autofree char *limited = NULL;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GError) error = NULL;
    char *end = xml ? strstr(xml, "</pool>") : NULL;

    g_assert(end);
    *end = '\0';
    limited = g_strdup_printf("%s<c:limits xmlns:c='urn:cistern:storage:1.0' %s/></pool>", xml,
                              attributes);
    pool = cst_service_pool_define(site->service, limited, 0, &error);
    assert_no_error(error);
}

/* Limits the promise to the present one and @more bytes. Returns the present one. */
static uint64_t quota_set(Site *site, uint64_t more)
{
    uint64_t promised = promise_now(site).promised;
    g_autofree char *attributes =
        g_strdup_printf("quota='%" G_GUINT64_FORMAT "'", MAX(promised + more, 1));

    limits_set(site, attributes);
    return promised;
}

static void assert_refused(Site *site, const char *name, const char *words)
{
    g_autofree char *xml = volume_xml(site, name, VOLUME_SIZE);
    g_autofree char *made = NULL;
    g_autofree char *before = site_native(site, "p"), *after = NULL;
    g_autoptr(GError) error = NULL;
    const CstPoolPromise now = promise_now(site);

    assert_false(cst_vol_create(site->pool, xml, 0, NULL, &made, &error));
    assert_error_says(&error, CST_ERROR_NO_SPACE, words);
    after = site_native(site, "p");
    assert_string_equal(before, after);
    assert_int_equal(promise_now(site).promised, now.promised);
}

static void new_volume_above_the_quota_is_refused(Site *site)
{
    uint64_t promised;

    volume_make(site, "a", VOLUME_SIZE);
    promised = quota_set(site, VOLUME_SIZE);
    assert_true(promised >= VOLUME_SIZE);
    volume_make(site, "b", VOLUME_SIZE);
    assert_refused(site, "c", "quota");
    assert_true(cst_vol_delete(site->pool, "a", site_delete_flags(site), NULL, NULL));
    volume_make(site, "c", VOLUME_SIZE);
    assert_int_equal(promise_now(site).volumes, 2);
}

static void new_volume_above_the_number_is_refused(Site *site)
{
    limits_set(site, "volumes='1'");
    volume_make(site, "a", VOLUME_SIZE);
    assert_refused(site, "b", "--volumes");
    limits_set(site, "volumes='2'");
    volume_make(site, "b", VOLUME_SIZE);
}

/* Where a thousandth of the capacity is larger than a volume, promise_test.c has this case. */
static void new_volume_above_the_factor_is_refused(Site *site)
{
    const CstPoolPromise now = promise_now(site);

    if (now.capacity == 0 || now.capacity / 1000 >= VOLUME_SIZE)
        return;
    limits_set(site, "overcommit='0.001'");
    assert_refused(site, "a", "--overcommit");
    limits_set(site, "overcommit='1000'");
    volume_make(site, "a", VOLUME_SIZE);
}

static void clone_above_the_quota_is_refused(Site *site)
{
    g_autofree char *xml = NULL, *made = NULL;
    g_autoptr(GError) error = NULL;

    volume_make(site, "a", VOLUME_SIZE);
    content_write(site, "a", 0, 1, 1);
    xml = volume_clone_xml(site, "a", "b");
    quota_set(site, VOLUME_SIZE / 2);
    assert_false(cst_vol_create_from(site->pool, xml, site->pool, "a", 0, NULL, &made, &error));
    assert_error_says(&error, CST_ERROR_NO_SPACE, "quota");
    quota_set(site, VOLUME_SIZE);
    assert_true(cst_vol_create_from(site->pool, xml, site->pool, "a", 0, NULL, &made, &error));
    assert_no_error(error);
}

static void growth_above_the_quota_is_refused_and_a_shrink_is_not(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "a", VOLUME_SIZE);
    quota_set(site, VOLUME_SIZE / 2);
    assert_false(cst_vol_resize(site->pool, "a", 2 * VOLUME_SIZE, 0, NULL, &error));
    assert_error_says(&error, CST_ERROR_NO_SPACE, "quota");
    assert_int_equal(volume_size(site, "a"), VOLUME_SIZE);
    limits_set(site, "quota='1'");
    assert_true(
        cst_vol_resize(site->pool, "a", VOLUME_SIZE / 2, CST_VOL_RESIZE_SHRINK, NULL, &error));
    assert_no_error(error);
    quota_set(site, VOLUME_SIZE / 2);
    assert_true(cst_vol_resize(site->pool, "a", VOLUME_SIZE, 0, NULL, &error));
    assert_no_error(error);
}

static void snapshot_counts_until_it_is_deleted(Site *site)
{
    g_autoptr(GError) error = NULL;
    uint64_t promised;

    volume_make(site, "a", VOLUME_SIZE);
    content_write(site, "a", 0, 1, 1);
    promised = quota_set(site, VOLUME_SIZE / 2);
    assert_false(cst_vol_snapshot_create(site->pool, "a", "one", 0, NULL, &error));
    assert_error_says(&error, CST_ERROR_NO_SPACE, "quota");
    quota_set(site, VOLUME_SIZE);
    assert_true(cst_vol_snapshot_create(site->pool, "a", "one", 0, NULL, &error));
    assert_no_error(error);
    assert_true(promise_now(site).promised > promised);
    assert_false(cst_vol_snapshot_create(site->pool, "a", "two", 0, NULL, &error));
    assert_error_says(&error, CST_ERROR_NO_SPACE, "quota");
    assert_true(cst_vol_snapshot_delete(site->pool, "a", "one", NULL, &error));
    assert_no_error(error);
    assert_true(promise_now(site).promised <= promised + VOLUME_SIZE / 2);
    assert_true(cst_vol_snapshot_create(site->pool, "a", "two", 0, NULL, &error));
    assert_no_error(error);
}

/* The snapshots of a deleted volume do not count. They count again after its restoration. */
static void restored_volume_counts_again(Site *site)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *restored = NULL;

    site_keep_deleted(site);
    volume_make(site, "a", VOLUME_SIZE);
    assert_true(cst_vol_delete(site->pool, "a", 0, NULL, &error));
    assert_no_error(error);
    assert_int_equal(promise_now(site).promised, 0);
    limits_set(site, "quota='1024'");
    assert_false(cst_pool_trash_restore(site->pool, "a", NULL, NULL, &restored, &error));
    assert_error_says(&error, CST_ERROR_NO_SPACE, "quota");
    limits_set(site, "volumes='1'");
    assert_true(cst_pool_trash_restore(site->pool, "a", NULL, NULL, &restored, &error));
    assert_no_error(error);
    assert_true(promise_now(site).promised >= VOLUME_SIZE);
}

static void full_pool_leaves_its_volumes_alone(Site *site)
{
    volume_make(site, "a", VOLUME_SIZE);
    volume_make(site, "b", VOLUME_SIZE);
    limits_set(site, "overcommit='0.001' quota='1' volumes='1'");
    content_write(site, "b", 0, 1, 1);
    site_restart(site);
    site_wait_active(site->pool);
    assert_refused(site, "c", "limit");
    assert_int_equal(volume_size(site, "b"), VOLUME_SIZE);
    content_write(site, "b", 1, 1, 2);
    assert_true(cst_vol_delete(site->pool, "a", site_delete_flags(site), NULL, NULL));
    assert_true(cst_vol_delete(site->pool, "b", site_delete_flags(site), NULL, NULL));
}

const ContractTest limit_tests[] = {
    {"limits: a new volume above the quota", new_volume_above_the_quota_is_refused, 0, NULL},
    {"limits: a new volume above the number", new_volume_above_the_number_is_refused, 0, NULL},
    {"limits: a new volume above the factor", new_volume_above_the_factor_is_refused, 0, NULL},
    {"limits: a clone above the quota", clone_above_the_quota_is_refused, 0, NULL},
    {"limits: a growth above the quota", growth_above_the_quota_is_refused_and_a_shrink_is_not,
     GROUND_RESIZES, NULL},
    {"limits: a snapshot counts until it is deleted", snapshot_counts_until_it_is_deleted,
     GROUND_SNAPSHOTS, NULL},
    {"limits: a restored volume counts again", restored_volume_counts_again, GROUND_TRASH, NULL},
    {"limits: a pool above them leaves its volumes alone", full_pool_leaves_its_volumes_alone, 0,
     NULL},
    {0},
};
