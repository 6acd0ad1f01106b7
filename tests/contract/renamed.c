/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

#include <base/dry_run.h>
#include <service/images.h>

#include "await.h"

/* Another name for a volume: what it holds, what it has, and what is based on it go on. */

#define BLOCKS (VOLUME_SIZE / TAG_BLOCK)

static void rename_it(Site *site, const char *name, const char *new_name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_rename(site->pool, name, new_name, NULL, &error);
    assert_no_error(error);
}

static void assert_names(Site *site, const char *wanted)
{
    g_autofree char *names = volume_names(site);

    assert_string_equal(names, wanted);
}

static void assert_refused(Site *site, const char *name, const char *new_name, int code)
{
    g_autofree char *before = site_native(site, "p");
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;

    assert_false(cst_vol_rename(site->pool, name, new_name, NULL, &error));
    assert_error(&error, code);
    after = site_native(site, "p");
    assert_string_equal(after, before);
}

static void delete_it(Site *site, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_delete(site->pool, name, site_delete_flags(site), NULL, &error);
    assert_no_error(error);
}

/* --- one volume ------------------------------------------------------------------------------- */

static void it_is_the_same(Site *site)
{
    g_autofree char *before = NULL, *after = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    before = site_native(site, "p");
    rename_it(site, "v", "new");
    assert_names(site, "new");
    content_assert_all(site, "new", 1);
    volume_assert_found(site, "new");
    assert_int_equal(volume_size(site, "new"), VOLUME_SIZE);
    site_restart(site);
    assert_names(site, "new");
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    assert_names(site, "new");
    content_assert_all(site, "new", 1);
    rename_it(site, "new", "v");
    after = site_native(site, "p");
    assert_string_equal(after, before);
    assert_refused(site, "new", "newer", CST_ERROR_NO_VOL);
}

static char *identity_of(Site *site, const char *name)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) error = NULL;
    char *identity;

    cst_pool_state_scan_one(state, name, NULL, &volume, &error);
    assert_no_error(error);
    identity = cst_pool_state_vol_identity(state, volume, &error);
    assert_no_error(error);
    assert_string_not_equal(identity, "");
    return identity;
}

static void it_is_told_from_any_other(Site *site)
{
    g_autofree char *first = NULL, *renamed = NULL, *second = NULL, *third = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    first = identity_of(site, "v");
    rename_it(site, "v", "new");
    renamed = identity_of(site, "new");
    assert_string_equal(renamed, first);
    volume_make(site, "v", VOLUME_SIZE);
    second = identity_of(site, "v");
    assert_string_not_equal(second, first);
    site->ground->native_delete("p", "v");
    await_file_clock(); /* a new file may have the same inode: its time of birth differs */
    site->ground->native_create("p", "v", VOLUME_SIZE);
    third = identity_of(site, "v");
    assert_string_not_equal(third, second);
}

static void its_protection_goes_along(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    assert_true(cst_vol_protect(site->pool, "v", TRUE, NULL, NULL));
    rename_it(site, "v", "new");
    assert_false(cst_vol_delete(site->pool, "new", 0, NULL, &error));
    assert_error_says(&error, CST_ERROR_STATE, "is protected");
    site_restart(site);
    assert_false(cst_vol_delete(site->pool, "new", 0, NULL, &error));
    assert_error_says(&error, CST_ERROR_STATE, "is protected");
    volume_make(site, "v", VOLUME_SIZE);
    delete_it(site, "v");
    assert_true(cst_vol_protect(site->pool, "new", FALSE, NULL, NULL));
    delete_it(site, "new");
    /* A mark does not apply to another volume with the same name. */
    volume_make(site, "w", VOLUME_SIZE);
    assert_true(cst_vol_protect(site->pool, "w", TRUE, NULL, NULL));
    site->ground->native_delete("p", "w");
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    volume_make(site, "v", VOLUME_SIZE);
    rename_it(site, "v", "w");
    delete_it(site, "w");
}

static void its_snapshots_go_along(Site *site)
{
    g_autofree char *names = NULL, *again = NULL, *fresh = NULL;
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    assert_true(cst_vol_snapshot_create(site->pool, "v", "one", 0, NULL, NULL));
    content_write(site, "v", 0, BLOCKS, 2);
    assert_true(cst_vol_snapshot_create(site->pool, "v", "two", 0, NULL, NULL));
    content_write(site, "v", 0, BLOCKS, 3);
    rename_it(site, "v", "new");
    names = snapshot_names(site, "new");
    assert_string_equal(names, "one two");
    content_assert_all(site, "new", 3);
    volume_make(site, "v", VOLUME_SIZE);
    fresh = snapshot_names(site, "v");
    assert_string_equal(fresh, "");
    site_restart(site);
    again = snapshot_names(site, "new");
    assert_string_equal(again, "one two");
    cst_vol_snapshot_revert(site->pool, "new", "two", NULL, NULL, &error);
    assert_no_error(error);
    content_assert_all(site, "new", 2);
    cst_vol_snapshot_clone(site->pool, "new", "one", "old", NULL, &error);
    assert_no_error(error);
    content_assert_all(site, "old", 1);
    delete_it(site, "old");
    delete_it(site, "new");
    assert_names(site, "v");
}

static void a_directory(Site *site)
{
    static const char xml[] = "<volume type='dir'><name>d</name><capacity>0</capacity><target>"
                              "<format type='dir'/></target></volume>";
    g_autofree char *made = NULL, *before = NULL, *after = NULL;
    g_autoptr(GError) error = NULL;

    cst_vol_create(site->pool, xml, 0, NULL, &made, &error);
    assert_no_error(error);
    before = site_native(site, "p");
    rename_it(site, "d", "new");
    assert_names(site, "new");
    volume_make(site, "v", VOLUME_SIZE);
    assert_refused(site, "new", "v", CST_ERROR_VOL_EXISTS);
    assert_refused(site, "v", "new", CST_ERROR_VOL_EXISTS);
    delete_it(site, "v");
    site_restart(site);
    rename_it(site, "new", "d");
    after = site_native(site, "p");
    assert_string_equal(after, before);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void it_cannot(Site *site)
{
    volume_make(site, "v", VOLUME_SIZE);
    assert_refused(site, "v", "new", CST_ERROR_NO_SUPPORT);
    assert_names(site, "v");
}

static void no_name_is_taken_away(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    volume_make(site, "w", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    content_write(site, "w", 0, BLOCKS, 2);
    assert_refused(site, "v", "w", CST_ERROR_VOL_EXISTS);
    assert_refused(site, "v", "v", CST_ERROR_INVALID);
    assert_refused(site, "v", "", CST_ERROR_INVALID);
    assert_refused(site, "v", "..", CST_ERROR_INVALID);
    assert_refused(site, "v", "x\ny", CST_ERROR_INVALID);
    assert_refused(site, "none", "new", CST_ERROR_NO_VOL);
    /* By the step itself: no look before it can know of what comes meanwhile. */
    assert_false(cst_pool_state_rename(state, "v", "w", &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
    site->ground->native_create("p", "other", VOLUME_SIZE);
    assert_refused(site, "v", "other", CST_ERROR_VOL_EXISTS);
    content_assert_all(site, "v", 1);
    content_assert_all(site, "w", 2);
}

static void what_is_in_use_stays(Site *site)
{
    g_autoptr(CstDownload) download = NULL;
    g_autoptr(CstUpload) upload = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    if (site->ground->hold) {
        site->ground->hold("p", "v");
        assert_refused(site, "v", "new", CST_ERROR_BUSY);
        site->ground->release("p", "v");
    }
    download = cst_vol_download(site->pool, "v", 0, 0, 0, NULL, NULL);
    assert_non_null(download);
    assert_refused(site, "v", "new", CST_ERROR_BUSY);
    g_clear_pointer(&download, cst_download_free);
    upload = cst_vol_upload(site->pool, "v", 0, 0, 0, NULL, NULL);
    assert_non_null(upload);
    assert_refused(site, "v", "new", CST_ERROR_BUSY);
    g_clear_pointer(&upload, cst_upload_free);
    rename_it(site, "v", "new");
    assert_names(site, "new");
}

static void a_dry_run_changes_nothing(Site *site)
{
    volume_make(site, "v", VOLUME_SIZE);
    volume_make(site, "w", VOLUME_SIZE);
    assert_true(cst_vol_protect(site->pool, "v", TRUE, NULL, NULL));
    cst_dry_run_set(TRUE);
    assert_refused(site, "v", "w", CST_ERROR_VOL_EXISTS);
    assert_refused(site, "v", "new", CST_ERROR_DRY_RUN);
    cst_dry_run_set(FALSE);
    assert_names(site, "v w");
    rename_it(site, "v", "new");
}

/* --- several at once -------------------------------------------------------------------------- */

typedef struct {
    Site *site;
    const char *name, *new_name;
    GError *error;
} Renaming;

static gpointer run_rename(gpointer data)
{
    Renaming *work = data;

    cst_vol_rename(work->site->pool, work->name, work->new_name, NULL, &work->error);
    return NULL;
}

/* One of them wins; the other finds no volume any more, or the name taken. */
static void race(Renaming *one, Renaming *other, int code)
{
    GThread *thread = g_thread_new("rename", run_rename, one);

    run_rename(other);
    g_thread_join(thread);
    assert_true(!one->error != !other->error);
    assert_true(g_error_matches(one->error ? one->error : other->error, CST_ERROR, code));
    g_clear_error(&one->error);
    g_clear_error(&other->error);
}

static void one_of_two_wins(Site *site)
{
    for (guint i = 0; i < 4; i++) {
        Renaming to_a = {.site = site, .name = "v", .new_name = "a"};
        Renaming to_b = {.site = site, .name = "v", .new_name = "b"};
        Renaming v = {.site = site, .name = "v", .new_name = "new"};
        Renaming w = {.site = site, .name = "w", .new_name = "new"};
        g_autofree char *names = NULL;

        volume_make(site, "v", VOLUME_SIZE);
        race(&to_a, &to_b, CST_ERROR_NO_VOL);
        names = volume_names(site);
        assert_true(strcmp(names, "a") == 0 || strcmp(names, "b") == 0);
        rename_it(site, names, "v");
        volume_make(site, "w", VOLUME_SIZE);
        race(&v, &w, CST_ERROR_VOL_EXISTS);
        delete_it(site, "new");
        delete_it(site, cst_pool_has_volume(site->pool, "v", NULL) ? "v" : "w");
        assert_names(site, "");
    }
}

/* --- what is based on it ---------------------------------------------------------------------- */

/* "v" with @tag, and "w", linked to it; FALSE where everything would be copied. */
static gboolean make_linked(Site *site, uint32_t tag)
{
    g_autofree char *xml = NULL, *made = NULL;
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, tag);
    xml = volume_clone_xml(site, "v", "w");
    if (cst_vol_create_from(site->pool, xml, site->pool, "v", CST_VOL_CREATE_LINKED, NULL, &made,
                            &error))
        return TRUE;
    assert_error(&error, CST_ERROR_UNSUPPORTED);
    return FALSE;
}

static void assert_based_on(Site *site, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = cst_vol_chain(site->pool, "w", &error);
    CstCompareReport report = {0};

    assert_no_error(error);
    assert_int_equal(rows->len, 2);
    assert_string_equal(((CstChainRow *)rows->pdata[0])->name, name);
    cst_vol_compare(site->pool, name, site->pool, "w", NULL, &report, &error);
    assert_no_error(error);
    assert_true(report.same && report.sizes_same);
    assert_false(cst_vol_delete(site->pool, name, site_delete_flags(site), NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "p/w");
}

/* The clone shares what both hold, and needs nothing of the other. */
static void assert_stands_alone(Site *site, const char *name)
{
    delete_it(site, name);
    assert_names(site, "w");
    content_assert_all(site, "w", 1);
}

static void what_is_based_on_it_follows(Site *site)
{
    g_autoptr(GError) error = NULL;

    if (!make_linked(site, 1))
        return;
    rename_it(site, "v", "new");
    assert_names(site, "new w");
    if (!site_links_depend(site)) {
        assert_stands_alone(site, "new");
        return;
    }
    assert_based_on(site, "new");
    site_restart(site);
    assert_based_on(site, "new");
    volume_make(site, "v", VOLUME_SIZE);
    assert_based_on(site, "new");
    delete_it(site, "v");
    cst_vol_flatten(site->pool, "w", NULL, &error);
    assert_no_error(error);
    delete_it(site, "new");
}

/* An image that refers to it stays as it is, whatever keeps it from following. */
static void a_busy_overlay_refuses(Site *site)
{
    g_autoptr(CstDownload) download = NULL;
    g_autoptr(GError) error = NULL;

    if (!make_linked(site, 1))
        return;
    download = cst_vol_download(site->pool, "w", 0, 0, 0, NULL, NULL);
    assert_non_null(download);
    if (cst_vol_rename(site->pool, "v", "new", NULL, &error)) {
        /* By the technology: the name is nothing to the clone. */
        assert_true(site_has(site, GROUND_CLONES_DEPEND) || !site_links_depend(site));
        return;
    }
    assert_error_says(&error, CST_ERROR_BUSY, "\n  p/w: ");
    assert_names(site, "v w");
    assert_based_on(site, "v");
    g_clear_pointer(&download, cst_download_free);
    rename_it(site, "v", "new");
    assert_based_on(site, "new");
}

const ContractTest renamed_tests[] = {
    {"a volume is renamed and the same", it_is_the_same, GROUND_RENAMES, it_cannot},
    {"a volume that is renamed is told from any other of its name", it_is_told_from_any_other,
     GROUND_RENAMES, NULL},
    {"a volume that is renamed stays protected", its_protection_goes_along, GROUND_RENAMES, NULL},
    {"a volume that is renamed has its snapshots", its_snapshots_go_along,
     GROUND_RENAMES | GROUND_SNAPSHOTS, NULL},
    {"a directory is renamed", a_directory, GROUND_RENAMES | GROUND_DIRECTORIES, NULL},
    {"a volume is not renamed in the place of another", no_name_is_taken_away, GROUND_RENAMES,
     NULL},
    {"a volume that is in use is not renamed", what_is_in_use_stays, GROUND_RENAMES, NULL},
    {"nothing is renamed in a dry run", a_dry_run_changes_nothing, GROUND_RENAMES, NULL},
    {"of two that are renamed at once one wins", one_of_two_wins, GROUND_RENAMES, NULL},
    {"what is based on a renamed volume follows", what_is_based_on_it_follows, GROUND_RENAMES,
     NULL},
    {"a volume with a busy overlay is not renamed", a_busy_overlay_refuses, GROUND_RENAMES, NULL},
    {0},
};
