/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <service/trash.h>
#include <store/trash.h>

#include "await.h"

/* Deleted volumes that the pool keeps: they are no volumes, and come back as what they were. */

#define BLOCKS (VOLUME_SIZE / TAG_BLOCK)

/* --- what the tests do ------------------------------------------------------------------------ */

static void delete_it(Site *site, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_delete(site->pool, name, 0, NULL, &error);
    assert_no_error(error);
}

static void delete_at_once(Site *site, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_delete(site->pool, name, site_delete_flags(site) | CST_VOL_DELETE_AT_ONCE, NULL,
                   &error);
    assert_no_error(error);
}

static void restore_it(Site *site, const char *which, const char *new_name, const char *wanted)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    cst_pool_trash_restore(site->pool, which, new_name, NULL, &name, &error);
    assert_no_error(error);
    assert_string_equal(name, wanted);
}

static void assert_not_restored(Site *site, const char *which, const char *new_name, int code)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_trash_restore(site->pool, which, new_name, NULL, &name, &error));
    assert_null(name);
    assert_error(&error, code);
}

static void empty_it(Site *site, const char *which, int64_t older_than, guint wanted)
{
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    guint count;

    cst_pool_trash_empty(site->pool, which, older_than, NULL, &count, &bytes, &error);
    assert_no_error(error);
    assert_int_equal(count, wanted);
}

static GPtrArray *listed(Site *site)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *rows = cst_pool_trash_list(site->pool, &error);

    assert_no_error(error);
    return rows;
}

/* Returns the former names of the volumes in the trash, in the order of their deletion. */
static void assert_trash(Site *site, const char *wanted)
{
    g_autoptr(GPtrArray) rows = listed(site);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < rows->len; i++)
        g_string_append_printf(names, "%s%s", i ? " " : "", ((CstTrashRow *)rows->pdata[i])->name);
    assert_string_equal(names->str, wanted);
}

static guint count_trash(Site *site)
{
    g_autoptr(GPtrArray) rows = listed(site);

    return rows->len;
}

/* A backend with a cached report sees foreign changes when the report has expired. */
static void assert_trash_soon(Site *site, guint wanted)
{
    AWAIT_STATE(count_trash(site) == wanted, "%u volumes in the trash instead of %u",
                count_trash(site), wanted);
}

static void assert_names(Site *site, const char *wanted)
{
    g_autofree char *names = volume_names(site);

    assert_string_equal(names, wanted);
}

static void assert_native(Site *site, const char *wanted)
{
    g_autofree char *native = site_native(site, "p");

    assert_string_equal(native, wanted);
}

/* --- one volume ------------------------------------------------------------------------------- */

/* The hidden name is nobody's to use. */
static void assert_out_of_sight(Site *site, const CstTrashRow *row)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_has_volume(site->pool, row->hidden, NULL));
    assert_null(cst_vol_get_path(site->pool, row->hidden, NULL));
    assert_false(cst_vol_delete(site->pool, row->hidden, 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_false(cst_vol_rename(site->pool, row->hidden, "x", NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
}

static void it_comes_back(Site *site)
{
    g_autofree char *before = NULL;

    site_keep_deleted(site);
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    before = site_native(site, "p");
    delete_it(site, "v");
    assert_names(site, "");
    assert_trash(site, "v");
    site_restart(site);
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    assert_names(site, "");
    assert_trash(site, "v");
    {
        g_autoptr(GPtrArray) rows = listed(site);
        const CstTrashRow *row = rows->pdata[0];

        assert_true(row->has_size && row->allocation > 0);
        assert_int_equal(row->capacity, VOLUME_SIZE);
        assert_int_equal(row->until - row->deleted, 7 * 24 * 3600);
        assert_true(ABS(row->deleted - g_get_real_time() / G_USEC_PER_SEC) < 600);
        assert_int_equal(row->uid, getuid());
        assert_out_of_sight(site, row);
    }
    restore_it(site, "v", NULL, "v");
    assert_trash(site, "");
    assert_names(site, "v");
    assert_native(site, before);
    content_assert_all(site, "v", 1);
    volume_assert_found(site, "v");
    delete_at_once(site, "v");
    assert_trash(site, "");
    assert_not_restored(site, "v", NULL, CST_ERROR_NO_VOL);
}

/* The trash has the times of deletion in seconds. */
static void await_next_second(void)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;

    AWAIT(g_get_real_time() / G_USEC_PER_SEC > now);
}

static void names_may_meet(Site *site)
{
    g_autoptr(GPtrArray) rows = NULL;

    site_keep_deleted(site);
    for (uint32_t tag = 1; tag <= 3; tag++) {
        volume_make(site, "v", VOLUME_SIZE);
        content_write(site, "v", 0, BLOCKS, tag);
        if (tag < 3)
            delete_it(site, "v");
        await_next_second();
    }
    assert_trash(site, "v v");
    assert_not_restored(site, "v", "w", CST_ERROR_INVALID);
    rows = listed(site);
    assert_not_restored(site, ((CstTrashRow *)rows->pdata[0])->id, NULL, CST_ERROR_VOL_EXISTS);
    assert_not_restored(site, ((CstTrashRow *)rows->pdata[0])->id, ".", CST_ERROR_INVALID);
    assert_trash(site, "v v");
    for (guint i = 0; i < 2; i++) {
        g_autofree char *name = g_strdup_printf("w%u", i);
        const CstTrashRow *row = rows->pdata[i];

        restore_it(site, row->id, name, name);
    }
    content_assert_all(site, "v", 3);
    content_assert_all(site, "w0", 1);
    content_assert_all(site, "w1", 2);
    delete_at_once(site, "v");
    delete_at_once(site, "w0");
    delete_at_once(site, "w1");
}

static void it_is_removed_for_good(Site *site)
{
    g_autofree char *before = site_native(site, "p");

    volume_make(site, "old", VOLUME_SIZE);
    delete_it(site, "old");
    assert_native(site, before);
    site_keep_deleted(site);
    volume_make(site, "v", VOLUME_SIZE);
    volume_make(site, "w", VOLUME_SIZE);
    delete_it(site, "v");
    delete_it(site, "w");
    empty_it(site, NULL, 3600, 0);
    empty_it(site, "v", 0, 1);
    assert_trash(site, "w");
    empty_it(site, NULL, 0, 1);
    assert_trash(site, "");
    assert_native(site, before);
}

/* The records are in the root; the time of those that were called @name is over. */
static void let_days_pass(Site *site, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) records = cst_trash_list(site->paths, cst_pool_uuid(site->pool), &error);

    assert_no_error(error);
    for (guint i = 0; i < records->len; i++) {
        CstTrashed *one = records->pdata[i];

        one->until = strcmp(one->name, name) == 0 ? one->deleted - 1 : one->until;
        assert_true(cst_trash_set(site->paths, cst_pool_uuid(site->pool), one, NULL));
    }
}

static gboolean native_is(Site *site, const char *wanted)
{
    g_autofree char *native = site_native(site, "p");

    return strcmp(native, wanted) == 0;
}

/*
 * The daemon checks the trash when a pool starts, and every ten minutes. The records change while
 * the pool is inactive, so that the check of an earlier start cannot see them. Once this has
 * returned, the daemon makes no check in this test. @empty: the storage without the volume. A pool
 * that is read for the first time lists no volume yet, so the storage itself is awaited.
 */
static void assert_start_expires(Site *site, const char *name, const char *empty)
{
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    let_days_pass(site, name);
    assert_true(cst_pool_start(site->pool, 0, NULL, NULL));
    AWAIT(native_is(site, empty));
    assert_trash_soon(site, 0);
}

static void its_days_pass(Site *site)
{
    g_autofree char *before = site_native(site, "p");

    site_keep_deleted(site);
    volume_make(site, "u", VOLUME_SIZE);
    delete_it(site, "u");
    assert_start_expires(site, "u", before);
    volume_make(site, "v", VOLUME_SIZE);
    volume_make(site, "w", VOLUME_SIZE);
    delete_it(site, "v");
    delete_it(site, "w");
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    assert_trash(site, "v w");
    let_days_pass(site, "v");
    cst_dry_run_set(TRUE);
    cst_pool_refresh(site->pool, 0, NULL, NULL);
    cst_dry_run_set(FALSE);
    assert_trash(site, "v w");
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    assert_trash(site, "w");
    assert_start_expires(site, "w", before);
}

/* --- what goes along -------------------------------------------------------------------------- */

static void its_snapshots_come_back(Site *site)
{
    g_autofree char *before = NULL, *names = NULL, *fresh = NULL;
    g_autoptr(GError) error = NULL;

    site_keep_deleted(site);
    before = site_native(site, "p");
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    assert_true(cst_vol_snapshot_create(site->pool, "v", "one", 0, NULL, NULL));
    content_write(site, "v", 0, BLOCKS, 2);
    if (!site_has(site, GROUND_SNAPSHOTS_INSIDE)) {
        assert_false(cst_vol_delete(site->pool, "v", 0, NULL, &error));
        assert_error_says(&error, CST_ERROR_BUSY, "--delete-snapshots");
    }
    cst_vol_delete(site->pool, "v", site_delete_flags(site), NULL, &error);
    assert_no_error(error);
    volume_make(site, "v", VOLUME_SIZE);
    fresh = snapshot_names(site, "v");
    assert_string_equal(fresh, "");
    restore_it(site, "v", "w", "w");
    names = snapshot_names(site, "w");
    assert_string_equal(names, "one");
    content_assert_all(site, "w", 2);
    cst_vol_snapshot_revert(site->pool, "w", "one", NULL, NULL, &error);
    assert_no_error(error);
    content_assert_all(site, "w", 1);
    cst_vol_delete(site->pool, "w", site_delete_flags(site), NULL, &error);
    assert_no_error(error);
    delete_it(site, "v");
    empty_it(site, NULL, 0, 2);
    assert_native(site, before);
}

/* A clone refers to its source by an id, independently of the name. */
static void it_stays_below_its_clones(Site *site)
{
    g_autofree char *before = NULL, *xml = NULL, *made = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    guint count;

    site_keep_deleted(site);
    before = site_native(site, "p");
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    xml = volume_clone_xml(site, "v", "w");
    cst_vol_create_from(site->pool, xml, site->pool, "v", CST_VOL_CREATE_LINKED, NULL, &made,
                        &error);
    assert_no_error(error);
    delete_it(site, "w");
    assert_false(cst_vol_delete(site->pool, "v", CST_VOL_DELETE_AT_ONCE, NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "trash-empty");
    delete_it(site, "v");
    assert_names(site, "");
    restore_it(site, "w", NULL, "w");
    content_assert_all(site, "w", 1);
    assert_false(cst_pool_trash_empty(site->pool, NULL, 0, NULL, &count, &bytes, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_trash(site, "v");
    restore_it(site, "v", NULL, "v");
    content_assert_all(site, "v", 1);
    content_assert_all(site, "w", 1);
    delete_it(site, "w");
    delete_it(site, "v");
    /* The record has a later time of deletion, so that the source is the first of the two. */
    restore_it(site, "w", NULL, "w");
    await_next_second();
    delete_it(site, "w");
    assert_trash(site, "v w");
    /* All the same the clone goes before its source. */
    empty_it(site, NULL, 0, 2);
    assert_native(site, before);
}

/* However long its name is, the one in the trash is no longer than the technology takes. */
static void its_name_may_be_long(Site *site)
{
    g_autofree char *before = site_native(site, "p"), *name = g_strnfill(110, 'x'), *dashes = NULL;

    memset(name + 50, '_', 10);
    site_keep_deleted(site);
    volume_make(site, name, VOLUME_SIZE);
    delete_it(site, name);
    assert_trash(site, name);
    restore_it(site, name, NULL, name);
    assert_names(site, name);
    delete_it(site, name);
    empty_it(site, NULL, 0, 1);
    /* device-mapper writes each twice. */
    dashes = g_strdup("v----------------------------------------");
    volume_make(site, dashes, VOLUME_SIZE);
    delete_it(site, dashes);
    restore_it(site, dashes, NULL, dashes);
    delete_at_once(site, dashes);
    assert_native(site, before);
}

/* --- what keeps it where it is ---------------------------------------------------------------- */

static void assert_not_deleted(Site *site, const char *name, int code)
{
    g_autofree char *before = site_native(site, "p");
    g_autoptr(GError) error = NULL;

    assert_false(cst_vol_delete(site->pool, name, 0, NULL, &error));
    assert_error(&error, code);
    assert_native(site, before);
    assert_trash(site, "");
}

static void what_may_not_be_deleted_stays(Site *site)
{
    g_autofree char *xml = NULL, *made = NULL;
    g_autoptr(GError) error = NULL;

    site_keep_deleted(site);
    volume_make(site, "v", VOLUME_SIZE);
    assert_not_deleted(site, "none", CST_ERROR_NO_VOL);
    assert_true(cst_vol_protect(site->pool, "v", TRUE, NULL, NULL));
    assert_not_deleted(site, "v", CST_ERROR_STATE);
    assert_true(cst_vol_protect(site->pool, "v", FALSE, NULL, NULL));
    if (site->ground->hold) {
        site->ground->hold("p", "v");
        assert_not_deleted(site, "v", CST_ERROR_BUSY);
        site->ground->release("p", "v");
    }
    xml = volume_clone_xml(site, "v", "w");
    if (cst_vol_create_from(site->pool, xml, site->pool, "v", CST_VOL_CREATE_LINKED, NULL, &made,
                            &error)) {
        if (site_links_depend(site))
            assert_not_deleted(site, "v", CST_ERROR_BUSY);
        delete_at_once(site, "w");
    }
    delete_it(site, "v");
    assert_trash(site, "v");
    empty_it(site, NULL, 0, 1);
}

/* By its hidden name, which whoever looks at the storage can see. */
static void who_has_it_open_keeps_it(Site *site)
{
    g_autofree char *before = site_native(site, "p");
    g_autoptr(GPtrArray) rows = NULL;
    const char *hidden;
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    guint count;

    site_keep_deleted(site);
    volume_make(site, "u", VOLUME_SIZE);
    delete_it(site, "u");
    assert_start_expires(site, "u", before);
    volume_make(site, "v", VOLUME_SIZE);
    delete_it(site, "v");
    if (site->ground->hold) {
        rows = listed(site);
        hidden = ((CstTrashRow *)rows->pdata[0])->hidden;
        site->ground->hold("p", hidden);
        assert_not_restored(site, "v", NULL, CST_ERROR_BUSY);
        assert_false(cst_pool_trash_empty(site->pool, NULL, 0, NULL, &count, &bytes, &error));
        assert_error(&error, CST_ERROR_BUSY);
        let_days_pass(site, "v");
        assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
        assert_trash(site, "v");
        site->ground->release("p", hidden);
    }
    empty_it(site, NULL, 0, 1);
}

static void a_dry_run_changes_nothing(Site *site)
{
    g_autofree char *before = NULL, *name = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    guint count;

    site_keep_deleted(site);
    volume_make(site, "v", VOLUME_SIZE);
    volume_make(site, "w", VOLUME_SIZE);
    delete_it(site, "w");
    before = site_native(site, "p");
    cst_dry_run_set(TRUE);
    assert_false(cst_vol_delete(site->pool, "v", 0, NULL, &error));
    assert_error(&error, CST_ERROR_DRY_RUN);
    assert_false(cst_pool_trash_restore(site->pool, "w", NULL, NULL, &name, &error));
    assert_error(&error, CST_ERROR_DRY_RUN);
    assert_false(cst_pool_trash_restore(site->pool, "w", "v", NULL, &name, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
    assert_false(cst_pool_trash_empty(site->pool, NULL, 0, NULL, &count, &bytes, &error));
    assert_error(&error, CST_ERROR_DRY_RUN);
    cst_dry_run_set(FALSE);
    assert_native(site, before);
    assert_names(site, "v");
    assert_trash(site, "w");
    delete_it(site, "v");
    empty_it(site, NULL, 0, 2);
}

/* Undefined, the pool leaves its trash; deleted it is not before that is empty. */
static void a_pool_with_it_is_not_deleted(Site *site)
{
    g_autoptr(GError) error = NULL;

    site_keep_deleted(site);
    volume_make(site, "v", VOLUME_SIZE);
    delete_it(site, "v");
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    assert_trash(site, "v");
    assert_false(cst_pool_delete(site->pool, 0, NULL, &error));
    assert_error_says(&error, CST_ERROR_STATE, "trash-empty");
    assert_true(cst_pool_start(site->pool, 0, NULL, NULL));
    empty_it(site, NULL, 0, 1);
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    cst_pool_delete(site->pool, 0, NULL, &error);
    assert_no_error(error);
}

/* A volume that another program removed is not listed and prevents no operation. */
static void others_may_remove_it(Site *site)
{
    g_autoptr(GPtrArray) rows = NULL;

    site_keep_deleted(site);
    volume_make(site, "v", VOLUME_SIZE);
    delete_it(site, "v");
    rows = listed(site);
    site->ground->native_delete("p", ((CstTrashRow *)rows->pdata[0])->hidden);
    assert_trash_soon(site, 0);
    volume_make(site, "v", VOLUME_SIZE);
    delete_it(site, "v");
    restore_it(site, "v", NULL, "v");
    assert_not_restored(site, "v", NULL, CST_ERROR_NO_VOL);
    empty_it(site, NULL, 0, 0);
    delete_at_once(site, "v");
}

static void it_cannot(Site *site)
{
    g_autofree char *xml = site_trash_xml(site);
    g_autoptr(GError) error = NULL;

    assert_null(cst_service_pool_define(site->service, xml, 0, &error));
    assert_error_says(&error, CST_ERROR_NO_SUPPORT, "has no trash");
    empty_it(site, NULL, 0, 0);
}

const ContractTest trashed_tests[] = {
    {"a volume in the trash comes back", it_comes_back, GROUND_TRASH, it_cannot},
    {"volumes in the trash had one name", names_may_meet, GROUND_TRASH, NULL},
    {"the trash is emptied", it_is_removed_for_good, GROUND_TRASH, NULL},
    {"what is in the trash goes after its days", its_days_pass, GROUND_TRASH, NULL},
    {"a volume in the trash keeps its snapshots", its_snapshots_come_back,
     GROUND_TRASH | GROUND_SNAPSHOTS, NULL},
    {"what has clones is kept in the trash", it_stays_below_its_clones,
     GROUND_TRASH | GROUND_CLONES_DEPEND, NULL},
    {"a volume with a long name gets into the trash", its_name_may_be_long, GROUND_TRASH, NULL},
    {"what may not be deleted gets into no trash", what_may_not_be_deleted_stays, GROUND_TRASH,
     NULL},
    {"who has it open keeps what is in the trash", who_has_it_open_keeps_it, GROUND_TRASH, NULL},
    {"no trash changes in a dry run", a_dry_run_changes_nothing, GROUND_TRASH, NULL},
    {"a pool with something in its trash is not deleted", a_pool_with_it_is_not_deleted,
     GROUND_TRASH | GROUND_DELETES, NULL},
    {"a pool with something in its trash is not deleted with it", a_pool_with_it_is_not_deleted,
     GROUND_TRASH | GROUND_DELETES_ALL, NULL},
    {"what others take out of the trash is gone", others_may_remove_it, GROUND_TRASH, NULL},
    {0},
};
