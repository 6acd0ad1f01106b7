/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Imports of files: what is sent of them, when they have changed, what their names may not say. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>
#include <import/import.h>

typedef struct {
    char *dir, *path;
    GByteArray *sent; /* holes as zeroes */
    uint64_t holes;   /* bytes */
} World;

static int make(void **state)
{
    World *world = g_new0(World, 1);

    world->dir = g_dir_make_tmp("import-XXXXXX", NULL);
    world->path = g_build_filename(world->dir, "disk.raw", NULL);
    world->sent = g_byte_array_new();
    *state = world;
    return world->dir == NULL;
}

static int drop(void **state)
{
    World *world = *state;

    g_unlink(world->path);
    g_rmdir(world->dir);
    g_free(world->dir);
    g_free(world->path);
    g_byte_array_unref(world->sent);
    g_free(world);
    return 0;
}

static gboolean take(const void *bytes, size_t len, uint64_t hole, gpointer data, GError **error)
{
    World *world = data;
    guint before = world->sent->len;

    g_byte_array_append(world->sent, bytes, (guint)len);
    if (hole > 0) {
        g_byte_array_set_size(world->sent, (guint)(before + hole));
        memset(world->sent->data + before, 0, hole);
        world->holes += hole;
    }
    return TRUE;
}

static void test_runs_in_order(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path};
    g_autoptr(CstImport) import = NULL;
    g_autoptr(GError) error = NULL;
    int fd = open(world->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(pwrite(fd, "data", 4, 3 << 20), 4);
    assert_int_equal(ftruncate(fd, (4 << 20) + 17), 0);
    import = cst_import_open(&how, NULL, &error);
    assert_null(error);
    assert_string_equal(cst_import_format(import, 0), "raw");
    assert_int_equal(cst_import_capacity(import, 0), (4 << 20) + 17);
    assert_true(cst_import_send(import, 0, take, world, &error));
    assert_int_equal(world->sent->len, (4 << 20) + 17);
    assert_memory_equal(world->sent->data + (3 << 20), "data", 4);
    assert_true(world->holes > 3 << 20);
    close(fd);
}

/* Not by its size, which is the same: by the file's times. */
static void test_a_file_that_changes_while_it_is_sent(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path};
    g_autoptr(CstImport) import = NULL;
    g_autoptr(GError) error = NULL;
    int fd;

    assert_true(g_file_set_contents(world->path, "0", 1, NULL));
    import = cst_import_open(&how, NULL, &error);
    assert_null(error);
    g_usleep(20000);
    fd = open(world->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "1", 1), 1);
    close(fd);
    assert_false(cst_import_send(import, 0, take, world, &error));
    assert_int_equal(error->code, CST_ERROR_MISMATCH);
}

static void test_what_is_refused(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path, .max_size = 2};
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    assert_true(g_file_set_contents(world->path, "123", 3, NULL));
    assert_null(cst_import_open(&how, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_LIMIT);
    g_clear_error(&error);
    how.max_size = 3;
    how.checksum = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    assert_null(cst_import_open(&how, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_MISMATCH);
    g_clear_error(&error);
    cst_task_cancel(task);
    assert_null(cst_import_open(&how, task, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_runs_in_order, make, drop),
        cmocka_unit_test_setup_teardown(test_a_file_that_changes_while_it_is_sent, make, drop),
        cmocka_unit_test_setup_teardown(test_what_is_refused, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
