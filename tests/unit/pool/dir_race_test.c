/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Other processes that change a pool's directory between two steps of an operation, and operations
 * that are refused because of existing entries.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <dir/dir.h>
#include <pool/pool.h>

#include "tree.h"

static CstPoolState *pool, *other; /* directories "pool" and "other" */

static CstPoolState *open_pool(const char *name)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir'><name>p</name><target><path>%s/%s</path></target></pool>", root, name);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);

    return cst_pool_state_open(def, NULL, NULL);
}

static int set_up(void **unused)
{
    root = g_dir_make_tmp("cistern-race-XXXXXX", NULL);
    make_dir("pool", 0700);
    make_dir("other", 0700);
    put("pool/disk", "now");
    pool = open_pool("pool");
    other = open_pool("other");
    return 0;
}

static int tear_down(void **unused)
{
    cst_pool_state_unref(pool);
    cst_pool_state_unref(other);
    remove_tree();
    return 0;
}

static void assert_error(GError **error, CstErrorCode code, const char *words)
{
    assert_non_null(*error);
    if ((*error)->code != (int)code || !strstr((*error)->message, words))
        fail_msg("%d %s", (*error)->code, (*error)->message);
    g_clear_error(error);
}

static void assert_content(const char *name, const char *expected)
{
    g_autofree char *path = at(name), *content = NULL;

    assert_true(g_file_get_contents(path, &content, NULL, NULL));
    assert_string_equal(content, expected);
}

static gboolean is_there(const char *name)
{
    g_autofree char *path = at(name);

    return access(path, F_OK) == 0;
}

static void add_snapshot_of(const char *volume)
{
    g_autofree char *folder = g_strconcat("pool/.cistern-snapshots/", volume, NULL);
    g_autofree char *name = g_strconcat(folder, "/old", NULL);

    if (!is_there("pool/.cistern-snapshots"))
        make_dir("pool/.cistern-snapshots", 0700);
    make_dir(folder, 0700);
    put(name, "old");
}

static CstVolDef *definition(const char *name)
{
    CstVolDef *def = cst_vol_def_new();

    def->name = g_strdup(name);
    return def;
}

/* Another program renames its own file over @name. */
static void put_theirs_over(gpointer name)
{
    g_autofree char *theirs = at("theirs"), *path = at(name);

    put("theirs", "theirs");
    assert_int_equal(rename(theirs, path), 0);
}

static void remove_file(gpointer name)
{
    g_autofree char *path = at(name);

    assert_int_equal(unlink(path), 0);
}

/* --- drafts ----------------------------------------------------------------------------------- */

static void commit_is_denied_when_the_name_becomes_another_file(void **unused)
{
    g_auto(CstVolDraft) draft = {.token = g_strdup("0-0")};
    g_autoptr(CstVolDef) def = definition("new");
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_reserve(pool, def, &draft, NULL));
    point_run("vol.commit.renamed", put_theirs_over, (gpointer) "pool/new");
    assert_false(cst_pool_state_commit(pool, &draft, def, &error));
    points_clear();
    assert_error(&error, CST_ERROR_DENIED, "volume 'new' was replaced by another file");
    assert_content("pool/new", "theirs");
}

/* The core records both together with the declaration of the format. */
static void draft_records_its_file_and_other_writers(void **unused)
{
    static const mode_t modes[] = {0700, 0770};

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_auto(CstVolDraft) draft = {.token = g_strdup("0-0")};
        g_autoptr(CstVolDef) def = definition("new");
        g_autofree char *target = at("pool");
        g_autofree char *file = at("pool/.cistern-0-0.part");
        struct stat st;

        assert_int_equal(chmod(target, modes[i]), 0);
        assert_true(cst_pool_state_reserve(pool, def, &draft, NULL));
        assert_int_equal(draft.shared, modes[i] != 0700);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(draft.id.inode, st.st_ino);
        assert_true(draft.zeroed);
        assert_true(cst_pool_state_abandon(pool, "0-0", NULL));
        assert_false(is_there("pool/.cistern-0-0.part"));
    }
}

/* Another process starts the pool while this one makes a volume that already has snapshots. */
static void snapshots_of_a_living_draft_survive_another_start(void **unused)
{
    static const char folder[] = "pool/.cistern-snapshots/.cistern-0-0.part";
    g_auto(CstVolDraft) draft = {.token = g_strdup("0-0")};
    g_autoptr(CstVolDef) def = definition("new");
    g_autoptr(CstPoolState) starting = open_pool("pool");
    g_autofree char *name = g_strconcat(folder, "/s", NULL);

    assert_true(cst_pool_state_reserve(pool, def, &draft, NULL));
    make_dir("pool/.cistern-snapshots", 0700);
    make_dir(folder, 0700);
    put(name, "s");
    assert_true(cst_pool_state_settle(starting, NULL));
    assert_true(is_there(name));
    assert_true(cst_pool_state_commit(pool, &draft, def, NULL));
    assert_content("pool/.cistern-snapshots/new/s", "s");
    assert_true(cst_pool_state_settle(starting, NULL));
    assert_content("pool/.cistern-snapshots/new/s", "s");
}

/* --- deleting --------------------------------------------------------------------------------- */

static void volume_removed_during_its_deletion_counts_as_deleted(void **unused)
{
    point_run("vol.delete.before_unlink", remove_file, (gpointer) "pool/disk");
    assert_true(cst_pool_state_delete(pool, "disk", 0, NULL));
    points_clear();
    assert_true(cst_pool_state_delete(pool, "disk", 0, NULL));
}

/* --- renaming --------------------------------------------------------------------------------- */

/* The old snapshots would otherwise become snapshots of this volume. */
static void name_with_snapshots_of_a_former_volume_is_refused(void **unused)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(pool, "disk", FALSE, NULL);
    g_autoptr(GError) error = NULL;

    add_snapshot_of("new");
    assert_false(cst_pool_state_rename(pool, "disk", "new", &error));
    assert_error(&error, CST_ERROR_BUSY, "snapshots of a former volume 'new'");
    assert_false(cst_pool_state_link(pool, "disk", "new", &error));
    assert_error(&error, CST_ERROR_BUSY, "snapshots of a former volume 'new'");
    assert_false(cst_pool_state_take(pool, pool, "disk", blob, "new", &error));
    assert_error(&error, CST_ERROR_BUSY, "snapshots of a former volume 'new'");
    assert_false(is_there("pool/new"));
    assert_true(is_there("pool/disk"));
}

static void add_former_snapshots(gpointer unused)
{
    add_snapshot_of("new");
}

/* After the failed rename the volume has its name and its snapshots. */
static void rename_is_undone_when_snapshots_of_the_new_name_appear(void **unused)
{
    g_autoptr(GError) error = NULL;

    add_snapshot_of("disk");
    point_run("vol.rename.moved", add_former_snapshots, NULL);
    assert_false(cst_pool_state_rename(pool, "disk", "new", &error));
    points_clear();
    assert_error(&error, CST_ERROR_EXISTS, "snapshots of a former volume 'new'");
    assert_true(is_there("pool/disk"));
    assert_false(is_there("pool/new"));
    assert_true(is_there("pool/.cistern-snapshots/disk/old"));
}

static void second_name_removed_during_a_rename_is_dropped(void **unused)
{
    assert_true(cst_pool_state_link(pool, "disk", "new", NULL));
    add_snapshot_of("disk");
    point_run("vol.rename.snapshots", remove_file, (gpointer) "pool/disk");
    assert_true(cst_pool_state_rename(pool, "disk", "new", NULL));
    points_clear();
    assert_content("pool/new", "now");
    assert_true(is_there("pool/.cistern-snapshots/new/old"));
}

/* @blob is the file that the caller has checked. The name may refer to another file by now. */
static void only_the_opened_file_is_adopted(void **unused)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(pool, "disk", FALSE, NULL);
    g_autoptr(GError) error = NULL;

    put_theirs_over((gpointer) "pool/disk");
    assert_false(cst_pool_state_take(other, pool, "disk", blob, "new", &error));
    assert_error(&error, CST_ERROR_UNSUPPORTED, "no file of its directory's own");
    assert_false(is_there("other/new"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(commit_is_denied_when_the_name_becomes_another_file),
        TEST(draft_records_its_file_and_other_writers),
        TEST(snapshots_of_a_living_draft_survive_another_start),
        TEST(volume_removed_during_its_deletion_counts_as_deleted),
        TEST(name_with_snapshots_of_a_former_volume_is_refused),
        TEST(rename_is_undone_when_snapshots_of_the_new_name_appear),
        TEST(second_name_removed_during_a_rename_is_dropped),
        TEST(only_the_opened_file_is_adopted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
