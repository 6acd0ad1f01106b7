/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faults.h"

#include <string.h>

#include <pool/memory.h>
#include <service/images.h>

#include "await.h"

/* Reactions of the service to callbacks that fail or hang. */

static void a_pool_does_not_start(Site *site)
{
    static const char *const during[] = {"start", "drop_drafts", "scan", "usage"};
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(during); i++) {
        assert_true(cst_pool_stop(site->pool, NULL, NULL));
        cst_memory_fault(during[i], 1);
        assert_false(cst_pool_start(site->pool, 0, NULL, &error));
        assert_error_says(&error, CST_ERROR_IO, during[i]);
        assert_false(cst_pool_is_active(site->pool));
        cst_memory_release();
        cst_pool_start(site->pool, 0, NULL, &error);
        assert_no_error(error);
    }
    cst_memory_fault("stop", 1);
    assert_false(cst_pool_stop(site->pool, NULL, &error));
    assert_error(&error, CST_ERROR_IO);
    assert_true(cst_pool_is_active(site->pool));
}

/* In one step where the backend has one, else by a draft. */
static void a_volume_is_made_either_way(Site *site)
{
    g_autofree char *all = NULL;
    g_autoptr(GError) error = NULL;

    /* No draft is asked for. */
    cst_memory_fault("vol_reserve", 1);
    volume_make(site, "once", VOLUME_SIZE);
    assert_false(cst_memory_struck());
    content_assert_all(site, "once", 0);

    cst_memory_release();
    cst_memory_fault_as("vol_make", 1, CST_ERROR_UNSUPPORTED);
    volume_make(site, "draft", VOLUME_SIZE);
    assert_true(cst_memory_struck());
    content_assert_all(site, "draft", 0);
    all = site_native(site, "p");
    assert_string_equal(all, "draft once");
}

/* Another process has made one of that name since the core looked. */
static void a_name_that_is_taken_meanwhile(Site *site)
{
    g_autofree char *xml = volume_xml(site, "v", VOLUME_SIZE);
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;

    cst_memory_fault_as("vol_make", 1, CST_ERROR_VOL_EXISTS);
    assert_false(cst_vol_create(site->pool, xml, 0, NULL, &made, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
}

/* A failed cleanup is left to the journal. */
static void a_draft_that_sticks(Site *site)
{
    g_autofree char *xml = volume_xml(site, "new", VOLUME_SIZE);
    g_autofree char *left = NULL;
    g_autofree char *after = NULL;
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;

    cst_memory_fault("vol_commit", 1);
    cst_memory_fault("vol_abandon", 1);
    assert_false(
        cst_vol_create(site->pool, xml, CST_VOL_CREATE_PREALLOC_FULL, NULL, &made, &error));
    assert_error_says(&error, CST_ERROR_IO, "vol_commit");
    left = site_native(site, "p");
    assert_string_not_equal(left, "");
    site_restart(site);
    after = site_native(site, "p");
    assert_string_equal(after, "");
}

/* A refresh that fails leaves the pool and what is known of it. */
static void a_pool_that_is_gone(Site *site)
{
    g_autofree char *problem = NULL;
    g_autoptr(GError) error = NULL;
    CstPoolInfo info;

    volume_make(site, "v", VOLUME_SIZE);
    cst_memory_fault("scan", 1);
    assert_false(cst_pool_refresh(site->pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_IO);
    cst_pool_get_info(site->pool, &info);
    assert_int_equal(info.state, CST_POOL_INACCESSIBLE);
    assert_int_equal(info.volumes, 1);
    problem = cst_pool_get_problem(site->pool);
    assert_non_null(strstr(problem, "scan"));
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    cst_pool_get_info(site->pool, &info);
    assert_int_equal(info.state, CST_POOL_RUNNING);
}

/* It is done, and what is shown of it comes from a second look. */
static void a_change_that_cannot_be_looked_at(Site *site)
{
    g_autofree char *xml = volume_xml(site, "v", VOLUME_SIZE);
    g_autofree char *names = NULL;
    g_autofree char *made = NULL;
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(GError) error = NULL;

    /* A creation in one step makes no query before it. */
    cst_memory_fault("scan_one", 1);
    cst_vol_create(site->pool, xml, 0, NULL, &made, &error);
    assert_no_error(error);
    assert_true(cst_memory_struck());
    names = volume_names(site);
    assert_string_equal(names, "v");

    cst_memory_fault("scan_one", 2);
    assert_true(cst_vol_resize(site->pool, "v", 2 * VOLUME_SIZE, 0, NULL, NULL));
    assert_true(cst_memory_struck());
    assert_int_equal(volume_size(site, "v"), 2 * VOLUME_SIZE);

    cst_memory_fault("scan_one", 2);
    assert_true(cst_vol_resize(site->pool, "v", 3 * VOLUME_SIZE, 0, NULL, NULL));
    rows = cst_pool_list_volumes(site->pool, NULL, 0, CST_VOL_ROWS_DETAILS, NULL);
    assert_int_equal(((CstVolRow *)rows->pdata[0])->info.capacity, 3 * VOLUME_SIZE);

    cst_memory_fault("scan_one", 2);
    cst_vol_flatten(site->pool, "v", NULL, &error);
    assert_no_error(error);
    assert_true(cst_memory_struck());
}

static void a_chain_that_cannot_be_looked_at(Site *site)
{
    g_autofree char *xml = volume_xml(site, "clone", VOLUME_SIZE);
    g_autofree char *made = NULL;
    g_autoptr(GPtrArray) chain = NULL;
    g_autoptr(GError) error = NULL;
    const CstChainRow *below;

    volume_make(site, "v", VOLUME_SIZE);
    assert_true(cst_vol_create_from(site->pool, xml, site->pool, "v", 0, NULL, &made, NULL));
    cst_memory_fault("scan_one", 1);
    assert_null(cst_vol_chain(site->pool, "clone", &error));
    assert_error_says(&error, CST_ERROR_IO, "scan_one");
    cst_memory_fault("scan_one", 2);
    chain = cst_vol_chain(site->pool, "clone", &error);
    assert_no_error(error);
    below = g_ptr_array_index(chain, 0);
    assert_string_equal(below->path, "p/v");
    assert_non_null(strstr(below->problem, "scan_one was told to fail"));
}

/* --- a callback that does not come back ------------------------------------------------------- */

static gpointer refresh(gpointer pool)
{
    return GINT_TO_POINTER(cst_pool_refresh(pool, 0, NULL, NULL));
}

static void a_hung_pool_delays_no_other(Site *site)
{
    g_autoptr(CstPool) other = site_make_pool(site, "q");
    g_autofree char *xml = volume_xml(site, "new", VOLUME_SIZE);
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;
    GThread *thread;

    volume_make(site, "v", VOLUME_SIZE);
    cst_memory_hang("scan");
    thread = g_thread_new("refresh", refresh, site->pool);
    AWAIT(cst_memory_hangs("scan"));
    cst_vol_create(other, xml, 0, NULL, &made, &error);
    assert_no_error(error);
    assert_true(cst_vol_delete(other, "new", 0, NULL, NULL));
    /* Work on volumes of the pool itself goes on beside its scan. */
    content_write(site, "v", 0, 1, 1);
    assert_true(cst_memory_hangs("scan"));
    cst_memory_release();
    assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
}

const ContractTest fault_tests[] = {
    {"every failed callback is told, and nothing is done", every_fault_is_told, 0, NULL},
    {"a pool that can't start is not active", a_pool_does_not_start, 0, NULL},
    {"a volume is made in one step, or by a draft", a_volume_is_made_either_way, 0, NULL},
    {"a name that is taken meanwhile stays its owner's", a_name_that_is_taken_meanwhile, 0, NULL},
    {"a draft that can't be dropped is dropped later", a_draft_that_sticks, 0, NULL},
    {"a failed refresh is a problem, not an empty pool", a_pool_that_is_gone, 0, NULL},
    {"a change that can't be looked at is shown", a_change_that_cannot_be_looked_at, 0, NULL},
    {"a chain that can't be looked at is told", a_chain_that_cannot_be_looked_at, 0, NULL},
    {"a hung pool delays no other", a_hung_pool_delays_no_other, 0, NULL},
    {0},
};
