/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scratch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <store/pool_files.h>

#define UUID "11111111-1111-1111-1111-111111111111"
#define POOL(name)                                      \
    "<pool type='dir'><name>" name "</name><uuid>" UUID \
    "</uuid><target><path>/p</path></target></pool>"

static CstPoolDef *parse(const char *xml)
{
    CstPoolDef *def = cst_pool_def_parse(xml, 0, NULL);

    assert_non_null(def);
    return def;
}

/* The pool that must be the only one of @files; frees them but for its definition. */
static CstPoolDef *only_one(GPtrArray *files, gboolean autostart)
{
    CstPoolFile *file;
    CstPoolDef *def;

    assert_int_equal(files->len, 1);
    file = g_ptr_array_index(files, 0);
    assert_int_equal(file->autostart, autostart);
    def = g_steal_pointer(&file->def);
    g_ptr_array_unref(files);
    return def;
}

static void check_file(const char *dir, const char *name, const char *warning)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *text = NULL;

    assert_int_equal(scratch_mode(dir, name), 0600);
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_true(g_str_has_prefix(text, "<!--"));
    assert_non_null(strstr(text, warning));
}

static void a_definition_is_kept_until_it_is_removed(void **state)
{
    Scratch *s = *state;
    const char *dir = s->paths->pool_dir;
    g_autoptr(CstPoolDef) def = parse(POOL("p"));
    g_autoptr(CstPoolDef) loaded = NULL;
    g_autoptr(GPtrArray) none = NULL;

    assert_true(cst_pool_file_save(s->paths, def, NULL));
    assert_int_equal(scratch_mode(dir, "."), 0700);
    check_file(dir, "p.xml", "pool-edit p");
    loaded = only_one(cst_pool_files_load(s->paths, NULL), FALSE);
    assert_string_equal(loaded->name, "p");
    assert_true(cst_uuid_equal(&loaded->uuid, &def->uuid));
    assert_true(cst_pool_file_remove(s->paths, "p", NULL));
    none = cst_pool_files_load(s->paths, NULL);
    assert_int_equal(none->len, 0);
}

static void a_state_is_kept_in_the_run_directory(void **state)
{
    Scratch *s = *state;
    g_autoptr(CstPoolDef) def = parse(POOL("p"));
    g_autoptr(CstPoolDef) loaded = NULL;
    g_autoptr(GPtrArray) none = NULL;

    assert_true(cst_pool_state_save(s->paths, def, NULL));
    assert_int_equal(scratch_mode(s->paths->pool_run_dir, "."), 0755);
    check_file(s->paths->pool_run_dir, "p.xml", "pool-edit p");
    loaded = only_one(cst_pool_states_load(s->paths, NULL), FALSE);
    assert_string_equal(loaded->name, "p");
    assert_int_equal(scratch_mode(s->paths->pool_dir, "p.xml"), -1);
    assert_true(cst_pool_state_remove(s->paths, "p", NULL));
    none = cst_pool_states_load(s->paths, NULL);
    assert_int_equal(none->len, 0);
}

static void autostart_is_libvirts_link(void **state)
{
    Scratch *s = *state;
    g_autofree char *link = g_build_filename(s->paths->autostart_dir, "p.xml", NULL);
    g_autofree char *definition = g_build_filename(s->paths->pool_dir, "p.xml", NULL);
    g_autofree char *target = NULL;
    g_autoptr(CstPoolDef) def = parse(POOL("p"));

    assert_true(cst_pool_file_save(s->paths, def, NULL));
    for (int i = 0; i < 2; i++)
        assert_true(cst_pool_file_set_autostart(s->paths, "p", TRUE, NULL));
    target = g_file_read_link(link, NULL);
    assert_string_equal(target, definition);
    assert_int_equal(scratch_mode(s->paths->autostart_dir, "."), 0700);
    cst_pool_def_free(only_one(cst_pool_files_load(s->paths, NULL), TRUE));
    for (int i = 0; i < 2; i++)
        assert_true(cst_pool_file_set_autostart(s->paths, "p", FALSE, NULL));
    assert_int_equal(scratch_mode(s->paths->autostart_dir, "p.xml"), -1);
    cst_pool_def_free(only_one(cst_pool_files_load(s->paths, NULL), FALSE));
}

static void a_relative_link_starts_a_pool_and_one_elsewhere_does_not(void **state)
{
    Scratch *s = *state;
    g_autofree char *link = g_build_filename(s->paths->autostart_dir, "p.xml", NULL);
    g_autoptr(CstPoolDef) def = parse(POOL("p"));

    assert_true(cst_pool_file_save(s->paths, def, NULL));
    assert_int_equal(g_mkdir_with_parents(s->paths->autostart_dir, 0700), 0);
    assert_int_equal(symlink("../p.xml", link), 0);
    cst_pool_def_free(only_one(cst_pool_files_load(s->paths, NULL), TRUE));
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("../q.xml", link), 0);
    cst_pool_def_free(only_one(cst_pool_files_load(s->paths, NULL), FALSE));
    assert_int_not_equal(scratch_mode(s->paths->autostart_dir, "p.xml"), -1);
}

static void autostart_link_is_removed_with_its_definition(void **state)
{
    Scratch *s = *state;
    g_autofree char *stale = g_build_filename(s->paths->autostart_dir, "gone.xml", NULL);
    g_autofree char *gone = g_build_filename(s->paths->pool_dir, "gone.xml", NULL);
    g_autoptr(CstPoolDef) def = parse(POOL("p"));

    assert_true(cst_pool_file_save(s->paths, def, NULL));
    assert_true(cst_pool_file_set_autostart(s->paths, "p", TRUE, NULL));
    assert_int_equal(symlink(gone, stale), 0);
    cst_pool_def_free(only_one(cst_pool_files_load(s->paths, NULL), TRUE));
    assert_int_equal(scratch_mode(s->paths->autostart_dir, "gone.xml"), -1);
    assert_int_not_equal(scratch_mode(s->paths->autostart_dir, "p.xml"), -1);
    assert_true(cst_pool_file_remove(s->paths, "p", NULL));
    assert_int_equal(scratch_mode(s->paths->autostart_dir, "p.xml"), -1);
}

/* Links in the directory of autostart that are not ours; %s: the root. */
static const struct {
    const char *name, *target;
} foreign_links[] = {
    {"p.xml", "%s/nowhere.xml"},
    {"p.xml", "%s/directory"},
    {"p.xml", "%s/outside.xml"},
    {"p.xml", "../q.xml"},
    {"p.xml", "%s/etc/libvirt/storage/q.xml"},
    {"p.xml", "p.xml"},
    {"p.xml", ""},
    {"gone.xml", "%s/nowhere.xml"},
    {"gone.xml", "nowhere.xml"},
    {"gone.xml", "%s/etc/libvirt/storage/other.xml"},
    {"gone.xml", "%s/etc/libvirt/storage/gone.xml/deeper"},
    {"gone.xml", "%s/etc/libvirt/storage"},
    {"gone", "%s/etc/libvirt/storage/gone.xml"},
};

static char *put_foreign_link(Scratch *s, size_t index)
{
    const char *name = foreign_links[index].name, *target = foreign_links[index].target;
    g_autofree char *path = g_build_filename(s->paths->autostart_dir, name, NULL);
    g_autofree char *full = g_str_has_prefix(target, "%s")
                                ? g_strconcat(s->root, target + strlen("%s"), NULL)
                                : g_strdup(target);

    if (*full)
        assert_int_equal(symlink(full, path), 0);
    else /* a file that is not a link */
        assert_int_equal(mkdir(path, 0700), 0);
    return g_steal_pointer(&path);
}

/* Where @path leads; "": it is no link. */
static char *target_of(const char *path)
{
    char *target = g_file_read_link(path, NULL);

    return target ? target : g_strdup("");
}

/* The pool p is loaded, and no other, but for q; only q is to be started. */
static void assert_loads_q_for_autostart(Scratch *s)
{
    g_autoptr(GPtrArray) files = cst_pool_files_load(s->paths, NULL);

    assert_int_equal(files->len, 2);
    for (guint i = 0; i < files->len; i++) {
        const CstPoolFile *file = g_ptr_array_index(files, i);

        assert_int_equal(file->autostart, strcmp(file->def->name, "q") == 0);
        assert_string_equal(file->def->target_path, "/p");
    }
}

static void foreign_links_are_neither_followed_nor_removed(void **state)
{
    Scratch *s = *state;
    g_autoptr(CstPoolDef) p = parse(POOL("p"));
    g_autoptr(CstPoolDef) q = parse(POOL("q"));
    g_autofree char *directory = g_build_filename(s->root, "directory", NULL);

    assert_true(cst_pool_file_save(s->paths, p, NULL));
    assert_true(cst_pool_file_save(s->paths, q, NULL));
    assert_true(cst_pool_file_set_autostart(s->paths, "q", TRUE, NULL));
    scratch_put(s->root, "outside.xml", POOL("p"));
    scratch_put(s->paths->pool_dir, "../q.xml", POOL("p"));
    scratch_put(directory, "p.xml", POOL("p"));
    for (size_t i = 0; i < G_N_ELEMENTS(foreign_links); i++) {
        g_autofree char *path = put_foreign_link(s, i);
        g_autofree char *before = target_of(path), *after = NULL;

        assert_loads_q_for_autostart(s);
        after = target_of(path);
        assert_string_equal(after, before);
        assert_int_equal(remove(path), 0);
    }
}

/* The wrong link is not accepted as the right one, because the pool would not start at the next
 * boot. */
static void a_foreign_link_is_no_autostart(void **state)
{
    Scratch *s = *state;
    g_autoptr(CstPoolDef) def = parse(POOL("p"));
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_file_save(s->paths, def, NULL));
    assert_int_equal(g_mkdir_with_parents(s->paths->autostart_dir, 0700), 0);
    for (size_t i = 0; strcmp(foreign_links[i].name, "p.xml") == 0; i++) {
        g_autofree char *path = put_foreign_link(s, i);
        g_autofree char *before = target_of(path), *after = NULL;

        scratch_failed(cst_pool_file_set_autostart(s->paths, "p", TRUE, &error), &error,
                       CST_ERROR_IO);
        after = target_of(path);
        assert_string_equal(after, before);
        assert_int_equal(remove(path), 0);
    }
}

/* Definitions may be links to a file system that is not mounted yet. */
static void a_definition_that_is_out_of_reach_keeps_its_autostart(void **state)
{
    Scratch *s = *state;
    g_autofree char *definition = g_build_filename(s->paths->pool_dir, "p.xml", NULL);
    g_autofree char *elsewhere = g_build_filename(s->root, "elsewhere", NULL);
    g_autoptr(GPtrArray) none = NULL;

    assert_int_equal(g_mkdir_with_parents(s->paths->pool_dir, 0700), 0);
    assert_true(cst_pool_file_set_autostart(s->paths, "p", TRUE, NULL));
    assert_int_equal(symlink("../../../elsewhere/p.xml", definition), 0);
    none = cst_pool_files_load(s->paths, NULL);
    assert_int_equal(none->len, 0);
    scratch_put(elsewhere, "p.xml", POOL("p"));
    cst_pool_def_free(only_one(cst_pool_files_load(s->paths, NULL), TRUE));
}

static void a_dry_run_leaves_autostart_alone(void **state)
{
    Scratch *s = *state;
    g_autoptr(GError) error = NULL;
    gboolean done;

    cst_dry_run_set(TRUE);
    done = cst_pool_file_set_autostart(s->paths, "p", TRUE, &error);
    cst_dry_run_set(FALSE);
    scratch_failed(done, &error, CST_ERROR_DRY_RUN);
    assert_int_equal(scratch_mode(s->paths->pool_dir, "."), -1);
}

static CstPoolDef *read_one(Scratch *s, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(s->root, name, NULL);

    return cst_pool_file_read(path, error);
}

static void one_definition_is_read_with_the_same_checks(void **state)
{
    Scratch *s = *state;
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPoolDef) def = NULL;
    g_autoptr(CstPoolDef) plain = NULL;

    scratch_put(s->root, "p.xml", POOL("p"));
    scratch_put(s->root, "plain", POOL("plain"));
    scratch_put(s->root, "other.xml", POOL("p"));
    scratch_put(s->root, "bad.xml", "<pool");
    def = read_one(s, "p.xml", NULL);
    assert_string_equal(def->name, "p");
    plain = read_one(s, "plain", NULL);
    assert_string_equal(plain->name, "plain");
    scratch_failed(read_one(s, "other.xml", &error) != NULL, &error, CST_ERROR_CONFIG);
    scratch_failed(read_one(s, "bad.xml", &error) != NULL, &error, CST_ERROR_XML_SYNTAX);
    scratch_failed(read_one(s, "none.xml", &error) != NULL, &error, CST_ERROR_NOT_FOUND);
}

/* Returns the recorded identity, NULL: no record. The caller frees it. */
static char *identity_of(const CstPaths *paths, const CstUuid *uuid)
{
    char *identity;

    assert_true(cst_pool_identity_load(paths, uuid, &identity, NULL));
    return identity;
}

static void an_identity_is_kept_by_uuid(void **state)
{
    Scratch *s = *state;
    g_autoptr(CstPoolDef) def = parse(POOL("p"));
    g_autofree char *dir = g_build_filename(s->paths->data_dir, "pools", NULL);
    g_autofree char *identity = NULL;

    assert_null(identity_of(s->paths, &def->uuid));
    assert_true(cst_pool_identity_remove(s->paths, &def->uuid, NULL));
    assert_true(cst_pool_identity_save(s->paths, &def->uuid, "what it was", NULL));
    assert_int_equal(scratch_mode(dir, "."), 0700);
    assert_int_equal(scratch_mode(dir, UUID ".identity"), 0600);
    identity = identity_of(s->paths, &def->uuid);
    assert_string_equal(identity, "what it was");
    assert_true(cst_pool_identity_remove(s->paths, &def->uuid, NULL));
    assert_null(identity_of(s->paths, &def->uuid));
}

static void file_that_cannot_be_written_is_reported(void **state)
{
    Scratch *s = *state;
    g_autofree char *pools = g_build_filename(s->paths->data_dir, "pools", NULL);
    g_autoptr(CstPoolDef) def = parse(POOL("p"));
    g_autoptr(GError) error = NULL;

    scratch_block(s->paths->autostart_dir);
    scratch_failed(cst_pool_file_set_autostart(s->paths, "p", TRUE, &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_file_set_autostart(s->paths, "p", FALSE, &error), &error, CST_ERROR_IO);
    assert_int_equal(unlink(s->paths->autostart_dir), 0);
    assert_int_equal(rmdir(s->paths->pool_dir), 0);
    scratch_block(s->paths->pool_dir);
    scratch_block(s->paths->pool_run_dir);
    scratch_block(pools);
    scratch_failed(cst_pool_file_save(s->paths, def, &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_file_remove(s->paths, "p", &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_state_save(s->paths, def, &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_state_remove(s->paths, "p", &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_identity_save(s->paths, &def->uuid, "", &error), &error, CST_ERROR_IO);
}

/* A directory with the file's name is neither replaced nor removed. */
static void directory_with_the_name_of_a_pool_file_is_reported(void **state)
{
    Scratch *s = *state;
    g_autofree char *pools = g_build_filename(s->paths->data_dir, "pools", NULL);
    const char *const dirs[] = {s->paths->pool_dir, s->paths->pool_run_dir, s->paths->autostart_dir,
                                pools};
    g_autoptr(CstPoolDef) def = parse(POOL("p"));
    g_autofree char *identity = NULL;
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_autofree char *path =
            g_build_filename(dirs[i], dirs[i] == pools ? UUID ".identity" : "p.xml", NULL);

        assert_int_equal(g_mkdir_with_parents(path, 0700), 0);
    }
    scratch_failed(cst_pool_file_save(s->paths, def, &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_file_remove(s->paths, "p", &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_state_save(s->paths, def, &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_state_remove(s->paths, "p", &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_file_set_autostart(s->paths, "p", FALSE, &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_identity_save(s->paths, &def->uuid, "", &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_identity_remove(s->paths, &def->uuid, &error), &error, CST_ERROR_IO);
    scratch_failed(cst_pool_identity_load(s->paths, &def->uuid, &identity, &error), &error,
                   CST_ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(a_definition_is_kept_until_it_is_removed),
        scratch_test(a_state_is_kept_in_the_run_directory),
        scratch_test(autostart_is_libvirts_link),
        scratch_test(a_relative_link_starts_a_pool_and_one_elsewhere_does_not),
        scratch_test(autostart_link_is_removed_with_its_definition),
        scratch_test(foreign_links_are_neither_followed_nor_removed),
        scratch_test(a_foreign_link_is_no_autostart),
        scratch_test(a_definition_that_is_out_of_reach_keeps_its_autostart),
        scratch_test(a_dry_run_leaves_autostart_alone),
        scratch_test(one_definition_is_read_with_the_same_checks),
        scratch_test(an_identity_is_kept_by_uuid),
        scratch_test(file_that_cannot_be_written_is_reported),
        scratch_test(directory_with_the_name_of_a_pool_file_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
