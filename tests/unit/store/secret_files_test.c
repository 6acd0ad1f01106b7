/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scratch.h"

#include <string.h>
#include <unistd.h>

#include <model/flags.h>
#include <store/secret_files.h>
#include <store/secret_values.h>

#define UUID  "11111111-1111-1111-1111-111111111111"
#define OTHER "22222222-2222-2222-2222-222222222222"
#define SECRET(uuid) \
    "<secret><uuid>" uuid "</uuid><usage type='iscsi'><target>t</target></usage></secret>"

static CstSecretDef *parse(const char *xml)
{
    CstSecretDef *def = cst_secret_def_parse(xml, 0, NULL);

    assert_non_null(def);
    return def;
}

static gboolean save_value(const Scratch *s, const CstSecretDef *def, const void *value, size_t len,
                           GError **error)
{
    const CstSecretBytes bytes = {(uint8_t *)value, len};

    return cst_secret_value_save(s->paths, &def->uuid, &bytes, CST_SEAL_AUTO, error);
}

static void a_secret_and_its_value_are_kept_for_their_owner(void **state)
{
    Scratch *s = *state;
    const char *dir = s->paths->secret_dir;
    g_autoptr(CstSecretDef) def = parse(SECRET(UUID));
    g_autoptr(GPtrArray) bare = NULL;
    g_auto(CstSecretBytes) value = {0};
    const CstSecretFile *file;

    assert_true(cst_secret_file_save(s->paths, def, NULL));
    assert_int_equal(scratch_mode(dir, "."), 0700);
    assert_int_equal(scratch_mode(dir, UUID ".xml"), 0600);
    bare = cst_secret_files_load(s->paths, NULL);
    assert_int_equal(bare->len, 1);
    file = g_ptr_array_index(bare, 0);
    assert_string_equal(file->def->usage_id, "t");
    assert_true(cst_secret_value_load(s->paths, &def->uuid, &value, NULL));
    assert_null(value.data);
    assert_true(save_value(s, def, "\0\xff value", 8, NULL));
    assert_int_equal(scratch_mode(dir, UUID ".base64"), 0600);
    assert_true(cst_secret_value_load(s->paths, &def->uuid, &value, NULL));
    assert_int_equal(value.len, 8);
    assert_memory_equal(value.data, "\0\xff value", 9);
}

static void a_value_may_be_saved_first(void **state)
{
    Scratch *s = *state;
    g_autoptr(CstSecretDef) def = parse(SECRET(UUID));

    assert_true(save_value(s, def, "v", 1, NULL));
    assert_int_equal(scratch_mode(s->paths->secret_dir, "."), 0700);
    assert_true(cst_secret_files_have_leftovers(s->paths));
    assert_true(cst_secret_file_save(s->paths, def, NULL));
    assert_false(cst_secret_files_have_leftovers(s->paths));
}

static void removal_of_definition_and_value_or_of_neither_succeeds(void **state)
{
    Scratch *s = *state;
    const char *dir = s->paths->secret_dir;
    g_autoptr(CstSecretDef) def = parse(SECRET(UUID));

    assert_true(cst_secret_file_remove(s->paths, &def->uuid, NULL));
    assert_true(cst_secret_value_remove(s->paths, &def->uuid, NULL));
    assert_true(cst_secret_file_save(s->paths, def, NULL));
    assert_true(save_value(s, def, "v", 1, NULL));
    assert_true(cst_secret_value_remove(s->paths, &def->uuid, NULL));
    assert_int_equal(scratch_mode(dir, UUID ".base64"), -1);
    assert_int_equal(scratch_mode(dir, UUID ".xml"), 0600);
    assert_true(save_value(s, def, "v", 1, NULL));
    assert_true(cst_secret_file_remove(s->paths, &def->uuid, NULL));
    assert_int_equal(scratch_mode(dir, UUID ".xml"), -1);
    assert_int_equal(scratch_mode(dir, UUID ".base64"), -1);
}

static void unreadable_secret_is_skipped_and_kept(void **state)
{
    Scratch *s = *state;
    const char *dir = s->paths->secret_dir;
    g_autofree char *huge = g_strnfill(1u << 20, 'A');
    g_autofree char *document = g_strconcat(SECRET(OTHER), huge, NULL);
    g_autoptr(GPtrArray) files = NULL;

    scratch_put(dir, UUID ".xml", SECRET(UUID));
    scratch_put(dir, UUID ".base64", huge); /* no value is that long */
    scratch_put(dir, OTHER ".xml", document);
    scratch_put(dir, "bad.xml", "<secret");
    scratch_put(dir, "misnamed.xml", SECRET(UUID));
    files = cst_secret_files_load(s->paths, NULL);
    assert_int_equal(files->len, 0);
    assert_int_not_equal(scratch_mode(dir, UUID ".base64"), -1);
    assert_int_not_equal(scratch_mode(dir, "misnamed.xml"), -1);
}

static void the_longest_value_can_be_read_back(void **state)
{
    Scratch *s = *state;
    g_autoptr(CstSecretDef) def = parse(SECRET(UUID));
    g_autofree uint8_t *value = g_malloc0(CST_SECRET_VALUE_MAX);
    g_auto(CstSecretBytes) found = {0};
    g_autoptr(GPtrArray) files = NULL;

    assert_true(cst_secret_file_save(s->paths, def, NULL));
    assert_true(save_value(s, def, value, CST_SECRET_VALUE_MAX, NULL));
    files = cst_secret_files_load(s->paths, NULL);
    assert_int_equal(files->len, 1);
    assert_true(cst_secret_value_load(s->paths, &def->uuid, &found, NULL));
    assert_int_equal(found.len, CST_SECRET_VALUE_MAX);
}

static void secret_that_cannot_be_written_is_reported(void **state)
{
    Scratch *s = *state;
    g_autoptr(CstSecretDef) def = parse(SECRET(UUID));
    g_autoptr(GError) error = NULL;

    scratch_block(s->paths->secret_dir);
    scratch_failed(cst_secret_file_save(s->paths, def, &error), &error, CST_ERROR_IO);
    scratch_failed(save_value(s, def, "v", 1, &error), &error, CST_ERROR_IO);
}

/* A directory with the file's name is neither replaced nor removed. */
static void directory_with_the_name_of_a_secret_file_is_reported(void **state)
{
    Scratch *s = *state;
    g_autofree char *value = g_build_filename(s->paths->secret_dir, UUID ".base64", NULL);
    g_autofree char *definition = g_build_filename(s->paths->secret_dir, UUID ".xml", NULL);
    g_autoptr(CstSecretDef) def = parse(SECRET(UUID));
    g_autoptr(GError) error = NULL;

    assert_int_equal(g_mkdir_with_parents(value, 0700), 0);
    assert_int_equal(g_mkdir_with_parents(definition, 0700), 0);
    scratch_failed(cst_secret_file_save(s->paths, def, &error), &error, CST_ERROR_IO);
    scratch_failed(save_value(s, def, "v", 1, &error), &error, CST_ERROR_INVALID);
    scratch_failed(cst_secret_value_remove(s->paths, &def->uuid, &error), &error, CST_ERROR_IO);
    scratch_failed(cst_secret_file_remove(s->paths, &def->uuid, &error), &error, CST_ERROR_IO);
    assert_int_equal(rmdir(definition), 0);
    scratch_failed(cst_secret_file_remove(s->paths, &def->uuid, &error), &error, CST_ERROR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(a_secret_and_its_value_are_kept_for_their_owner),
        scratch_test(a_value_may_be_saved_first),
        scratch_test(removal_of_definition_and_value_or_of_neither_succeeds),
        scratch_test(unreadable_secret_is_skipped_and_kept),
        scratch_test(the_longest_value_can_be_read_back),
        scratch_test(secret_that_cannot_be_written_is_reported),
        scratch_test(directory_with_the_name_of_a_secret_file_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
