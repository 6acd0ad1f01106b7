/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps in which files about pools and volumes are written and removed, and each failed one. */
#include "points.h"
#include "recorder.h"
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <store/pool_files.h>
#include <store/protected.h>
#include <store/secret_files.h>
#include <store/trash.h>

#include "../logged.h"

#define UUID "11111111-1111-1111-1111-111111111111"
#define POOL(path)                                                                      \
    "<pool type='dir'><name>p</name><uuid>" UUID "</uuid><target><path>" path "</path>" \
    "</target></pool>"
#define SECRET(ephemeral) \
    "<secret ephemeral='no' private='" ephemeral "'><uuid>" UUID "</uuid></secret>"

/* Which state of the files is written. */
typedef enum { OLD, NEWER } Version;

static gboolean save_pool(const CstPaths *paths, Version version, GError **error)
{
    g_autoptr(CstPoolDef) def =
        cst_pool_def_parse(version == OLD ? POOL("/old") : POOL("/newer"), 0, NULL);

    return cst_pool_file_save(paths, def, error);
}

static gboolean save_state(const CstPaths *paths, Version version, GError **error)
{
    g_autoptr(CstPoolDef) def =
        cst_pool_def_parse(version == OLD ? POOL("/old") : POOL("/newer"), 0, NULL);

    return cst_pool_state_save(paths, def, error);
}

static CstUuid the_uuid(void)
{
    CstUuid uuid;

    assert_true(cst_uuid_parse(UUID, &uuid));
    return uuid;
}

static gboolean save_identity(const CstPaths *paths, Version version, GError **error)
{
    const CstUuid uuid = the_uuid();

    return cst_pool_identity_save(paths, &uuid, version == OLD ? "old" : "newer", error);
}

static gboolean save_trash(const CstPaths *paths, Version version, GError **error)
{
    const CstUuid uuid = the_uuid();
    const CstTrashed trashed = {.hidden = (char *)"v",
                                .name = (char *)(version == OLD ? "old" : "newer")};

    return cst_trash_set(paths, &uuid, &trashed, error);
}

static gboolean save_secret(const CstPaths *paths, Version version, GError **error)
{
    g_autoptr(CstSecretDef) def =
        cst_secret_def_parse(version == OLD ? SECRET("no") : SECRET("yes"), 0, NULL);

    return cst_secret_file_save(paths, def, error);
}

static gboolean remove_state(const CstPaths *paths, Version version, GError **error)
{
    return version == OLD ? save_state(paths, OLD, error)
                          : cst_pool_state_remove(paths, "p", error);
}

static gboolean remove_identity(const CstPaths *paths, Version version, GError **error)
{
    const CstUuid uuid = the_uuid();

    return version == OLD ? save_identity(paths, OLD, error)
                          : cst_pool_identity_remove(paths, &uuid, error);
}

static gboolean remove_trash(const CstPaths *paths, Version version, GError **error)
{
    const CstUuid uuid = the_uuid();

    return version == OLD ? save_trash(paths, OLD, error)
                          : cst_trash_remove(paths, &uuid, "v", error);
}

static gboolean remove_secret(const CstPaths *paths, Version version, GError **error)
{
    const CstUuid uuid = the_uuid();

    return version == OLD ? save_secret(paths, OLD, error)
                          : cst_secret_file_remove(paths, &uuid, error);
}

static gboolean turn_autostart_on(const CstPaths *paths, Version version, GError **error)
{
    return cst_pool_file_set_autostart(paths, "p", version == NEWER, error);
}

static gboolean turn_autostart_off(const CstPaths *paths, Version version, GError **error)
{
    return cst_pool_file_set_autostart(paths, "p", version == OLD, error);
}

static gboolean protect(const CstPaths *paths, Version version, GError **error)
{
    const CstUuid uuid = the_uuid();

    return cst_protected_set(paths, &uuid, "v", version == NEWER, error);
}

static gboolean unprotect(const CstPaths *paths, Version version, GError **error)
{
    const CstUuid uuid = the_uuid();

    return cst_protected_set(paths, &uuid, "v", version == OLD, error);
}

/* --- each step fails -------------------------------------------------------------------------- */

#define REPLACED(name)                                                                 \
    "create " name ".TMP; chmod " name ".TMP; write " name ".TMP; sync " name ".TMP; " \
    "rename " name ".TMP " name "; open .; sync ."

typedef struct {
    gboolean (*write)(const CstPaths *paths, Version version, GError **error);
    const char *dir; /* below the root */
    const char *commit, *steps;
} Row;

static const Row rows[] = {
    {save_pool, "etc/libvirt/storage", "rename p.xml.TMP p.xml", REPLACED("p.xml")},
    {save_state, "run/libvirt/storage", "rename p.xml.TMP p.xml", REPLACED("p.xml")},
    {save_identity, "var/lib/cistern/pools", "rename " UUID ".identity.TMP " UUID ".identity",
     REPLACED(UUID ".identity")},
    {save_trash, "var/lib/cistern/trash/" UUID, "rename =v.TMP =v", REPLACED("=v")},
    {save_secret, "etc/libvirt/secrets", "rename " UUID ".xml.TMP " UUID ".xml",
     REPLACED(UUID ".xml")},
    {remove_state, "run/libvirt/storage", "remove p.xml", "remove p.xml; open .; sync ."},
    {remove_identity, "var/lib/cistern/pools", "remove " UUID ".identity",
     "remove " UUID ".identity; open .; sync ."},
    {remove_trash, "var/lib/cistern/trash/" UUID, "remove =v", "remove =v; open .; sync ."},
    {remove_secret, "etc/libvirt/secrets", "remove " UUID ".xml",
     "remove " UUID ".xml; open .; sync ."},
    {turn_autostart_on, "etc/libvirt/storage/autostart", "link p.xml",
     "link p.xml; open .; sync ."},
    {turn_autostart_off, "etc/libvirt/storage/autostart", "remove p.xml",
     "remove p.xml; open .; sync ."},
    /* Without a commit: a mark with a failed sync is removed again. */
    {protect, "var/lib/cistern/protected/" UUID, NULL, "create =v; open .; sync ."},
    {unprotect, "var/lib/cistern/protected/" UUID, "remove =v", "remove =v; open .; sync ."},
};

typedef struct {
    const CstPaths *paths;
    const Row *row;
    const char *dir;
} Attempt;

static void write_old(gpointer data)
{
    const Attempt *attempt = data;

    assert_int_equal(g_mkdir_with_parents(attempt->dir, 0700), 0);
    assert_true(attempt->row->write(attempt->paths, OLD, NULL));
}

static gboolean write_newer(gpointer data, GError **error)
{
    const Attempt *attempt = data;

    return attempt->row->write(attempt->paths, NEWER, error);
}

static void file_is_old_or_new_after_each_failed_step(void **state)
{
    const Scratch *s = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *dir = g_build_filename(s->root, rows[i].dir, NULL);
        Attempt attempt = {s->paths, &rows[i], dir};
        const RecordedSteps steps = {dir, write_old, write_newer, &attempt, rows[i].commit};
        g_autofree char *text = recorder_fail_each(&steps);

        assert_string_equal(text, rows[i].steps);
    }
}

static void mark_that_cannot_be_synced_is_removed(void **state)
{
    const Scratch *s = *state;
    const CstUuid uuid = the_uuid();
    g_autofree char *dir = g_build_filename(s->paths->data_dir, "protected", UUID, NULL);
    gboolean is_on = TRUE;

    assert_int_equal(g_mkdir_with_parents(dir, 0700), 0);
    point_watch("protected.mark.undo");
    recorder_begin_failing(dir, 3, EIO);
    assert_false(cst_protected_set(s->paths, &uuid, "v", TRUE, NULL));
    g_free(recorder_end());
    assert_true(cst_protected_find(s->paths, &uuid, "v", &is_on, NULL));
    assert_false(is_on);
    points_clear();
}

/* --- two files -------------------------------------------------------------------------------- */

/* The removal of the definition is durable before its link is removed. */
static void definition_is_removed_before_its_link(void **state)
{
    const Scratch *s = *state;
    g_autofree char *text = NULL;

    assert_true(save_pool(s->paths, OLD, NULL));
    assert_true(turn_autostart_on(s->paths, NEWER, NULL));
    recorder_begin(s->paths->pool_dir);
    assert_true(cst_pool_file_remove(s->paths, "p", NULL));
    text = recorder_end();
    assert_string_equal(text, "remove p.xml; open .; sync .; "
                              "remove autostart/p.xml; open autostart; sync autostart");
}

static void link_that_cannot_be_removed_is_logged_and_removed_by_the_next_load(void **state)
{
    const Scratch *s = *state;
    g_autoptr(GPtrArray) files = NULL;

    assert_true(save_pool(s->paths, OLD, NULL));
    assert_true(turn_autostart_on(s->paths, NEWER, NULL));
    logged = g_string_new(NULL);
    recorder_begin_failing(s->paths->pool_dir, 4, EIO);
    assert_true(cst_pool_file_remove(s->paths, "p", NULL));
    g_free(recorder_end());
    assert_true(g_str_has_prefix(logged->str, "cannot remove '"));
    g_string_free(g_steal_pointer(&logged), TRUE);
    assert_int_not_equal(scratch_mode(s->paths->autostart_dir, "p.xml"), -1);
    files = cst_pool_files_load(s->paths, NULL);
    assert_int_equal(scratch_mode(s->paths->autostart_dir, "p.xml"), -1);
}

static void definition_that_stays_keeps_its_link(void **state)
{
    const Scratch *s = *state;
    g_autofree char *before = NULL, *after = NULL;

    assert_true(save_pool(s->paths, OLD, NULL));
    assert_true(turn_autostart_on(s->paths, NEWER, NULL));
    before = recorder_tree(s->root);
    recorder_begin_failing(s->paths->pool_dir, 1, EIO);
    assert_false(cst_pool_file_remove(s->paths, "p", NULL));
    g_free(recorder_end());
    after = recorder_tree(s->root);
    assert_string_equal(after, before);
}

/* A call without a change succeeds in a dry run. */
static void dry_run_changes_no_file(void **state)
{
    const Scratch *s = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *dir = g_build_filename(s->root, rows[i].dir, NULL);
        Attempt attempt = {s->paths, &rows[i], dir};
        gboolean is_replaced = rows[i].commit && g_str_has_prefix(rows[i].commit, "rename");
        g_autofree char *before = NULL, *after = NULL;
        g_autoptr(GError) error = NULL;

        write_old(&attempt);
        before = recorder_tree(s->root);
        cst_dry_run_set(TRUE);
        assert_false(write_newer(&attempt, &error));
        assert_int_equal(cst_error_code(error), CST_ERROR_DRY_RUN);
        cst_dry_run_set(FALSE);
        after = recorder_tree(s->root);
        assert_string_equal(after, before);
        assert_true(write_newer(&attempt, NULL));
        cst_dry_run_set(TRUE);
        if (!is_replaced && rows[i].write != turn_autostart_on &&
            rows[i].write != turn_autostart_off && rows[i].write != remove_state)
            assert_true(write_newer(&attempt, NULL));
        cst_dry_run_set(FALSE);
    }
}

static void load_removes_temporary_files(void **state)
{
    const Scratch *s = *state;
    g_autofree char *identities = g_build_filename(s->paths->data_dir, "pools", NULL);
    const char *const dirs[] = {s->paths->pool_dir, identities, s->paths->pool_run_dir};
    g_autoptr(GPtrArray) files = NULL, states = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++)
        scratch_put(dirs[i], "p.xml.0123abcd.new", "half");
    files = cst_pool_files_load(s->paths, NULL);
    assert_int_equal(scratch_mode(dirs[0], "p.xml.0123abcd.new"), -1);
    assert_int_equal(scratch_mode(dirs[1], "p.xml.0123abcd.new"), -1);
    assert_int_not_equal(scratch_mode(dirs[2], "p.xml.0123abcd.new"), -1);
    states = cst_pool_states_load(s->paths, NULL);
    assert_int_equal(scratch_mode(dirs[2], "p.xml.0123abcd.new"), -1);
}

/* --- records of volumes ----------------------------------------------------------------------- */

static CstTrashed *find_trashed(const Scratch *s, const char *hidden)
{
    const CstUuid uuid = the_uuid();
    CstTrashed *trashed = NULL;

    assert_true(cst_trash_find(s->paths, &uuid, hidden, &trashed, NULL));
    return trashed;
}

static void trash_record_is_read_as_it_was_written(void **state)
{
    const Scratch *s = *state;
    const CstUuid uuid = the_uuid();
    const CstTrashed trashed = {.hidden = (char *)"../.hidden",
                                .name = (char *)"a/b\n",
                                .deleted = 5,
                                .until = 7,
                                .uid = G_MAXUINT32};
    g_autoptr(CstTrashed) none = find_trashed(s, "../.hidden"), found = NULL;

    assert_null(none);
    assert_true(cst_trash_remove(s->paths, &uuid, "../.hidden", NULL));
    assert_true(cst_trash_set(s->paths, &uuid, &trashed, NULL));
    found = find_trashed(s, "../.hidden");
    assert_string_equal(found->hidden, "../.hidden");
    assert_string_equal(found->name, "a/b\n");
    assert_true(found->deleted == 5 && found->until == 7 && found->uid == G_MAXUINT32);
    assert_true(cst_trash_remove(s->paths, &uuid, "../.hidden", NULL));
    g_clear_pointer(&found, cst_trashed_free);
    found = find_trashed(s, "../.hidden");
    assert_null(found);
}

/* By the time of the deletion, then by the hidden name; a damaged one is left out. */
static void trash_is_listed_in_the_order_of_deletion(void **state)
{
    static const char *const wanted[] = {"c", "a", "b"};
    const Scratch *s = *state;
    const CstUuid uuid = the_uuid();
    g_autofree char *dir = g_build_filename(s->paths->data_dir, "trash", UUID, NULL);
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(GError) error = NULL;
    CstTrashed *trashed = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        const CstTrashed one = {.hidden = (char *)wanted[G_N_ELEMENTS(wanted) - 1 - i],
                                .name = (char *)"v",
                                .deleted = i == 2 ? 1 : 2};

        assert_true(cst_trash_set(s->paths, &uuid, &one, NULL));
    }
    scratch_put(dir, "=damaged", "[trash]\nname=x\n");
    scratch_put(dir, "=a.0123abcd.new", "half");
    assert_false(cst_trash_find(s->paths, &uuid, "damaged", &trashed, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_INVALID);
    logged = g_string_new(NULL);
    list = cst_trash_list(s->paths, &uuid, NULL);
    assert_true(g_str_has_prefix(logged->str, "the record of deleted volume 'damaged': "));
    g_string_free(g_steal_pointer(&logged), TRUE);
    assert_int_equal(list->len, G_N_ELEMENTS(wanted));
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
        assert_string_equal(((CstTrashed *)list->pdata[i])->hidden, wanted[i]);
}

static void remove_trashed(gpointer data)
{
    const CstUuid uuid = the_uuid();

    assert_true(cst_trash_remove(data, &uuid, "v", NULL));
}

/* Between the list of the names and the read of the record. */
static void trash_record_that_is_removed_during_the_list_is_skipped(void **state)
{
    const Scratch *s = *state;
    const CstUuid uuid = the_uuid();
    g_autoptr(GPtrArray) list = NULL;

    assert_true(save_trash(s->paths, OLD, NULL));
    point_run("trash.list.read", remove_trashed, s->paths);
    logged = g_string_new(NULL);
    list = cst_trash_list(s->paths, &uuid, NULL);
    points_clear();
    assert_int_equal(list->len, 0);
    assert_string_equal(logged->str, "");
    g_string_free(g_steal_pointer(&logged), TRUE);
}

/* An interrupted call for the same volume; the other volume's may be in progress. */
static void temporary_files_of_one_trash_record_are_removed(void **state)
{
    const Scratch *s = *state;
    const CstUuid uuid = the_uuid();
    g_autofree char *dir = g_build_filename(s->paths->data_dir, "trash", UUID, NULL);

    scratch_put(dir, "=v.0123abcd.new", "half");
    scratch_put(dir, "=w.0123abcd.new", "half");
    assert_true(save_trash(s->paths, OLD, NULL));
    cst_trash_drop_temporaries(s->paths, &uuid, "v");
    assert_int_equal(scratch_mode(dir, "=v.0123abcd.new"), -1);
    assert_int_not_equal(scratch_mode(dir, "=v"), -1);
    assert_int_not_equal(scratch_mode(dir, "=w.0123abcd.new"), -1);
}

static void records_that_cannot_be_read_are_an_error(void **state)
{
    const Scratch *s = *state;
    const CstUuid uuid = the_uuid();
    g_autofree char *trash = g_build_filename(s->paths->data_dir, "trash", UUID, NULL);
    g_autofree char *marks = g_build_filename(s->paths->data_dir, "protected", UUID, NULL);
    g_autofree char *loop = g_build_filename(marks, "=v", NULL);
    g_autoptr(GError) error = NULL;
    gboolean is_on;

    scratch_block(trash);
    assert_null(cst_trash_list(s->paths, &uuid, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_IO);
    g_clear_error(&error);
    assert_int_equal(g_mkdir_with_parents(marks, 0700), 0);
    assert_int_equal(symlink("=v", loop), 0);
    assert_false(cst_protected_find(s->paths, &uuid, "v", &is_on, &error));
    assert_non_null(error);
    assert_false(cst_protected_set(s->paths, &uuid, "v", TRUE, NULL));
}

static gboolean reads_fail;

struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);

struct dirent *__wrap_readdir64(DIR *dir)
{
    if (!reads_fail)
        return __real_readdir64(dir);
    errno = EIO;
    return NULL;
}

static void records_that_are_read_in_part_are_an_error(void **state)
{
    const Scratch *s = *state;
    const CstUuid uuid = the_uuid();
    g_autoptr(GError) error = NULL;

    assert_true(save_trash(s->paths, OLD, NULL));
    reads_fail = TRUE;
    assert_null(cst_trash_list(s->paths, &uuid, &error));
    reads_fail = FALSE;
    assert_int_equal(cst_error_code(error), CST_ERROR_IO);
}

static void protected_volumes_are_listed_by_name(void **state)
{
    static const char *const names[] = {"b", "a/\n", "."};
    const Scratch *s = *state;
    const CstUuid uuid = the_uuid();
    g_autoptr(GPtrArray) list = cst_protected_list(s->paths, &uuid, NULL);
    gboolean is_on;

    assert_int_equal(list->len, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        assert_true(cst_protected_set(s->paths, &uuid, names[i], TRUE, NULL));
        assert_true(cst_protected_set(s->paths, &uuid, names[i], TRUE, NULL));
    }
    g_ptr_array_unref(list);
    list = cst_protected_list(s->paths, &uuid, NULL);
    assert_int_equal(list->len, 3);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        assert_string_equal(list->pdata[i], names[2 - i]);
    assert_true(cst_protected_find(s->paths, &uuid, "a/\n", &is_on, NULL));
    assert_true(is_on);
    assert_true(cst_protected_set(s->paths, &uuid, "a/\n", FALSE, NULL));
    assert_true(cst_protected_find(s->paths, &uuid, "a/\n", &is_on, NULL));
    assert_false(is_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(file_is_old_or_new_after_each_failed_step),
        scratch_test(mark_that_cannot_be_synced_is_removed),
        scratch_test(definition_is_removed_before_its_link),
        scratch_test(link_that_cannot_be_removed_is_logged_and_removed_by_the_next_load),
        scratch_test(definition_that_stays_keeps_its_link),
        scratch_test(trash_record_is_read_as_it_was_written),
        scratch_test(trash_is_listed_in_the_order_of_deletion),
        scratch_test(trash_record_that_is_removed_during_the_list_is_skipped),
        scratch_test(dry_run_changes_no_file),
        scratch_test(load_removes_temporary_files),
        scratch_test(temporary_files_of_one_trash_record_are_removed),
        scratch_test(records_that_cannot_be_read_are_an_error),
        scratch_test(records_that_are_read_in_part_are_an_error),
        scratch_test(protected_volumes_are_listed_by_name),
    };

    g_log_set_writer_func(keep_message, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
