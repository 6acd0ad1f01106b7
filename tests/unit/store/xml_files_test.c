/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include <store/pool_files.h>
#include <store/secret_files.h>
#include <store/secret_values.h>

#define KEPT "11111111-1111-1111-1111-111111111111"
#define GONE "22222222-2222-2222-2222-222222222222"

typedef struct {
    char *root;
    CstPaths *paths;
} Fixture;

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    f->root = g_dir_make_tmp("cst-xml-XXXXXX", NULL);
    f->paths = cst_paths_new(f->root);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->root);
    int status = system(command);

    cst_paths_free(f->paths);
    g_free(f->root);
    g_free(f);
    return status;
}

static void put(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    assert_int_equal(g_mkdir_with_parents(dir, 0700), 0);
    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static gboolean is_there(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void test_no_directory(void **state)
{
    Fixture *f = *state;
    g_autoptr(GPtrArray) pools = cst_pool_files_load(f->paths, NULL);
    g_autoptr(GPtrArray) secrets = cst_secret_files_load(f->paths, NULL);

    assert_int_equal(pools->len, 0);
    assert_int_equal(secrets->len, 0);
}

#define POOL(name)                                      \
    "<pool type='dir'><name>" name "</name><uuid>" KEPT \
    "</uuid><target><path>/p</path></target></pool>"

static void test_pools_that_cannot_be_read_are_left_out(void **state)
{
    Fixture *f = *state;
    const char *dir = f->paths->pool_dir;
    g_autoptr(GPtrArray) pools = NULL;

    put(dir, "good.xml", POOL("good"));
    put(dir, "other.xml", POOL("misnamed"));
    put(dir, "bad.xml", "<pool");
    put(dir, "good.xml.new", POOL("good"));
    put(dir, "good.xml.0123abcd.new", POOL("good"));
    pools = cst_pool_files_load(f->paths, NULL);
    assert_int_equal(pools->len, 1);
    assert_string_equal(((CstPoolFile *)g_ptr_array_index(pools, 0))->def->name, "good");
    assert_true(is_there(dir, "bad.xml") && is_there(dir, "other.xml"));
    /* Only unfinished files of Cistern are removed. */
    assert_true(is_there(dir, "good.xml.new"));
    assert_false(is_there(dir, "good.xml.0123abcd.new"));
}

#define SECRET(uuid) "<secret><uuid>" uuid "</uuid></secret>"

static void test_leftovers_of_secrets_are_removed_on_request(void **state)
{
    Fixture *f = *state;
    const char *dir = f->paths->secret_dir;
    g_auto(CstSecretBytes) value = {0};
    g_autoptr(GPtrArray) secrets = NULL;
    const CstSecretFile *file;

    put(dir, KEPT ".xml", SECRET(KEPT));
    put(dir, KEPT ".base64", "SGVsbG8=");
    put(dir, GONE ".base64", "SGVsbG8=");
    put(dir, KEPT ".base64.0123abcd.new", "SGVs");
    put(dir, "other.xml", SECRET(GONE));
    secrets = cst_secret_files_load(f->paths, NULL);
    assert_int_equal(secrets->len, 1);
    file = g_ptr_array_index(secrets, 0);
    assert_true(cst_secret_value_load(f->paths, &file->def->uuid, &value, NULL));
    assert_string_equal((const char *)value.data, "Hello");
    /* The loading process may not be the one that manages the secrets. */
    assert_true(is_there(dir, GONE ".base64"));
    assert_true(cst_secret_files_have_leftovers(f->paths));
    cst_secret_files_drop_leftovers(f->paths);
    assert_false(cst_secret_files_have_leftovers(f->paths));
    assert_false(is_there(dir, KEPT ".base64.0123abcd.new"));
    assert_true(is_there(dir, KEPT ".base64") && is_there(dir, "other.xml"));
    assert_false(is_there(dir, GONE ".base64"));
}

/* A loop of symbolic links exists and cannot be opened (ELOOP). */
static void put_loop(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    assert_int_equal(g_mkdir_with_parents(dir, 0700), 0);
    assert_int_equal(symlink(name, path), 0);
}

static void test_file_that_exists_and_cannot_be_opened_fails_the_load(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    put_loop(f->paths->pool_dir, "p.xml");
    put_loop(f->paths->pool_run_dir, "q.xml");
    put_loop(f->paths->secret_dir, KEPT ".xml");
    assert_null(cst_pool_files_load(f->paths, &error));
    assert_non_null(strstr(error->message, "p.xml"));
    g_clear_error(&error);
    assert_null(cst_pool_states_load(f->paths, &error));
    assert_non_null(strstr(error->message, "q.xml"));
    g_clear_error(&error);
    assert_null(cst_secret_files_load(f->paths, &error));
    assert_non_null(strstr(error->message, KEPT ".xml"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_that_exists_and_cannot_be_opened_fails_the_load,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_pools_that_cannot_be_read_are_left_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_leftovers_of_secrets_are_removed_on_request, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
