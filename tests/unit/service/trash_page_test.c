/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pages of a list of the trash, and how often the directory of the records is read. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <glib/gstdio.h>

#include <base/error.h>
#include <pool/backend.h>
#include <service/pools.h>
#include <service/trash.h>
#include <store/trash.h>

#include "fixture.h"
#include "points.h"

static Fixture *fixture;
static CstPool *p;

static int set_up(void **state)
{
    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    p = fixture_pool(fixture, "p");
    point_watch("trash.names.listed");
    return 0;
}

static int tear_down(void **state)
{
    points_clear();
    g_clear_pointer(&p, cst_pool_unref);
    return fixture_teardown(state);
}

/* --- the trash -------------------------------------------------------------------------------- */

static char *hidden_name(char letter)
{
    return g_strdup_printf(CST_TRASH_PREFIX "%c-000000000001", letter);
}

/* Makes a deleted volume for each letter, without a deletion. */
static void add_deleted(const char *letters)
{
    for (; *letters; letters++) {
        g_autofree char *hidden = hidden_name(*letters);
        g_autofree char *name = g_strdup_printf("%c", *letters);
        const CstTrashed trashed = {.hidden = hidden, .name = name, .until = G_MAXINT32};

        fixture_write(fixture, "p", hidden, "content");
        assert_true(cst_trash_set(fixture->paths, cst_pool_uuid(p), &trashed, NULL));
    }
}

static void remove_record(char letter)
{
    g_autofree char *hidden = hidden_name(letter);

    assert_true(cst_trash_remove(fixture->paths, cst_pool_uuid(p), hidden, NULL));
}

/* Sets the time of the last change of the directory of the records. */
static void set_time_of_records(time_t seconds)
{
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *dir = g_build_filename(fixture->paths->data_dir, "trash",
                                            cst_uuid_format(cst_pool_uuid(p), uuid), NULL);
    const struct timespec times[] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

    assert_int_equal(utimensat(AT_FDCWD, dir, times, 0), 0);
}

/* Appends the letters of a page to @letters. Replaces *after by the end of the page. */
static void add_page(GString *letters, char **after, guint limit)
{
    g_autofree char *next = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = cst_pool_trash_page(p, *after, limit, &next, &error);

    assert_no_error(error);
    for (guint i = 0; i < rows->len; i++)
        g_string_append(letters, ((const CstTrashRow *)rows->pdata[i])->name);
    g_free(*after);
    *after = g_steal_pointer(&next);
}

static void assert_list(const char *expected, guint limit)
{
    g_autoptr(GString) letters = g_string_new(NULL);
    g_autofree char *after = NULL;

    do
        add_page(letters, &after, limit);
    while (after);
    assert_string_equal(letters->str, expected);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void pages_of_a_list_read_the_names_once(void **state)
{
    add_deleted("gfedcba");
    assert_list("abcdefg", 2);
    assert_int_equal(point_passed("trash.names.listed"), 1);
    assert_list("abcdefg", 7);
    assert_list("abcdefg", G_MAXUINT);
}

static void next_list_of_an_unchanged_trash_reads_no_names(void **state)
{
    add_deleted("abc");
    set_time_of_records(1);
    assert_list("abc", 2);
    assert_list("abc", 2);
    assert_int_equal(point_passed("trash.names.listed"), 1);
    add_deleted("d");
    assert_list("abcd", 2);
}

/* A file system may record two changes under one time. */
static void next_list_finds_a_change_at_the_time_of_the_last_one(void **state)
{
    /* A slow machine must not list the directory when the time is long past. */
    time_t now = g_get_real_time() / G_USEC_PER_SEC + 60;

    add_deleted("abc");
    set_time_of_records(now);
    assert_list("abc", 2);
    add_deleted("d");
    set_time_of_records(now);
    assert_list("abcd", 2);
}

static void list_continues_while_records_change(void **state)
{
    g_autoptr(GString) letters = g_string_new(NULL);
    g_autofree char *after = NULL;

    add_deleted("abcde");
    add_page(letters, &after, 2);
    remove_record('a');
    remove_record('d');
    add_deleted("f");
    while (after)
        add_page(letters, &after, 2);
    assert_string_equal(letters->str, "abce");
    assert_list("bcef", 2);
}

/* As after a restart of the daemon. */
static void list_continues_without_kept_names(void **state)
{
    g_autoptr(GString) letters = g_string_new(NULL);
    g_autofree char *after = hidden_name('b');

    add_deleted("abcd");
    add_page(letters, &after, 5);
    assert_string_equal(letters->str, "cd");
}

static char *later_after;

/* Another list begins after the first one has read the names, and after a deletion. */
static void begin_later_list(gpointer letters)
{
    add_deleted("z");
    add_page(letters, &later_after, 1);
}

static void older_names_do_not_replace_newer_ones(void **state)
{
    g_autoptr(GString) letters = g_string_new(NULL), later = g_string_new(NULL);
    g_autofree char *after = NULL;

    add_deleted("abc");
    point_run("trash.names.listed", begin_later_list, later);
    add_page(letters, &after, 1);
    while (later_after)
        add_page(later, &later_after, 5);
    assert_string_equal(later->str, "abcz");
}

/* --- totals ----------------------------------------------------------------------------------- */

static guint totals_of_trash(void)
{
    CstTrashTotals totals;

    assert_true(cst_pool_trash_totals(p, NULL, &totals, NULL));
    return totals.volumes;
}

/* Another program removes the deleted volume, and a client refreshes the pool. */
static void remove_and_refresh(gpointer letter)
{
    g_autofree char *hidden = hidden_name(*(const char *)letter);
    g_autofree char *path = g_build_filename(fixture->images, "p", hidden, NULL);

    assert_int_equal(g_unlink(path), 0);
    assert_true(cst_pool_refresh(p, 0, NULL, NULL));
}

/* The query copies the allocations of the former query. */
static void refresh_during_a_query_outdates_its_totals(void **state)
{
    add_deleted("ab");
    assert_list("ab", 5);
    assert_int_equal(totals_of_trash(), 2);
    point_run("trash.totals.listed", remove_and_refresh, (gpointer) "a");
    totals_of_trash();
    assert_int_equal(totals_of_trash(), 1);
}

/* A deletion writes the record before the volume has its hidden name. */
static void record_without_a_volume_is_examined_by_each_query(void **state)
{
    g_autofree char *hidden = hidden_name('a');
    g_autofree char *path = g_build_filename(fixture->images, "p", hidden, NULL);

    add_deleted("a");
    assert_list("a", 5);
    assert_int_equal(g_unlink(path), 0);
    set_time_of_records(1);
    assert_int_equal(totals_of_trash(), 0);
    fixture_write(fixture, "p", hidden, "content");
    assert_int_equal(totals_of_trash(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(pages_of_a_list_read_the_names_once),
        TEST(next_list_of_an_unchanged_trash_reads_no_names),
        TEST(next_list_finds_a_change_at_the_time_of_the_last_one),
        TEST(list_continues_while_records_change),
        TEST(list_continues_without_kept_names),
        TEST(refresh_during_a_query_outdates_its_totals),
        TEST(record_without_a_volume_is_examined_by_each_query),
        TEST(older_names_do_not_replace_newer_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
