/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lookups of single entries that are answered by a listing, and changes that invalidate the
 * listing.
 */
#include "gluster_site.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "points.h"

/* Number of lookups before a listing is made. */
#define BEFORE 15

static CstVolume *known; /* the record of f1, as in the tables */

/* All lookups of a test are one burst, and a listing is valid until a change. */
static int set_up_long(void **state)
{
    gluster_recent_times = (GlusterRecentTimes){G_TIME_SPAN_DAY, G_TIME_SPAN_DAY};
    return site_set_up(state);
}

static int tear_down(void **state)
{
    g_clear_pointer(&known, cst_volume_unref);
    return site_tear_down(state);
}

/* Looks up f1, which has the size @size; -1: it does not exist. */
static void assert_looks(int64_t size)
{
    CstVolume *volume = NULL;
    g_autoptr(CstVolume) before = known ? cst_volume_ref(known) : NULL;

    assert_true(cst_pool_state_scan_one(site_pool, "f1", before, &volume, NULL));
    assert_int_equal(volume ? (int64_t)volume->capacity : -1, size);
    cst_volume_unref(known);
    known = volume;
}

static guint listings(void)
{
    return fake_gluster_calls("glfs_opendir");
}

/* Looks up f1 until a listing is made. */
static void look_until_listed(int64_t size)
{
    guint before = listings();

    for (guint i = 0; i <= BEFORE; i++) {
        assert_int_equal(listings(), before);
        assert_looks(size);
    }
    assert_int_equal(listings(), before + 1);
}

/* Returns whether a listing answers a lookup of f1, which has the size @size. */
static gboolean is_answered_by_listing(int64_t size)
{
    guint before = fake_gluster_calls("glfs_lstat");

    assert_looks(size);
    return fake_gluster_calls("glfs_lstat") == before;
}

static void look_until_answered(int64_t size)
{
    for (guint looks = 0; !is_answered_by_listing(size); looks++)
        assert_true(looks <= BEFORE);
}

static CstBlob *open_writable(void)
{
    CstBlob *blob = cst_pool_state_vol_open(site_pool, "f1", TRUE, NULL);

    assert_non_null(blob);
    return blob;
}

/* --- lookups answered by a listing ------------------------------------------------------------ */

/* Like virsh, which queries the details of all volumes one by one. */
static void many_lookups_are_answered_by_one_listing(void **state)
{
    for (int i = 0; i < 200; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        site_put(name, "content");
    }
    for (int i = 0; i < 200; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);
        g_autofree char *expected = g_strdup_printf("f%d file raw 7 - -\n", i);
        g_autofree char *is = site_scan_one(name, NULL);

        assert_string_equal(is, expected);
    }
    assert_int_equal(listings(), 1);
    /* Three for each lookup before the listing: the entry, the pool's directory, and the root. */
    assert_int_equal(fake_gluster_calls("glfs_lstat"), 3 * BEFORE + 2);
}

/* Another client has written the file since it was listed, and there is no earlier record. */
static void record_describes_the_file_that_was_opened(void **state)
{
    site_put("f1", "1");
    look_until_listed(1);
    site_put("f1", "12345");
    g_clear_pointer(&known, cst_volume_unref);
    assert_true(is_answered_by_listing(5));
}

/* The listing of the servers has no attributes of such an entry. */
static void entry_that_the_listing_does_not_describe_is_asked_for(void **state)
{
    g_autofree char *is = NULL;

    site_put("f1", "1");
    site_put("untold", "12");
    look_until_listed(1);
    is = site_scan_one("untold", NULL);
    assert_string_equal(is, "untold file raw 2 - -\n");
}

static void few_lookups_are_not_a_burst(void **state)
{
    site_put("f1", "1");
    gluster_recent_times.burst_us = -1; /* each lookup starts a new burst */
    for (int i = 0; i < 3 * BEFORE; i++)
        assert_looks(1);
    assert_int_equal(listings(), 0);
}

static void listing_answers_until_its_time_is_over(void **state)
{
    g_autofree char *path = site_path("f1");

    site_put("f1", "1");
    gluster_recent_times.fresh_us = 0;
    look_until_listed(1);
    assert_int_equal(g_unlink(path), 0); /* like another client */
    assert_looks(-1);
}

static void assert_made_again_after(const char *function, guint skip)
{
    site_put("f1", "1");
    fake_gluster_fail(function, skip, 1, EIO);
    look_until_listed(1);
    assert_false(is_answered_by_listing(1));
    look_until_answered(1);
}

static void listing_that_can_not_be_begun_is_made_again(void **state)
{
    assert_made_again_after("glfs_opendir", 0);
}

static void listing_that_failed_midway_is_made_again(void **state)
{
    assert_made_again_after("glfs_readdirplus_r", 1);
}

/* --- changes through this process ------------------------------------------------------------- */

static void listing_is_not_used_while_a_file_is_written(void **state)
{
    CstBlob *blob;

    site_put("f1", "1");
    look_until_listed(1);
    assert_true(is_answered_by_listing(1));
    blob = open_writable();
    assert_true(cst_blob_resize(blob, 3, NULL));
    assert_false(is_answered_by_listing(3));
    assert_true(cst_blob_resize(blob, 4, NULL));
    assert_false(is_answered_by_listing(4));
    for (guint i = 0; i < 2 * BEFORE; i++)
        assert_looks(4);
    assert_int_equal(listings(), 1);
    cst_blob_unref(blob);
    assert_false(is_answered_by_listing(4));
}

/* The change is counted before the writer is removed, so no lookup runs in between. */
static void look_while_a_writer_closes(gpointer unused)
{
    assert_false(is_answered_by_listing(3));
}

static void listing_is_void_when_a_writer_closes(void **state)
{
    CstBlob *blob;

    site_put("f1", "1");
    look_until_listed(1);
    blob = open_writable();
    assert_true(cst_blob_resize(blob, 3, NULL));
    point_run("gluster.writer.changed", look_while_a_writer_closes, NULL);
    cst_blob_unref(blob);
    points_clear();
    assert_false(is_answered_by_listing(3));
    look_until_answered(3);
}

static gboolean delete_f1(GError **error)
{
    return cst_pool_state_delete(site_pool, "f1", 0, error);
}

static gboolean rename_f1(GError **error)
{
    return cst_pool_state_rename(site_pool, "f1", "f2", error);
}

static gboolean refresh(GError **error)
{
    g_autofree char *path = site_path("f1");
    g_autofree char *all = NULL;

    assert_int_equal(g_unlink(path), 0); /* like another client */
    all = site_scan(error);
    return all != NULL;
}

static void change_that_removes_an_entry_makes_the_listing_void(void **state)
{
    static gboolean (*const changes[])(GError * *error) = {delete_f1, rename_f1, refresh};

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_clear_pointer(&known, cst_volume_unref);
        site_put("f1", "1");
        g_free(site_scan(NULL));
        look_until_answered(1);
        assert_true(changes[i](NULL));
        assert_looks(-1);
    }
}

/* --- changes while the listing is made -------------------------------------------------------- */

static void delete_now(gpointer unused)
{
    assert_true(delete_f1(NULL));
}

static void resize_now(gpointer unused)
{
    CstBlob *blob = open_writable();

    assert_true(cst_blob_resize(blob, 3, NULL));
    cst_blob_unref(blob);
}

static void open_now(gpointer blob)
{
    *(CstBlob **)blob = open_writable();
}

static void look_repeatedly(guint times)
{
    for (guint i = 0; i < times; i++)
        assert_looks(1);
}

static void change_while_it_is_listed_makes_the_listing_void(void **state)
{
    site_put("f1", "1");
    look_repeatedly(BEFORE);
    point_run("gluster.recent.unlocked", delete_now, NULL);
    assert_looks(-1);
    points_clear();
    assert_int_equal(listings(), 1);
    assert_looks(-1);
    g_clear_pointer(&known, cst_volume_unref);
    site_put("f1", "1");
    look_repeatedly(BEFORE - 1);
    point_run("gluster.recent.unlocked", resize_now, NULL);
    assert_looks(3);
    points_clear();
    assert_int_equal(listings(), 2);
    assert_looks(3);
}

static void writer_that_comes_while_it_is_listed_makes_the_listing_void(void **state)
{
    CstBlob *blob = NULL;

    site_put("f1", "1");
    look_repeatedly(BEFORE);
    point_run("gluster.recent.unlocked", open_now, &blob);
    assert_looks(1);
    points_clear();
    assert_true(cst_blob_resize(blob, 3, NULL));
    assert_looks(3);
    cst_blob_unref(blob);
    assert_looks(3);
}

/* The writer starts after the caller has seen no writer. The listing then has no number. */
static void listing_that_was_begun_with_a_writer_is_not_used(void **state)
{
    CstBlob *blob = NULL;

    site_put("f1", "1");
    look_repeatedly(BEFORE);
    point_run("gluster.recent.begin", open_now, &blob);
    assert_looks(1);
    points_clear();
    assert_true(cst_blob_resize(blob, 3, NULL));
    assert_looks(3);
    cst_blob_unref(blob);
    assert_looks(3);
}

/* A further burst, while the listing is made. */
static void look_by_others(gpointer unused)
{
    guint before = listings();

    look_repeatedly(2 * BEFORE);
    assert_int_equal(listings(), before);
}

static void one_caller_at_a_time_makes_a_listing(void **state)
{
    site_put("f1", "1");
    look_repeatedly(BEFORE);
    point_run("gluster.recent.unlocked", look_by_others, NULL);
    assert_looks(1);
    points_clear();
    assert_true(is_answered_by_listing(1));
    assert_int_equal(listings(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_long, tear_down)
        TEST(many_lookups_are_answered_by_one_listing),
        TEST(entry_that_the_listing_does_not_describe_is_asked_for),
        TEST(record_describes_the_file_that_was_opened),
        TEST(few_lookups_are_not_a_burst),
        TEST(listing_answers_until_its_time_is_over),
        TEST(listing_that_can_not_be_begun_is_made_again),
        TEST(listing_that_failed_midway_is_made_again),
        TEST(listing_is_not_used_while_a_file_is_written),
        TEST(listing_is_void_when_a_writer_closes),
        TEST(change_that_removes_an_entry_makes_the_listing_void),
        TEST(change_while_it_is_listed_makes_the_listing_void),
        TEST(writer_that_comes_while_it_is_listed_makes_the_listing_void),
        TEST(listing_that_was_begun_with_a_writer_is_not_used),
        TEST(one_caller_at_a_time_makes_a_listing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
