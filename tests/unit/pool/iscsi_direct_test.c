/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools of the LUNs of a target in memory (tests/iscsi): records, usage, identity, bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <pool/pool.h>

#include "fake_iscsi.h"
#include "iscsi_direct/iscsi_direct.h"
#include "points.h"

#define IQN         "iqn.2026-01.lab:one"
#define REPORT_LUNS 0xa0
#define INQUIRY     0x12
#define CAPACITY    0x9e

/* --- the fixture ------------------------------------------------------------------------------ */

static CstPoolState *pool;

static CstPoolState *open_pool(void)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(
        "<pool type='iscsi-direct'><name>p</name><source><host name='10.0.0.1'/>"
        "<device path='" IQN "'/><initiator><iqn name='iqn.2026-01.lab:me'/></initiator></source>"
        "<options xmlns='urn:cistern:storage:1.0'><option name='timeout' value='600'/></options>"
        "</pool>",
        0, NULL);
    CstPoolState *state;

    assert_non_null(def);
    state = cst_pool_state_open(def, NULL, NULL);
    assert_non_null(state);
    return state;
}

/* LUN 1 has 1 MiB, LUN 2 has 2 MiB, of which half is allocated. */
static int set_up(void **state)
{
    fake_reset();
    fake_unit(1, 2048, 512, FALSE);
    memset(fake_unit(2, 4096, 512, TRUE)->mapped, 1, 2048);
    pool = open_pool();
    return 0;
}

static int tear_down(void **state)
{
    g_clear_pointer(&pool, cst_pool_state_unref);
    fake_reset();
    return 0;
}

static void remove_lun(gpointer number)
{
    fake.units[GPOINTER_TO_UINT(number)].blocks = 0;
}

static CstVolume *knows_none(const char *name, gpointer data)
{
    return NULL;
}

static void note(CstVolume *volume, gpointer text)
{
    g_string_append_printf(text, "%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "%s%s;",
                           volume->name, volume->capacity, volume->allocation,
                           cst_volume_problem(volume) ? " !" : "",
                           cst_volume_problem(volume) ? cst_volume_problem(volume) : "");
    cst_volume_unref(volume);
}

/* Returns "NAME CAPACITY ALLOCATION !PROBLEM;" for each volume. */
static char *scan(GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    CstScan how = {.known = knows_none, .sink = note, .data = text};

    return cst_pool_state_scan(pool, &how, NULL, error)
               ? g_string_free(g_steal_pointer(&text), FALSE)
               : NULL;
}

static void assert_scan(const char *expected)
{
    g_autofree char *is = scan(NULL);

    assert_string_equal(is, expected);
}

static void scan_all(gpointer unused)
{
    g_free(scan(NULL));
}

static void assert_one(const char *name, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    CstVolume *volume = NULL;

    assert_true(cst_pool_state_scan_one(pool, name, NULL, &volume, NULL));
    if (volume)
        note(volume, text);
    assert_string_equal(text->str, expected);
}

static void assert_usage(uint64_t capacity, uint64_t allocation)
{
    CstPoolUsage usage;

    assert_true(cst_pool_state_usage(pool, &usage, NULL));
    assert_int_equal(usage.capacity, capacity);
    assert_int_equal(usage.allocation, allocation);
    assert_int_equal(usage.available, 0);
}

static void assert_failed(gboolean done, GError **error, int code, const char *words)
{
    assert_false(done);
    if (!g_error_matches(*error, CST_ERROR, code) || !strstr((*error)->message, words))
        fail_msg("%d: %s", (*error)->code, (*error)->message);
    g_clear_error(error);
}

#define ONE "unit:0:0:1 1048576 1048576;"
#define TWO "unit:0:0:2 2097152 1048576;"

/* --- records and usage ------------------------------------------------------------------------ */

static void luns_are_volumes_and_count_for_the_usage(void **state)
{
    gint lists;

    assert_scan(ONE TWO);
    lists = fake.commands[REPORT_LUNS];
    assert_usage(3 * CST_MIB, 2 * CST_MIB);
    assert_int_equal(fake.commands[REPORT_LUNS], lists);
    assert_one("unit:0:0:1", ONE);
    assert_one("unit:0:0:3", "");
    assert_one("unit:0:0:01", "");
    assert_one("other", "");
}

static void usage_without_a_scan_lists_the_luns_once(void **state)
{
    assert_usage(3 * CST_MIB, 2 * CST_MIB);
    assert_int_equal(fake.commands[REPORT_LUNS], 1);
    assert_usage(3 * CST_MIB, 2 * CST_MIB);
    assert_int_equal(fake.commands[REPORT_LUNS], 1);
}

static void removed_lun_is_removed_from_the_usage(void **state)
{
    assert_scan(ONE TWO);
    remove_lun(GUINT_TO_POINTER(2));
    assert_scan(ONE);
    assert_usage(CST_MIB, CST_MIB);
    /* A lookup of the single LUN has the same effect. */
    remove_lun(GUINT_TO_POINTER(1));
    assert_one("unit:0:0:1", "");
    assert_usage(0, 0);
    fake_unit(3, 2048, 512, FALSE);
    assert_one("unit:0:0:3", "unit:0:0:3 1048576 1048576;");
    assert_usage(CST_MIB, CST_MIB);
}

static void lun_that_grows_counts_once(void **state)
{
    assert_scan(ONE TWO);
    fake_unit(1, 4096, 512, FALSE);
    assert_one("unit:0:0:1", "unit:0:0:1 2097152 2097152;");
    assert_usage(4 * CST_MIB, 3 * CST_MIB);
    assert_scan("unit:0:0:1 2097152 2097152;" TWO);
    assert_usage(4 * CST_MIB, 3 * CST_MIB);
}

static void lun_with_an_error_has_a_problem_and_no_size(void **state)
{
    g_autofree char *all = NULL;

    assert_scan(ONE TWO);
    fake.fail_opcode = CAPACITY;
    fake.key = 4;
    all = scan(NULL);
    assert_true(g_str_has_prefix(all, "unit:0:0:1 0 0 !"));
    assert_usage(0, 0);
    fake.fail_opcode = 0;
    assert_one("unit:0:0:1", ONE);
    assert_usage(CST_MIB, CST_MIB);
    assert_scan(ONE TWO);
    assert_usage(3 * CST_MIB, 2 * CST_MIB);
}

static void scan_that_fails_changes_no_usage(void **state)
{
    GError *error = NULL;

    assert_scan(ONE TWO);
    remove_lun(GUINT_TO_POINTER(2));
    fake.fail_opcode = REPORT_LUNS;
    fake.key = 4;
    assert_failed(scan(&error) != NULL, &error, CST_ERROR_IO, "");
    assert_usage(3 * CST_MIB, 2 * CST_MIB);
    fake.fail_opcode = 0;
    assert_scan(ONE);
    assert_usage(CST_MIB, CST_MIB);
}

/* --- an outdated list ------------------------------------------------------------------------- */

static void look_at_removed(gpointer number)
{
    g_autofree char *name = direct_name((uint16_t)GPOINTER_TO_UINT(number));

    remove_lun(number);
    assert_one(name, "");
}

/* The list still has the LUN, but a later lookup has found that it was removed. */
static void old_list_does_not_bring_a_size_back(void **state)
{
    point_run("iscsi_direct.units.listed", look_at_removed, GUINT_TO_POINTER(2));
    assert_scan(ONE TWO);
    points_clear();
    assert_usage(CST_MIB, CST_MIB);
    assert_scan(ONE);
}

static void remove_and_scan(gpointer number)
{
    remove_lun(number);
    scan_all(NULL);
}

static void scan_that_ends_first_is_not_undone_by_an_older_list(void **state)
{
    assert_scan(ONE TWO); /* both units are known */
    point_run("iscsi_direct.units.listed", remove_and_scan, GUINT_TO_POINTER(2));
    assert_scan(ONE TWO);
    points_clear();
    assert_usage(CST_MIB, CST_MIB);
}

static void usage_from_an_old_list_is_asked_for_again(void **state)
{
    point_run("iscsi_direct.units.listed", look_at_removed, GUINT_TO_POINTER(2));
    assert_usage(3 * CST_MIB, 2 * CST_MIB);
    points_clear();
    assert_usage(CST_MIB, CST_MIB);
    assert_int_equal(fake.commands[REPORT_LUNS], 2);
}

static void add_and_look(gpointer unused)
{
    fake_unit(3, 2048, 512, FALSE);
    assert_one("unit:0:0:3", "unit:0:0:3 1048576 1048576;");
}

/* A LUN that the list lacks stays known, because it appeared later. */
static void old_list_forgets_no_unit(void **state)
{
    CstVolume *volume = NULL;

    point_run("iscsi_direct.units.listed", add_and_look, NULL);
    assert_scan(ONE TWO);
    points_clear();
    fake.units[3].serial = 'x';
    assert_true(cst_pool_state_scan_one(pool, "unit:0:0:3", NULL, &volume, NULL));
    assert_non_null(strstr(cst_volume_problem(volume), "LUN 3 is another unit than it was"));
    cst_volume_unref(volume);
}

/* --- identity of a LUN ------------------------------------------------------------------------ */

#define ANOTHER                                                                      \
    "unit:0:0:1 1048576 1048576 !LUN 1 is another unit than it was before; if that " \
    "is meant, stop pool 'p' and start it again;"

static void another_unit_is_a_problem_until_the_number_was_free(void **state)
{
    GError *error = NULL;

    assert_scan(ONE TWO);
    fake.units[1].serial = 'x';
    assert_scan(ANOTHER TWO);
    assert_one("unit:0:0:1", ANOTHER);
    assert_failed(cst_pool_state_vol_open(pool, "unit:0:0:1", FALSE, &error) != NULL, &error,
                  CST_ERROR_STATE, "LUN 1 is another unit");
    fake.units[1].serial = 'b';
    assert_scan(ONE TWO);
    remove_lun(GUINT_TO_POINTER(1));
    assert_scan(TWO);
    fake_unit(1, 2048, 512, FALSE)->serial = 'x';
    assert_scan(ONE TWO);
}

static void unit_is_known_across_processes(void **state)
{
    g_autofree char *identity = cst_pool_state_identity(pool, NULL);
    CstPoolState *next = open_pool();

    assert_non_null(strstr(identity, "iscsi-direct=1:"));
    assert_non_null(strstr(identity, " 2:"));
    cst_pool_state_unref(pool);
    pool = next;
    fake.units[1].serial = 'x';
    assert_true(cst_pool_state_expect(pool, identity, FALSE, NULL));
    assert_scan(ANOTHER TWO);
    /* A start accepts the present units, and drops the expected ones. */
    assert_true(cst_pool_state_expect(pool, identity, TRUE, NULL));
    assert_scan(ONE TWO);
    /* The unit is known from the start, not only from the first scan on. */
    assert_true(cst_pool_state_expect(pool, identity, TRUE, NULL));
    fake.units[1].serial = 'y';
    assert_scan(ANOTHER TWO);
}

static void unreadable_record_expects_no_target(void **state)
{
    static const char *const records[] = {NULL, "", "other=1:0123456789abcdef\n",
                                          "iscsi-direct=1:0123 x:0123456789abcdef 2\n"};

    for (size_t i = 0; i < G_N_ELEMENTS(records); i++) {
        assert_true(cst_pool_state_expect(pool, records[i], FALSE, NULL));
        assert_scan(ONE TWO);
    }
}

/* --- sessions and bytes ----------------------------------------------------------------------- */

static void start_logs_in_and_stop_logs_out(void **state)
{
    gboolean active = FALSE;

    assert_true(cst_pool_state_check(pool, &active, NULL));
    assert_true(active);
    assert_int_equal(fake.logins, 0);
    assert_true(cst_pool_state_start(pool, NULL));
    assert_int_equal(fake.logins, 1);
    assert_true(cst_pool_state_prove(pool, NULL));
    assert_true(cst_pool_state_stop(pool, NULL));
    assert_int_equal(fake.logouts, 1);
    assert_scan(ONE TWO);
    assert_int_equal(fake.logins, 2);
}

static void start_that_is_refused_may_be_repeated(void **state)
{
    GError *error = NULL;

    fake.away = "10.0.0.1:3260";
    assert_failed(cst_pool_state_start(pool, &error), &error, CST_ERROR_UNREACHABLE, "");
    fake.away = NULL;
    fake.password = "secret"; /* the pool has no password */
    assert_failed(cst_pool_state_start(pool, &error), &error, CST_ERROR_DENIED, "");
    fake.password = NULL;
    assert_true(cst_pool_state_start(pool, NULL));
    assert_scan(ONE TWO);
}

static gpointer start(gpointer unused)
{
    return GINT_TO_POINTER(cst_pool_state_start(pool, NULL));
}

/* The session thread fails the calls that waited for a login, while another call is queued. */
static void call_that_comes_while_a_login_fails_logs_in_anew(void **state)
{
    GThread *threads[2];

    fake.away = "10.0.0.1:3260";
    point_hold("iscsi.queue.failed");
    point_watch("iscsi.run.wait");
    threads[0] = g_thread_new("first", start, NULL);
    point_await("iscsi.queue.failed", 1);
    fake.away = NULL;
    threads[1] = g_thread_new("second", start, NULL);
    point_await("iscsi.run.wait", 2);
    point_release("iscsi.queue.failed");
    assert_false(GPOINTER_TO_INT(g_thread_join(threads[0])));
    assert_true(GPOINTER_TO_INT(g_thread_join(threads[1])));
    points_clear();
    assert_int_equal(fake.logins, 1);
}

/* The blob keeps a reference of the state, and thus the session. */
static void open_lun_outlives_its_pool(void **state)
{
    CstBlob *blob = cst_pool_state_vol_open(pool, "unit:0:0:1", TRUE, NULL);
    char back[4] = "";

    assert_non_null(blob);
    g_clear_pointer(&pool, cst_pool_state_unref);
    assert_int_equal(fake.logouts, 0);
    assert_true(cst_blob_pwrite(blob, "data", 4, 0, NULL));
    assert_true(cst_blob_pread(blob, back, 4, 0, NULL));
    assert_memory_equal(back, "data", 4);
    assert_memory_equal(fake.units[1].data, "data", 4);
    cst_blob_unref(blob);
    assert_int_equal(fake.logouts, 1);
}

static void open_of_a_missing_lun_fails(void **state)
{
    GError *error = NULL;

    assert_failed(cst_pool_state_vol_open(pool, "other", FALSE, &error) != NULL, &error,
                  CST_ERROR_NO_VOL, "'other'");
    assert_failed(cst_pool_state_vol_open(pool, "unit:0:0:3", FALSE, &error) != NULL, &error,
                  CST_ERROR_NO_VOL, "'unit:0:0:3'");
    fake.fail_opcode = CAPACITY;
    fake.key = 4;
    assert_failed(cst_pool_state_vol_open(pool, "unit:0:0:1", FALSE, &error) != NULL, &error,
                  CST_ERROR_IO, "");
    /* The failures have released their references of the state. */
    g_clear_pointer(&pool, cst_pool_state_unref);
    assert_int_equal(fake.logouts, 1);
}

static void paths_lead_to_luns_of_this_target(void **state)
{
    static const char *const cases[][2] = {
        {"ip-10.0.0.1:3260-iscsi-" IQN "-lun-3", "unit:0:0:3"},
        {"ip-10.0.0.1:3260-iscsi-" IQN "-lun-03", NULL},
        {"ip-10.0.0.1:3260-iscsi-" IQN "-lun-", NULL},
        {"ip-10.0.0.2:3260-iscsi-" IQN "-lun-3", NULL},
    };
    g_autofree char *path = cst_pool_state_vol_path(pool, "unit:0:0:3");

    assert_string_equal(path, cases[0][0]);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = cst_pool_state_vol_resolve(pool, cases[i][0]);

        assert_true(g_strcmp0(name, cases[i][1]) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(luns_are_volumes_and_count_for_the_usage),
        TEST(usage_without_a_scan_lists_the_luns_once),
        TEST(removed_lun_is_removed_from_the_usage),
        TEST(lun_that_grows_counts_once),
        TEST(lun_with_an_error_has_a_problem_and_no_size),
        TEST(scan_that_fails_changes_no_usage),
        TEST(old_list_does_not_bring_a_size_back),
        TEST(scan_that_ends_first_is_not_undone_by_an_older_list),
        TEST(usage_from_an_old_list_is_asked_for_again),
        TEST(old_list_forgets_no_unit),
        TEST(another_unit_is_a_problem_until_the_number_was_free),
        TEST(unit_is_known_across_processes),
        TEST(unreadable_record_expects_no_target),
        TEST(start_logs_in_and_stop_logs_out),
        TEST(start_that_is_refused_may_be_repeated),
        TEST(call_that_comes_while_a_login_fails_logs_in_anew),
        TEST(open_lun_outlives_its_pool),
        TEST(open_of_a_missing_lun_fails),
        TEST(paths_lead_to_luns_of_this_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
