/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The order of writes, syncs and renames of files, and the state after each failed step. */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/file.h>

#include "points.h"

typedef struct {
    char *dir, *path; /* the file "a" in it */
} Fixture;

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    f->dir = g_dir_make_tmp("base-steps-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "a", NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);
    int status = system(command);

    g_free(f->path);
    g_free(f->dir);
    g_free(f);
    return status;
}

static void put_old(gpointer data)
{
    const Fixture *f = data;

    assert_true(g_file_set_contents(f->path, "old", -1, NULL));
}

static void remove_all(gpointer data)
{
    const Fixture *f = data;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'/*", f->dir);

    assert_int_equal(system(command), 0);
}

/* Runs recorder_fail_each() and compares the record of the success. */
static void assert_steps(Fixture *f, void (*prepare)(gpointer data), RecordedChange change,
                         const char *commit, const char *expected)
{
    const RecordedSteps steps = {f->dir, prepare, change, f, commit};
    g_autofree char *text = recorder_fail_each(&steps);

    assert_string_equal(text, expected);
}

static gboolean replace(gpointer data, GError **error)
{
    return cst_file_replace(((Fixture *)data)->path, "newer", 5, 0640, error);
}

static gboolean replace_dated(gpointer data, GError **error)
{
    return cst_file_replace_dated(((Fixture *)data)->path, "newer", 5, 0640, 77, error);
}

static gboolean remove_file(gpointer data, GError **error)
{
    return cst_file_remove(((Fixture *)data)->path, error);
}

static gboolean ensure_dir(gpointer data, GError **error)
{
    return cst_dir_ensure(((Fixture *)data)->path, 0750, error);
}

static gboolean ensure_nested_dirs(gpointer data, GError **error)
{
    g_autofree char *path = g_build_filename(((Fixture *)data)->path, "b", NULL);

    return cst_dir_ensure(path, 0750, error);
}

static void replaced_file_is_synced_before_and_after_rename(void **state)
{
    assert_steps(*state, put_old, replace, "rename a.TMP a",
                 "create a.TMP; chmod a.TMP; write a.TMP; sync a.TMP; rename a.TMP a; "
                 "open .; sync .");
}

static void dated_file_is_synced_before_and_after_rename(void **state)
{
    const Fixture *f = *state;
    struct stat st;

    assert_steps(*state, put_old, replace_dated, "rename a.TMP a",
                 "create a.TMP; chmod a.TMP; write a.TMP; date a.TMP; sync a.TMP; "
                 "rename a.TMP a; open .; sync .");
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, 77);
}

static void removed_file_has_its_directory_synced(void **state)
{
    assert_steps(*state, put_old, remove_file, "remove a", "remove a; open .; sync .");
}

/* The point is passed once for each of the two failures after mkdir(). */
static void directory_that_cannot_be_synced_is_removed(void **state)
{
    point_watch("dir.ensure.undo");
    assert_steps(*state, remove_all, ensure_dir, NULL, "mkdir a; open .; sync .");
    assert_int_equal(point_passed("dir.ensure.undo"), 2);
    points_clear();
}

static void each_new_directory_has_its_parent_synced(void **state)
{
    const Fixture *f = *state;
    g_autofree char *text = NULL;
    g_autofree char *again = NULL;
    g_autoptr(GError) error = NULL;

    recorder_begin_failing(f->dir, 6, EIO);
    assert_false(ensure_nested_dirs(*state, &error));
    text = recorder_end();
    assert_string_equal(text, "mkdir a; open .; sync .; mkdir a/b; open a; sync a!; rmdir a/b");
    assert_int_equal(cst_error_code(error), CST_ERROR_IO);
    recorder_begin(f->dir);
    assert_true(ensure_nested_dirs(*state, NULL));
    again = recorder_end();
    assert_string_equal(again, "mkdir a/b; open a; sync a");
}

/* Network file systems can't sync a directory; a read-only one was not changed. */
static void directory_without_sync_is_accepted(void **state)
{
    static const int accepted[] = {EINVAL, EROFS};
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(accepted); i++) {
        g_autofree char *text = NULL;

        recorder_begin_failing(f->dir, 2, accepted[i]);
        assert_true(cst_parent_sync(f->path, NULL));
        text = recorder_end();
        assert_string_equal(text, "open .; sync .!");
        /* A file is not a directory. */
        put_old(f);
        recorder_begin_failing(f->dir, 4, accepted[i]);
        assert_false(replace(f, &error));
        g_free(recorder_end());
        g_clear_error(&error);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(replaced_file_is_synced_before_and_after_rename),
        TEST(dated_file_is_synced_before_and_after_rename),
        TEST(removed_file_has_its_directory_synced),
        TEST(directory_that_cannot_be_synced_is_removed),
        TEST(each_new_directory_has_its_parent_synced),
        TEST(directory_without_sync_is_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
