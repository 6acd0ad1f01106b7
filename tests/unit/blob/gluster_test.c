/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scope of a flush of a Gluster volume's file, on a volume in a directory. */
#include "points.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <blob/gluster.h>
#include <fake_gluster.h>

#define SIZE 65536

static const CstGluster *gluster;
static glfs_t *connection;
static char *dir;
static CstBlob *blob;

static CstBlob *open_file(const char *path)
{
    CstBlobGluster what = {.deadline_ms = 300000};

    what.fd = gluster->glfs_creat(connection, path, O_RDWR, 0600);
    assert_non_null(what.fd);
    return cst_blob_gluster_new(&what, path, TRUE, NULL);
}

static int set_up(void **state)
{
    dir = g_dir_make_tmp("gluster-XXXXXX", NULL);
    fake_gluster_reset(dir, "vol", 1);
    gluster = cst_gluster(NULL);
    assert_non_null(gluster);
    connection = gluster->glfs_new("vol");
    assert_int_equal(gluster->glfs_init(connection), 0);
    blob = open_file("/file");
    assert_true(cst_blob_resize(blob, SIZE, NULL));
    assert_true(cst_blob_flush(blob, NULL));
    return 0;
}

static int tear_down(void **state)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", dir);

    cst_blob_unref(g_steal_pointer(&blob));
    gluster->glfs_fini(connection);
    assert_int_equal(system(command), 0);
    g_clear_pointer(&dir, g_free);
    return 0;
}

static guint syncs(void)
{
    return fake_gluster_calls("glfs_fsync");
}

static gboolean by_write(void)
{
    return cst_blob_pwrite(blob, "data", 4, 0, NULL);
}

static gboolean by_zero(void)
{
    return cst_blob_zero(blob, 0, 4096, 0, NULL);
}

static gboolean by_unmap(void)
{
    return cst_blob_zero(blob, 0, 4096, CST_ZERO_MAY_UNMAP, NULL);
}

static gboolean by_discard(void)
{
    return cst_blob_discard(blob, 0, 4096, NULL);
}

static gboolean by_allocate(void)
{
    return cst_blob_allocate(blob, 0, 4096, NULL);
}

static gboolean by_resize(void)
{
    return cst_blob_resize(blob, 2 * SIZE, NULL);
}

static gboolean (*const changes[])(void) = {by_write,   by_zero,     by_unmap,
                                            by_discard, by_allocate, by_resize};

static void each_kind_of_change_is_flushed_once(void **state)
{
    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        guint before = syncs();

        assert_true(cst_blob_flush(blob, NULL));
        assert_int_equal(syncs(), before);
        assert_true(changes[i]());
        assert_true(cst_blob_flush(blob, NULL));
        assert_int_equal(syncs(), before + 1);
    }
}

static void write_after_the_end_makes_the_file_longer(void **state)
{
    char back[4];
    uint64_t size;

    assert_true(cst_blob_pwrite(blob, "data", 4, SIZE + 100, NULL));
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, SIZE + 104);
    assert_true(cst_blob_pwrite(blob, "data", 4, 0, NULL));
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, SIZE + 104);
    assert_true(cst_blob_pread(blob, back, 4, SIZE + 100, NULL));
    assert_memory_equal(back, "data", 4);
}

static void flush_that_fails_is_reported_and_is_sent_again(void **state)
{
    g_autoptr(GError) error = NULL;
    guint before = syncs();

    assert_true(by_write());
    fake_gluster_fail("glfs_fsync", 0, 2, ENOSPC);
    for (int i = 0; i < 2; i++) {
        assert_false(cst_blob_flush(blob, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_SPACE));
        g_clear_error(&error);
    }
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(syncs(), before + 3);
}

/* A step that failed may have changed a part of its range. */
static void change_that_failed_is_flushed_too(void **state)
{
    static const char *const steps[] = {"glfs_zerofill", "glfs_discard", "glfs_fallocate"};
    static gboolean (*const failing[])(void) = {by_zero, by_unmap, by_allocate};

    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        guint before = syncs();

        fake_gluster_fail(steps[i], 0, 1, EIO);
        assert_false(failing[i]());
        assert_true(cst_blob_flush(blob, NULL));
        assert_int_equal(syncs(), before + 1);
    }
}

static void flush_meanwhile(gpointer ret_synced)
{
    guint before = syncs();

    assert_true(cst_blob_flush(blob, NULL));
    *(guint *)ret_synced = syncs() - before;
}

/* The changes are not durable until the first one ends, which may fail. */
static void flush_during_another_flush_syncs_by_itself(void **state)
{
    guint synced = 0;

    assert_true(by_write());
    point_run("gluster_blob.flush.begun", flush_meanwhile, &synced);
    assert_true(cst_blob_flush(blob, NULL));
    points_clear();
    assert_int_equal(synced, 1);
}

static void write_meanwhile(gpointer data)
{
    assert_true(by_write());
}

/* Whether the sync has had the change is not known. */
static void assert_flushed_by_the_next(void)
{
    guint before = syncs();

    assert_true(by_write());
    assert_true(cst_blob_flush(blob, NULL));
    points_clear();
    assert_int_equal(syncs(), before + 1);
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(syncs(), before + 2);
}

static void change_during_a_flush_is_flushed_by_the_next_one(void **state)
{
    point_run("gluster_blob.flush.begun", write_meanwhile, NULL);
    assert_flushed_by_the_next();
    point_run("gluster_blob.flush.synced", write_meanwhile, NULL);
    assert_flushed_by_the_next();
}

/* A flush that comes before the servers have done the step does not cover it. */
static void step_is_flushed_also_when_another_flush_came_just_before_it(void **state)
{
    for (guint i = 1; i <= 4; i++) { /* the operations that are done in steps */
        guint before, synced = 0;

        assert_true(by_write());
        point_run("gluster_blob.step.begin", flush_meanwhile, &synced);
        assert_true(changes[i]());
        points_clear();
        assert_int_equal(synced, 1);
        before = syncs();
        assert_true(cst_blob_flush(blob, NULL));
        assert_int_equal(syncs(), before + 1);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_kind_of_change_is_flushed_once),
        TEST(write_after_the_end_makes_the_file_longer),
        TEST(flush_that_fails_is_reported_and_is_sent_again),
        TEST(change_that_failed_is_flushed_too),
        TEST(flush_during_another_flush_syncs_by_itself),
        TEST(change_during_a_flush_is_flushed_by_the_next_one),
        TEST(step_is_flushed_also_when_another_flush_came_just_before_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
