/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of a Gluster pool between the steps of a change, and after each step that fails. */
#include "gluster_site.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "points.h"

/* --- new volumes ------------------------------------------------------------------------------ */

static char *get(const char *name)
{
    g_autofree char *path = site_path(name);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("-");
}

static void assert_content(const char *name, const char *content)
{
    g_autofree char *is = get(name);

    assert_string_equal(is, content);
}

/* The expected state at a point; "-": the file does not exist. */
typedef struct {
    const char *old_name, *old_content, *new_name, *new_content;
    guint syncs; /* calls of glfs_fsync() since the start */
} Expected;

static void assert_there(gpointer data)
{
    const Expected *expected = data;

    assert_content(expected->old_name, expected->old_content);
    assert_content(expected->new_name, expected->new_content);
    assert_int_equal(fake_gluster_calls("glfs_fsync"), expected->syncs);
}

static void content_and_name_of_a_new_volume_are_synced(void **state)
{
    static const Expected synced = {".cistern-v.part", "content", "v", "-", 1},
                          linked = {".cistern-v.part", "content", "v", "content", 1},
                          named = {".cistern-v.part", "-", "v", "content", 1};

    point_run("gluster.commit.synced", assert_there, (gpointer)&synced);
    point_run("gluster.commit.linked", assert_there, (gpointer)&linked);
    point_run("gluster.commit.named", assert_there, (gpointer)&named);
    assert_true(site_make("v", "raw", NULL));
    points_clear();
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 2);
}

static void put_another(gpointer unused)
{
    g_autofree char *path = site_path("v");

    assert_int_equal(g_unlink(path), 0);
    site_put("v", "theirs");
}

static void name_replaced_by_another_client_is_kept(void **state)
{
    GError *error = NULL;

    point_run("gluster.commit.linked", put_another, NULL);
    site_assert_failed(site_make("v", "raw", &error), &error, CST_ERROR_DENIED,
                       "volume 'v' was replaced by another file");
    points_clear();
    assert_content("v", "theirs");
    assert_content(".cistern-v.part", "content");
    assert_true(cst_pool_state_abandon(site_pool, "v", NULL));
    assert_content(".cistern-v.part", "-");
    assert_content("v", "theirs");
}

/* Without the service's vol_abandon, which only follows a failed commit. */
static void failed_reservation_leaves_no_draft(void **state)
{
    static const struct {
        const char *function;
        guint skip;
    } faults[] = {{"glfs_creat", 0}, {"glfs_fchown", 0}, {"glfs_ftruncate", 0}};
    g_autoptr(CstVolDef) def = cst_vol_def_parse(
        "<volume><name>v</name><capacity>1</capacity><target><permissions><owner>0</owner>"
        "<group>0</group><mode>0640</mode></permissions></target></volume>",
        CST_POOL_GLUSTER, 0, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_auto(CstVolDraft) draft = {.token = g_strdup("v")};
        GError *error = NULL;

        fake_gluster_fail(faults[i].function, faults[i].skip, 1, EIO);
        site_assert_failed(cst_pool_state_reserve(site_pool, def, &draft, &error), &error,
                           CST_ERROR_IO, "'v'");
        assert_null(draft.blob);
        assert_content(".cistern-v.part", "-");
        assert_int_equal(fake_gluster_files(), 0);
    }
}

/*
 * Another process removes the draft. It had taken the draft for that of a dead process before the
 * draft was locked.
 */
static void draft_that_another_process_has_locked_is_busy(void **state)
{
    g_autoptr(CstVolDef) def = cst_vol_def_parse(
        "<volume><name>v</name><capacity>1</capacity></volume>", CST_POOL_GLUSTER, 0, NULL);
    g_auto(CstVolDraft) draft = {.token = g_strdup("v")};
    GError *error = NULL;

    fake_gluster_fail("glfs_posix_lock", 0, 1, EAGAIN);
    site_assert_failed(cst_pool_state_reserve(site_pool, def, &draft, &error), &error,
                       CST_ERROR_BUSY, "another process deletes the draft of volume 'v'");
    assert_content(".cistern-v.part", "-");
    assert_int_equal(fake_gluster_files(), 0);
    assert_true(cst_pool_state_reserve(site_pool, def, &draft, NULL));
}

static void arm_unlink(gpointer unused)
{
    fake_gluster_fail("glfs_unlink", 0, 1, EIO);
}

static void draft_is_abandoned_at_the_next_attempt(void **state)
{
    GError *error = NULL;

    site_put(".cistern-v.part", "draft");
    point_run("gluster.draft.abandon", arm_unlink, NULL);
    site_assert_failed(cst_pool_state_abandon(site_pool, "v", &error), &error, CST_ERROR_IO,
                       "cannot unlink file '.cistern-v.part'");
    points_clear();
    assert_content(".cistern-v.part", "draft");
    assert_true(cst_pool_state_abandon(site_pool, "v", NULL));
    assert_content(".cistern-v.part", "-");
}

/* --- renames ---------------------------------------------------------------------------------- */

static void new_name_is_synced_before_the_old_one_is_removed(void **state)
{
    static const Expected linked = {"a", "data", "b", "data", 1},
                          unlinked = {"a", "-", "b", "data", 1};

    site_put("a", "data");
    point_run("gluster.rename.linked", assert_there, (gpointer)&linked);
    point_run("gluster.rename.unlinked", assert_there, (gpointer)&unlinked);
    assert_true(cst_pool_state_rename(site_pool, "a", "b", NULL));
    points_clear();
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 2);
}

/*
 * After each failed step the content has at least one of its names, and the repeated call completes
 * the rename.
 */
static void rename_that_failed_is_completed_by_the_next_attempt(void **state)
{
    static const struct {
        const char *function;
        guint skip;
        const char *a, *b;
        guint syncs; /* of the attempt that completes the rename */
    } faults[] = {
        {"glfs_link", 0, "data", "-", 2},  {"glfs_fsync", 0, "data", "-", 2},
        {"glfs_open", 0, "data", "-", 2},  {"glfs_unlink", 0, "data", "data", 2},
        {"glfs_fsync", 1, "-", "data", 1}, {"glfs_open", 1, "-", "data", 1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autofree char *path = site_path("b");
        GError *error = NULL;
        guint before;

        site_put("a", "data");
        fake_gluster_fail(faults[i].function, faults[i].skip, 1, EIO);
        site_assert_failed(cst_pool_state_rename(site_pool, "a", "b", &error), &error, CST_ERROR_IO,
                           "'a'");
        assert_content("a", faults[i].a);
        assert_content("b", faults[i].b);
        before = fake_gluster_calls("glfs_fsync");
        assert_true(cst_pool_state_rename(site_pool, "a", "b", NULL));
        assert_content("a", "-");
        assert_content("b", "data");
        assert_int_equal(fake_gluster_calls("glfs_fsync") - before, faults[i].syncs);
        assert_int_equal(g_unlink(path), 0);
    }
}

/* A crash after the link leaves both names, and neither may be on the disk yet. */
static void rename_with_both_names_syncs_before_the_old_one_is_removed(void **state)
{
    static const Expected linked = {"a", "data", "b", "data", 1};
    g_autofree char *from = site_path("a");
    g_autofree char *to = site_path("b");

    site_put("a", "data");
    assert_int_equal(link(from, to), 0);
    point_run("gluster.rename.linked", assert_there, (gpointer)&linked);
    assert_true(cst_pool_state_rename(site_pool, "a", "b", NULL));
    points_clear();
    assert_content("a", "-");
    assert_content("b", "data");
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 2);
}

static void second_name_that_cannot_be_synced_is_removed(void **state)
{
    static const char *const functions[] = {"glfs_fsync", "glfs_open"};

    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        g_autofree char *path = site_path("b");
        GError *error = NULL;

        site_put("a", "data");
        fake_gluster_fail(functions[i], 0, 1, EIO);
        site_assert_failed(cst_pool_state_link(site_pool, "a", "b", &error), &error, CST_ERROR_IO,
                           "'a'");
        assert_content("a", "data");
        assert_content("b", "-");
        assert_true(cst_pool_state_link(site_pool, "a", "b", NULL));
        assert_content("b", "data");
        assert_int_equal(g_unlink(path), 0);
    }
}

static void existing_name_is_not_replaced(void **state)
{
    GError *error = NULL;

    site_put("a", "data");
    site_put("b", "theirs");
    site_assert_failed(cst_pool_state_rename(site_pool, "a", "b", &error), &error,
                       CST_ERROR_VOL_EXISTS, "'b'");
    site_assert_failed(cst_pool_state_link(site_pool, "a", "b", &error), &error,
                       CST_ERROR_VOL_EXISTS, "'b'");
    /* The name came into use after the check. */
    fake_gluster_fail("glfs_lstat", 1, 1, ENOENT);
    site_assert_failed(cst_pool_state_rename(site_pool, "a", "b", &error), &error,
                       CST_ERROR_VOL_EXISTS, "'b'");
    assert_content("a", "data");
    assert_content("b", "theirs");
    assert_true(cst_pool_state_link(site_pool, "a", "c", NULL));
    assert_content("a", "data");
    assert_content("c", "data");
}

/* --- files of another directory --------------------------------------------------------------- */

static CstPoolState *open_other(const char *options)
{
    g_autofree char *dir = g_build_filename(site_volume, "e", NULL);

    g_mkdir(dir, 0755);
    return site_open("/e", options);
}

static void file_of_another_directory_gets_a_name_in_this_one(void **state)
{
    CstPoolState *other = open_other("");
    CstBlob *blob;
    GError *error = NULL;

    site_put("a", "data");
    blob = cst_pool_state_vol_open(site_pool, "a", FALSE, NULL);
    fake_gluster_fail("glfs_fsync", 0, 1, EIO);
    site_assert_failed(cst_pool_state_take(other, site_pool, "a", blob, "b", &error), &error,
                       CST_ERROR_IO, "'a'");
    assert_content("../e/b", "-");
    fake_gluster_fail("glfs_fsync", 0, 0, 0);
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 1);
    assert_true(cst_pool_state_take(other, site_pool, "a", blob, "b", NULL));
    assert_content("a", "data");
    assert_content("../e/b", "data");
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 2);
    site_assert_failed(cst_pool_state_take(other, site_pool, "a", blob, "b", &error), &error,
                       CST_ERROR_VOL_EXISTS, "'b'");
    cst_blob_unref(blob);
    cst_pool_state_unref(other);
}

/* The name no longer refers to the caller's open file. */
static void file_that_was_replaced_gets_no_name(void **state)
{
    CstPoolState *other = open_other("");
    g_autofree char *path = site_path("a");
    GError *error = NULL;
    CstBlob *blob;

    site_put("a", "data");
    blob = cst_pool_state_vol_open(site_pool, "a", FALSE, NULL);
    assert_int_equal(g_unlink(path), 0);
    site_put("a", "theirs");
    site_assert_failed(cst_pool_state_take(other, site_pool, "a", blob, "b", &error), &error,
                       CST_ERROR_UNSUPPORTED, "'a' is no file of its directory's own");
    assert_content("../e/b", "-");
    cst_blob_unref(blob);
    cst_pool_state_unref(other);
}

/* The servers report another id for a volume with that name. */
static void file_of_another_volume_gets_no_name(void **state)
{
    CstPoolState *other = open_other("<option name='timeout' value='60'/>");
    GError *error = NULL;
    CstBlob *blob;

    site_put("a", "data");
    blob = cst_pool_state_vol_open(site_pool, "a", FALSE, NULL);
    fake_gluster_reset(site_volume, "gv0", 2);
    site_assert_failed(cst_pool_state_take(other, site_pool, "a", blob, "b", &error), &error,
                       CST_ERROR_UNSUPPORTED, "are in different volumes of Gluster");
    assert_content("../e/b", "-");
    cst_blob_unref(blob);
    cst_pool_state_unref(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_set_up, site_tear_down)
        TEST(content_and_name_of_a_new_volume_are_synced),
        TEST(name_replaced_by_another_client_is_kept),
        TEST(failed_reservation_leaves_no_draft),
        TEST(draft_that_another_process_has_locked_is_busy),
        TEST(draft_is_abandoned_at_the_next_attempt),
        TEST(new_name_is_synced_before_the_old_one_is_removed),
        TEST(rename_that_failed_is_completed_by_the_next_attempt),
        TEST(rename_with_both_names_syncs_before_the_old_one_is_removed),
        TEST(second_name_that_cannot_be_synced_is_removed),
        TEST(existing_name_is_not_replaced),
        TEST(file_of_another_directory_gets_a_name_in_this_one),
        TEST(file_that_was_replaced_gets_no_name),
        TEST(file_of_another_volume_gets_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
