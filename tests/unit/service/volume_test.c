/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "await.h"
#include "fixture.h"
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <service/images.h>

static char *vol_xml(const char *name, const char *format, const char *more)
{
    return g_strdup_printf("<volume><name>%s</name><allocation>0</allocation>"
                           "<capacity unit='MiB'>8</capacity>"
                           "<target><format type='%s'/></target>%s</volume>",
                           name, format, more);
}

static char *create(CstPool *pool, const char *name, const char *format)
{
    g_autofree char *xml = vol_xml(name, format, "");
    g_autoptr(GError) error = NULL;
    char *made = NULL;

    cst_vol_create(pool, xml, 0, NULL, &made, &error);
    assert_no_error(error);
    assert_string_equal(made, name);
    return made;
}

static void a_created_volume_is_listed_with_its_format(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *raw = create(pool, "b.img", "raw");
    g_autofree char *qcow2 = create(pool, "a.qcow2", "qcow2");
    g_autoptr(GPtrArray) rows = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_DETAILS, NULL);
    CstVolRow *row;

    assert_int_equal(rows->len, 2);
    row = g_ptr_array_index(rows, 0);
    assert_string_equal(row->name, "a.qcow2");
    assert_string_equal(row->format, "qcow2");
    assert_int_equal(row->info.capacity, 8 * CST_MIB);
    row = g_ptr_array_index(rows, 1);
    assert_string_equal(row->format, "raw");
    assert_int_equal(row->info.physical, 8 * CST_MIB);
    assert_int_equal(row->info.allocation, 0);
}

/* A pool of files accepts each format that the engine can create. */
static void volumes_of_foreign_formats_are_created_and_resized(void **state)
{
    static const char *const formats[] = {"vdi", "vmdk", "vpc", "vhdx"};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *name = create(pool, formats[i], formats[i]);
        g_autoptr(GPtrArray) rows =
            cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_DETAILS, NULL);
        CstVolRow *row = g_ptr_array_index(rows, 0);

        assert_string_equal(row->format, formats[i]);
        assert_true(row->info.capacity >= 8 * CST_MIB);
        assert_true(cst_vol_resize(pool, name, 12 * CST_MIB, 0, NULL, NULL));
        assert_true(cst_vol_delete(pool, name, 0, NULL, NULL));
    }
}

static void pages_follow_one_another_without_a_gap(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *after = NULL;
    guint seen = 0;

    for (int i = 0; i < 25; i++) {
        g_autofree char *name = g_strdup_printf("v%02d", i);

        fixture_write(f, "p", name, "x");
    }
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    for (;;) {
        g_autoptr(GPtrArray) rows = cst_pool_list_volumes(pool, after, 10, 0, NULL);

        if (rows->len == 0)
            break;
        seen += rows->len;
        g_free(after);
        after = g_strdup(((CstVolRow *)g_ptr_array_index(rows, rows->len - 1))->name);
    }
    assert_int_equal(seen, 25);
}

static void existing_or_hostile_names_are_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *made = create(pool, "a", "raw");
    const char *const hostile[] = {"../x", "a/b", "..", ".", "x&#10;y"};
    g_autoptr(GError) error = NULL;
    g_autofree char *again = vol_xml("a", "raw", "");
    char *name = NULL;

    assert_false(cst_vol_create(pool, again, 0, NULL, &name, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autofree char *xml = vol_xml(hostile[i], "raw", "");

        assert_false(cst_vol_create(pool, xml, 0, NULL, &name, &error));
        assert_true(error->code == CST_ERROR_XML || error->code == CST_ERROR_INVALID ||
                    error->code == CST_ERROR_STATE);
        g_clear_error(&error);
    }
}

static void raw_volume_stays_raw_after_any_write_of_its_guest(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *raw = create(pool, "evil", "raw");
    g_autofree char *path = cst_vol_get_path(pool, "evil", NULL);
    g_autoptr(GPtrArray) rows = NULL;
    FILE *file = fopen(path, "r+");

    assert_int_equal(fwrite("QFI\xfb\0\0\0\3", 1, 8, file), 8);
    fclose(file);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    rows = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_DETAILS, NULL);
    assert_string_equal(((CstVolRow *)g_ptr_array_index(rows, 0))->format, "raw");
}

/* A guest may be able to write the start of a medium, so the file does not become an image. */
static void medium_stays_a_medium_after_any_write_over_its_start(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *path = g_build_filename(f->images, "p", "medium", NULL);
    g_autoptr(GPtrArray) before = NULL;
    g_autoptr(GPtrArray) after = NULL;
    FILE *file = fopen(path, "w+");

    assert_int_equal(fseek(file, 32769, SEEK_SET), 0);
    assert_int_equal(fwrite("CD001", 1, 5, file), 5);
    assert_int_equal(fflush(file), 0);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    before = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_DETAILS, NULL);
    assert_string_equal(((CstVolRow *)g_ptr_array_index(before, 0))->format, "iso");
    rewind(file);
    assert_int_equal(fwrite("QFI\xfb\0\0\0\3", 1, 8, file), 8);
    fclose(file);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    after = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_DETAILS, NULL);
    assert_string_equal(((CstVolRow *)g_ptr_array_index(after, 0))->format, "iso");
}

static void file_added_by_another_program_is_found(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;
    guint count = 0;

    fixture_write(f, "p", "new.img", "x");
    assert_true(cst_pool_has_volume(pool, "new.img", &error));
    fixture_write(f, "p", "other.img", "x");
    AWAIT(cst_pool_count_volumes(pool, &count, NULL) && count == 2);
}

static void one_bad_entry_never_fails_a_refresh(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *dir = g_build_filename(f->images, "p", NULL);
    g_autofree char *fifo = g_build_filename(dir, "fifo", NULL);
    g_autofree char *dangling = g_build_filename(dir, "dangling", NULL);
    g_autofree char *loop = g_build_filename(dir, "loop", NULL);
    g_autoptr(GError) error = NULL;
    guint count = 0;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("nowhere", dangling), 0);
    assert_int_equal(symlink("loop", loop), 0);
    fixture_write(f, "p", "good", "x");
    fixture_write(f, "p", "broken.qcow2", "QFI\xfb garbage that is no header");
    cst_pool_refresh(pool, 0, NULL, &error);
    assert_no_error(error);
    assert_true(cst_pool_count_volumes(pool, &count, NULL));
    assert_int_equal(count, 2);
}

static void sizes_grow_and_shrink_only_when_asked(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *raw = create(pool, "a", "raw");
    g_autoptr(GError) error = NULL;
    CstVolInfo info;

    cst_vol_resize(pool, "a", 16 * CST_MIB, 0, NULL, &error);
    assert_no_error(error);
    assert_false(cst_vol_resize(pool, "a", 4 * CST_MIB, 0, NULL, &error));
    assert_error(&error, CST_ERROR_INVALID);
    assert_true(cst_vol_resize(pool, "a", CST_MIB, CST_VOL_RESIZE_DELTA, NULL, NULL));
    assert_true(cst_vol_get_info(pool, "a", &info, NULL));
    assert_int_equal(info.capacity, 17 * CST_MIB);
    assert_true(cst_vol_resize(pool, "a", CST_MIB, CST_VOL_RESIZE_SHRINK, NULL, NULL));
    assert_true(cst_vol_get_info(pool, "a", &info, NULL));
    assert_int_equal(info.capacity, CST_MIB);
}

static void upload_and_download_give_back_the_same_bytes(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *raw = create(pool, "a", "raw");
    g_autoptr(CstUpload) upload = NULL;
    g_autoptr(CstDownload) download = NULL;
    g_autoptr(GError) error = NULL;
    char buf[64];
    size_t len;
    uint64_t hole;

    upload = cst_vol_upload(pool, "a", 0, 12, 0, NULL, &error);
    assert_no_error(error);
    assert_true(cst_upload_write(upload, "hello ", 6, NULL));
    assert_false(cst_upload_write(upload, "world and more", 14, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    g_clear_pointer(&upload, cst_upload_free);

    download = cst_vol_download(pool, "a", 0, 12, 0, NULL, &error);
    assert_no_error(error);
    assert_true(cst_download_read(download, buf, sizeof(buf), &len, &hole, NULL));
    assert_int_equal(len, 12);
    assert_memory_equal(buf, "hello world ", 12);
    assert_true(cst_download_read(download, buf, sizeof(buf), &len, &hole, NULL));
    assert_int_equal(len + hole, 0);
}

static void a_clone_has_its_sources_bytes(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *source = create(pool, "a", "raw");
    g_autofree char *xml = vol_xml("b", "raw", "");
    g_autofree char *path = cst_vol_get_path(pool, "a", NULL);
    g_autofree char *copy = NULL;
    g_autofree char *content = NULL;
    g_autofree char *copied = NULL;
    g_autoptr(GError) error = NULL;
    gsize len, copied_len;
    FILE *file = fopen(path, "r+");
    char *name = NULL;

    assert_int_equal(fseek(file, 3 * CST_MIB, SEEK_SET), 0);
    assert_int_equal(fwrite("marker", 1, 6, file), 6);
    fclose(file);
    cst_vol_create_from(pool, xml, pool, "a", 0, NULL, &name, &error);
    assert_no_error(error);
    copy = cst_vol_get_path(pool, name, NULL);
    assert_true(g_file_get_contents(path, &content, &len, NULL));
    assert_true(g_file_get_contents(copy, &copied, &copied_len, NULL));
    assert_int_equal(len, copied_len);
    assert_memory_equal(content, copied, len);
    g_free(name);
}

static void wiped_bytes_are_overwritten(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *path = NULL;
    g_autofree char *content = NULL;
    gsize len;

    for (unsigned algorithm = 0; algorithm < CST_WIPE_LAST; algorithm++) {
        g_autoptr(GError) error = NULL;

        fixture_write(f, "p", "secret", "top secret");
        cst_vol_wipe(pool, "secret", algorithm, 0, NULL, &error);
        assert_no_error(error);
        g_free(path);
        g_free(content);
        path = cst_vol_get_path(pool, "secret", NULL);
        assert_true(g_file_get_contents(path, &content, &len, NULL));
        assert_int_equal(len, 10);
        assert_memory_not_equal(content, "top secret", 10);
    }
}

static void canceled_clone_leaves_no_volume(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *source = create(pool, "a", "raw");
    g_autofree char *xml = vol_xml("b", "qcow2", "");
    g_autofree char *dir = g_build_filename(f->images, "p", NULL);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    GDir *entries;
    guint left = 0;
    char *name = NULL;

    cst_task_cancel(task);
    assert_false(cst_vol_create_from(pool, xml, pool, "a", 0, task, &name, &error));
    assert_error(&error, CST_ERROR_CANCELLED);
    entries = g_dir_open(dir, 0, NULL);
    while (g_dir_read_name(entries))
        left++;
    g_dir_close(entries);
    assert_int_equal(left, 1);
}

/* A clone in its own thread. */
typedef struct {
    CstPool *pool;
    const char *source;
    CstTask *task;
    gboolean done;
    GError *error;
} Clone;

static gpointer clone_to_n(gpointer data)
{
    Clone *clone = data;
    g_autofree char *xml = vol_xml("n", "qcow2", "");
    g_autofree char *name = NULL;

    clone->done = cst_vol_create_from(clone->pool, xml, clone->pool, clone->source, 0, clone->task,
                                      &name, &clone->error);
    return NULL;
}

typedef struct {
    CstPool *pool;
    CstTask *task;
} Stop;

static gpointer stop_pool(gpointer data)
{
    Stop *stop = data;

    return GINT_TO_POINTER(cst_pool_stop(stop->pool, stop->task, NULL));
}

/*
 * The second clone claims its source and waits for the name; the stop waits for the second clone.
 */
static void a_stop_waits_for_work_that_still_needs_a_volume(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *a = create(pool, "a", "raw");
    g_autofree char *b = create(pool, "b", "raw");
    g_autoptr(CstTask) slow = cst_task_new();
    g_autoptr(CstTask) second = cst_task_new();
    g_autofree char *content = g_strnfill(4 << 20, 'x');
    Clone clones[] = {{pool, "a", slow, FALSE, NULL}, {pool, "b", second, FALSE, NULL}};
    g_autoptr(CstTask) stopping = cst_task_new();
    Stop stop = {pool, stopping};
    GThread *threads[3];

    fixture_write(f, "p", "a", content);
    cst_task_set_rate(slow, 1000);
    point_watch("vol.create.reserved");
    threads[0] = g_thread_new("slow", clone_to_n, &clones[0]);
    point_await("vol.create.reserved", 1);
    threads[1] = g_thread_new("second", clone_to_n, &clones[1]);
    AWAIT(cst_task_waiting(second));
    threads[2] = g_thread_new("stop", stop_pool, &stop);
    AWAIT(cst_task_waiting(stopping));
    cst_task_cancel(slow);
    g_thread_join(threads[0]);
    g_thread_join(threads[1]);
    assert_error(&clones[0].error, CST_ERROR_CANCELLED);
    assert_no_error(clones[1].error);
    assert_true(clones[1].done);
    assert_true(GPOINTER_TO_INT(g_thread_join(threads[2])));
    assert_false(cst_pool_is_active(pool));
    points_clear();
}

static void two_clones_onto_the_source_of_the_other_fail_at_once(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *n = create(pool, "n", "raw");
    g_autofree char *b = create(pool, "b", "raw");
    g_autoptr(CstDownload) reader = cst_vol_download(pool, "n", 0, 0, 0, NULL, NULL);
    Clone clone = {pool, "b", NULL, FALSE, NULL};

    assert_non_null(reader);
    clone_to_n(&clone);
    assert_error(&clone.error, CST_ERROR_VOL_EXISTS);
}

/* A file without a base already is independent, so the call succeeds. */
static void a_file_without_a_base_is_flat(void **state)
{
    static const char *const formats[] = {"raw", "qcow2"};
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *made = create(pool, formats[i], formats[i]);
        g_autoptr(GError) error = NULL;

        cst_vol_flatten(pool, formats[i], NULL, &error);
        assert_no_error(error);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_created_volume_is_listed_with_its_format),
        CASE(volumes_of_foreign_formats_are_created_and_resized),
        CASE(pages_follow_one_another_without_a_gap),
        CASE(existing_or_hostile_names_are_refused),
        CASE(raw_volume_stays_raw_after_any_write_of_its_guest),
        CASE(medium_stays_a_medium_after_any_write_over_its_start),
        CASE(file_added_by_another_program_is_found),
        CASE(one_bad_entry_never_fails_a_refresh),
        CASE(sizes_grow_and_shrink_only_when_asked),
        CASE(upload_and_download_give_back_the_same_bytes),
        CASE(a_clone_has_its_sources_bytes),
        CASE(wiped_bytes_are_overwritten),
        CASE(a_file_without_a_base_is_flat),
        CASE(canceled_clone_leaves_no_volume),
        CASE(a_stop_waits_for_work_that_still_needs_a_volume),
        CASE(two_clones_onto_the_source_of_the_other_fail_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
