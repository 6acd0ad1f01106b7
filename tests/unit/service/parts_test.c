/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes with images that store the guest's data in other files. These files are volumes too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <image/image.h>
#include <service/images.h>
#include <service/trust.h>

#include "fixture.h"
#include "points.h"

#define CAPACITY (4 * CST_MIB)

static CstPool *pool;

/* --- images of two files ---------------------------------------------------------------------- */

static CstBlob *create_data(const char *name, gpointer path, GError **error)
{
    return cst_blob_file_create(path, error);
}

static CstBlob *open_data(const char *name, gboolean writable, gpointer path, GError **error)
{
    return cst_blob_file_open(path, writable, error);
}

/* Makes image @name in pool @where like another tool. Its data file is @called. */
static void make_image(Fixture *f, const char *where, const char *name, const char *called)
{
    g_autofree char *path = g_build_filename(f->images, where, name, NULL);
    g_autofree char *data = g_build_filename(f->images, where, "data.raw", NULL);
    const CstImageFiles files = {.create = create_data, .open = open_data, .data = data};
    const CstImageCreate options = {
        .capacity = CAPACITY, .data_file = called, .data_file_raw = TRUE, .files = &files};
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) error = NULL;

    remove(data);
    blob = cst_blob_file_create(path, &error);
    assert_no_error(error);
    cst_image_create(blob, cst_image_format_find("qcow2", NULL), &options, NULL, &error);
    assert_no_error(error);
}

static void refresh(CstPool *which)
{
    g_autoptr(GError) error = NULL;

    cst_pool_refresh(which, 0, NULL, &error);
    assert_no_error(error);
}

/* Makes "vol" with its data in "data.raw". "plain" has the content that its guest sees. */
static void make_volume(Fixture *f)
{
    g_autofree char *content = g_strnfill(CAPACITY, 'x');
    g_autofree char *data = g_build_filename(f->images, "p", "data.raw", NULL);
    CstUpload *upload;

    pool = fixture_pool(f, "p");
    make_image(f, "p", "vol", "data.raw");
    fixture_write(f, "p", "plain", content);
    refresh(pool);
    upload = cst_vol_upload(pool, "data.raw", 0, 0, 0, NULL, NULL);
    /*
     * The upload is refused, because the file is the data of "vol". Another tool may write to it.
     */
    assert_null(upload);
    assert_true(g_file_set_contents(data, content, CAPACITY, NULL));
    refresh(pool);
}

static void create_overlay(Fixture *f, const char *name, const char *where, const char *base)
{
    g_autofree char *xml = g_strdup_printf(
        "<volume><name>%s</name><capacity>4194304</capacity><target><format type='qcow2'/>"
        "</target><backingStore><path>%s/%s/%s</path><format type='qcow2'/></backingStore>"
        "</volume>",
        name, f->images, where, base);

    fixture_create_xml(pool, xml);
}

static void assert_same(const char *name)
{
    CstCompareReport report = {0};
    g_autoptr(GError) error = NULL;

    cst_vol_compare(pool, name, pool, "plain", NULL, &report, &error);
    assert_no_error(error);
    if (!report.same)
        fail_msg("'%s' differs at %d", name, (int)report.offset);
}

static void assert_refused(const char *name, int code, const char *words)
{
    CstCompareReport report = {0};
    g_autoptr(GError) error = NULL;

    if (cst_vol_compare(pool, name, pool, "plain", NULL, &report, &error))
        fail_msg("'%s' is read", name);
    if (!strstr(error->message, words))
        fail_msg("'%s': %s", name, error->message);
    assert_error(&error, code);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void the_data_is_part_of_its_volume(void **state)
{
    Fixture *f = *state;
    g_autofree char *data = g_build_filename(f->images, "p", "data.raw", NULL);
    g_autofree char *made = NULL;
    g_auto(CstCheckReport) report = {0};
    g_autoptr(GError) error = NULL;
    struct stat st;

    make_volume(f);
    assert_same("vol");
    create_overlay(f, "top", "p", "vol");
    assert_same("top");
    assert_true(cst_vol_check(pool, "vol", 0, NULL, &report, NULL));
    assert_false(cst_vol_delete(pool, "data.raw", 0, NULL, &error));
    assert_non_null(strstr(error->message, "p/vol"));
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_vol_wipe(pool, "data.raw", CST_WIPE_ZERO, 0, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_same("vol");
    cst_vol_create_from(pool,
                        "<volume><name>copy</name><target><format type='qcow2'/></target>"
                        "</volume>",
                        pool, "vol", 0, NULL, &made, &error);
    assert_no_error(error);
    assert_true(cst_vol_delete(pool, "top", 0, NULL, NULL));
    assert_true(cst_vol_resize(pool, "vol", 2 * CAPACITY, 0, NULL, NULL));
    assert_int_equal(stat(data, &st), 0);
    assert_int_equal(st.st_size, 2 * CAPACITY);
    assert_true(cst_vol_delete(pool, "vol", 0, NULL, NULL));
    assert_true(cst_vol_delete(pool, "data.raw", 0, NULL, NULL));
    assert_same("copy");
    cst_pool_unref(pool);
}

typedef struct {
    CstTask *task;
    GError *error;
} Copying;

static gpointer copy_slowly(gpointer data)
{
    const CstVolConvert how = {.name = "copy", .format = "qcow2"};
    Copying *copying = data;

    cst_vol_convert(pool, pool, "top", &how, copying->task, &copying->error);
    return NULL;
}

/* A reader claims all files of the volume and of its base. */
static void reader_of_a_volume_holds_its_data_file(void **state)
{
    Fixture *f = *state;
    Copying copying = {.task = cst_task_new()};
    g_autoptr(CstTask) at_once = cst_task_new();
    g_autoptr(GError) error = NULL;
    GThread *thread;

    make_volume(f);
    create_overlay(f, "top", "p", "vol");
    cst_task_set_max_wait(at_once, 1);
    cst_task_set_rate(copying.task, 1000);
    point_watch("vol.create.reserved");
    thread = g_thread_new("copy", copy_slowly, &copying);
    point_await("vol.create.reserved", 1);
    assert_false(cst_vol_resize(pool, "data.raw", 2 * CAPACITY, 0, at_once, &error));
    assert_non_null(strstr(error->message, "'convert'"));
    assert_error(&error, CST_ERROR_BUSY);
    cst_task_cancel(copying.task);
    g_thread_join(thread);
    assert_error(&copying.error, CST_ERROR_CANCELLED);
    cst_task_unref(copying.task);
    assert_true(cst_vol_resize(pool, "data.raw", 2 * CAPACITY, 0, at_once, NULL));
    cst_pool_unref(pool);
    points_clear();
}

static void data_that_is_no_volume_of_the_pool_is_not_opened(void **state)
{
    static const struct {
        const char *name, *called;
        int code;
        const char *words;
    } images[] = {
        {"self", "self", CST_ERROR_CORRUPT, "names itself"},
        {"above", "../data.raw", CST_ERROR_UNSUPPORTED, "no volume of pool 'p'"},
        {"away", "/nowhere/data.raw", CST_ERROR_UNSUPPORTED, "no volume of pool 'p'"},
        {"gone", "gone.raw", CST_ERROR_NOT_FOUND, "gone.raw"},
    };
    Fixture *f = *state;

    make_volume(f);
    for (size_t i = 0; i < G_N_ELEMENTS(images); i++) {
        make_image(f, "p", images[i].name, images[i].called);
        refresh(pool);
        assert_refused(images[i].name, images[i].code, images[i].words);
    }
    cst_pool_unref(pool);
}

/* An uploaded image must not give access to the data of another image. */
static void data_that_an_upload_names_is_not_opened(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = g_build_filename(f->images, "p", "vol", NULL);
    g_autofree char *content = NULL;
    g_autoptr(CstUpload) upload = NULL;
    gsize len;

    make_volume(f);
    assert_true(g_file_get_contents(path, &content, &len, NULL));
    fixture_create_xml(pool, "<volume><name>up</name><capacity>4194304</capacity><target>"
                             "<format type='qcow2'/></target></volume>");
    upload = cst_vol_upload(pool, "up", 0, 0, 0, NULL, NULL);
    assert_true(cst_upload_write(upload, content, len, NULL) && cst_upload_finish(upload, NULL));
    g_clear_pointer(&upload, cst_upload_free);
    assert_refused("up", CST_ERROR_DENIED, "vol-trust up");
    assert_same("vol");
    cst_pool_unref(pool);
}

/* A base outside of all pools is one file, declared or not. */
static void data_outside_of_all_pools_is_not_opened(void **state)
{
    Fixture *f = *state;
    CstPool *outside;

    make_volume(f);
    outside = fixture_pool(f, "q");
    make_image(f, "q", "base", "data.raw");
    refresh(outside);
    create_overlay(f, "top", "q", "base");
    assert_true(cst_pool_stop(outside, NULL, NULL));
    assert_true(cst_pool_set_follow(pool, CST_FOLLOW_ANYWHERE, NULL));
    assert_refused("top", CST_ERROR_DENIED, "that is not followed");
    cst_pool_unref(outside);
    cst_pool_unref(pool);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_data_is_part_of_its_volume),
        TEST(reader_of_a_volume_holds_its_data_file),
        TEST(data_that_is_no_volume_of_the_pool_is_not_opened),
        TEST(data_that_an_upload_names_is_not_opened),
        TEST(data_outside_of_all_pools_is_not_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
