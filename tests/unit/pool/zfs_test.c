/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listings of a zfs pool, with misbehaving tools (fake-zfs). Real ZFS is tested in tests/lab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_zfs.h"

/* --- reports ---------------------------------------------------------------------------------- */

#define GOOD "tank/a\tvolume\t12\t9\t5\t4096\t0\t512\tlz4\ttank/b@s\ttank\tavailable\t-\n"

static void line_has_all_fields_of_a_volume(void **unused)
{
    g_autoptr(GPtrArray) datasets = zfs_datasets_parse(GOOD, NULL);
    const ZfsDataset *dataset = g_ptr_array_index(datasets, 0);

    assert_int_equal(datasets->len, 1);
    assert_true(dataset->is_volume && !dataset->locked && !dataset->replaces);
    assert_string_equal(dataset->guid, "12");
    assert_int_equal(dataset->available, 9);
    assert_int_equal(dataset->referenced, 5);
    assert_int_equal(dataset->size, 4096);
    assert_int_equal(dataset->reserved, 0);
    assert_int_equal(dataset->block, 512);
    assert_string_equal(dataset->origin, "tank/b@s");
    assert_string_equal(dataset->encryption_root, "tank");
    assert_ptr_equal(zfs_datasets_find(datasets, "tank/a"), dataset);
    assert_null(zfs_datasets_find(datasets, "tank"));
}

static void a_line_of_another_form_is_not_believed(void **unused)
{
    static const char cut[] = GOOD "tank/b\tvolume";
    const char *const lines[] = {
        "tank/a",
        "tank/a\n",
        "tank/a\tvolume\t12\t9\t5\t4096\t0\t512\tlz4\t-\t-\t-\n",
        "tank/a\tvolume\t12\t9\t5\t4096\t0\t512\tlz4\t-\t-\t-\t-\t-\n",
        "tank/a\tvolume\t12\t9\t5\t4096\t0\t512\tlz4\t-\t-\t-\t-",
        "tank/a\tsnapshot\t12\t9\t5\t4096\t0\t512\tlz4\t-\t-\t-\t-\n",
        "tank/a\tvolume\t1x\t9\t5\t4096\t0\t512\tlz4\t-\t-\t-\t-\n",
        "tank/a\tvolume\t-\t9\t5\t4096\t0\t512\tlz4\t-\t-\t-\t-\n",
        "tank/a\tvolume\t12\t1K\t5\t4096\t0\t512\tlz4\t-\t-\t-\t-\n",
        "tank/a\tvolume\t12\t9\t-5\t4096\t0\t512\tlz4\t-\t-\t-\t-\n",
        "tank/a\tvolume\t12\t9\t5\t99999999999999999999\t0\t512\tlz4\t-\t-\t-\t-\n",
        "tank/a\tvolume\t12\t9\t5\t-\t0\t512\tlz4\t-\t-\t-\t-\n",
        "tank/a\tvolume\t12\t9\t5\t4096\tx\t512\tlz4\t-\t-\t-\t-\n",
        "tank/a\tvolume\t12\t9\t5\t4096\t0\t0\tlz4\t-\t-\t-\t-\n",
        "tank/a\tvolume\t12\t9\t5\t4096\t0\t512\tlz4\ttank/b\t-\t-\t-\n",
        cut,
        "\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) error = NULL;

        if (zfs_datasets_parse(lines[i], &error))
            fail_msg("believed: %s", lines[i]);
        fake_assert_error(&error, CST_ERROR_CORRUPT);
    }
}

static void line_of_a_snapshot_has_its_clones(void **unused)
{
    static const char *const bad[] = {
        "\t8\t9\t1\t2\t3\t-\t-\n",         "@s\t8\t9\t1\t2\t3\t-\t-\n",
        "tank/a@\t8\t9\t1\t2\t3\t-\t-\n",  "tank/a@s\tx\t9\t1\t2\t3\t-\t-\n",
        "tank/a@s\t-\t9\t1\t2\t3\t-\t-\n", "tank/a@s\t8\tx\t1\t2\t3\t-\t-\n",
        "tank/a@s\t8\t9\tx\t2\t3\t-\t-\n", "tank/a@s\t8\t9\t1\tx\t3\t-\t-\n",
        "tank/a@s\t8\t9\t1\t2\tx\t-\t-\n", "tank/a@s\t8\t9\t1\t2\t3\t-\n",
        "tank/a\tx\t9\t1\t2\t3\t-\t-\n"};
    g_autoptr(GPtrArray) snapshots =
        zfs_snapshots_parse("tank/a@s\t8\t9\t1\t2\t3\ttank/b,tank/c\tcrash why\n"
                            "tank/a#t\t18446744073709551615\t10\t4\t-\t-\t-\t-\n",
                            NULL);
    const ZfsSnapshot *first = g_ptr_array_index(snapshots, 0);
    const ZfsSnapshot *second = g_ptr_array_index(snapshots, 1);

    assert_string_equal(first->guid, "8");
    assert_int_equal(first->txg, 9);
    assert_false(first->bookmark);
    assert_true(second->bookmark);
    assert_string_equal(second->name, "t");
    assert_string_equal(second->guid, "18446744073709551615");

    assert_string_equal(first->dataset, "tank/a");
    assert_string_equal(first->name, "s");
    assert_int_equal(first->created, 1);
    assert_int_equal(first->size, 2);
    assert_int_equal(first->used, 3);
    assert_int_equal(g_strv_length(first->clones), 2);
    assert_string_equal(first->clones[1], "tank/c");
    assert_int_equal(g_strv_length(second->clones), 0);
    assert_string_equal(first->consistency, "crash why");
    assert_null(second->consistency);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(zfs_snapshots_parse(bad[i], &error));
        fake_assert_error(&error, CST_ERROR_CORRUPT);
    }
}

/* ZFS shows the value that a snapshot inherits like its own. */
static void record_that_may_be_inherited_is_ignored(void **unused)
{
    static const char snapshot[] = "tank/a@s\t8\t9\t1\t2\t3\t-\tcrash\n";

    for (int inherited = 0; inherited < 2; inherited++) {
        g_autofree char *text = g_strdup_printf("%stank/a\t7\t1\t1\t2\t3\t-\t%s\n%s", snapshot,
                                                inherited ? "offline" : "-", snapshot);
        g_autoptr(GPtrArray) snapshots = zfs_snapshots_parse(text, NULL);

        assert_int_equal(snapshots->len, 2);
        for (guint i = 0; i < 2; i++) {
            const ZfsSnapshot *found = g_ptr_array_index(snapshots, i);

            assert_string_equal(found->name, "s");
            assert_int_equal(found->consistency == NULL, inherited);
        }
    }
}

static void an_answer_is_one_text(void **unused)
{
    static const char *const bad[] = {"",
                                      "done",
                                      "{}",
                                      "{\"return\":\"\"}",
                                      "{\"return\":\"done",
                                      "{\"return\":0}",
                                      "{\"return\":\"a\"b\"}",
                                      "{\"return\":\"a\\b\"}",
                                      "{\"return\":\"a\nb\"}",
                                      "x{\"return\":\"done\"}",
                                      "{\"return\":\"done\"}\nx"};
    g_autofree char *one = zfs_answer_parse("{\"return\":\"done\"}", NULL);
    g_autofree char *two = zfs_answer_parse("{\"return\":\"newer tank/a b@s-1_2.3:4\"}\n", NULL);

    assert_string_equal(one, "done");
    assert_string_equal(two, "newer tank/a b@s-1_2.3:4");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(zfs_answer_parse(bad[i], &error));
        fake_assert_error(&error, CST_ERROR_CORRUPT);
    }
}

static void a_pool_is_one_line(void **unused)
{
    static const char *const bad[] = {"",
                                      "tank\t1\t2\t3\n",
                                      "tank\tx\t2\t3\tONLINE\n",
                                      "tank\t1\tx\t3\tONLINE\n",
                                      "tank\t1\t2\tx\tONLINE\n",
                                      "tank\t1\t2\t3\tONLINE\ntank\t1\t2\t3\tONLINE\n"};
    g_autoptr(ZfsPool) pool = zfs_pool_parse("tank\t18446744073709551615\t2\t3\tONLINE\n", NULL);

    assert_string_equal(pool->guid, "18446744073709551615");
    assert_int_equal(pool->size, 2);
    assert_int_equal(pool->allocated, 3);
    assert_string_equal(pool->health, "ONLINE");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(zfs_pool_parse(bad[i], &error));
        fake_assert_error(&error, CST_ERROR_CORRUPT);
    }
}

/* --- listings --------------------------------------------------------------------------------- */

static void a_listing_shows_volumes_and_hides_ours(void **unused)
{
    g_autofree char *names = NULL;

    fake_add("tank/a");
    fake_add_filesystem("tank/sub");
    fake_add("tank/sub/a");
    fake_add("tank/.cistern-0123456789abcdef0123456789abcdef.0000_1_1.part");
    fake_add("tank/sub/.cistern-0123456789abcdef0123456789abcdef.0000_1_1.old");
    fake_snapshot("tank/a", "s");
    names = fake_names(NULL);
    assert_string_equal(names, "a sub/a ");
}

/* For each defect of the report: an error and no list, never a shorter list. */
static void a_report_that_is_not_whole_is_no_list(void **unused)
{
    static const struct {
        const char *how;
        CstErrorCode code;
    } rows[] = {
        {"fail", CST_ERROR_FAILED},         {"silent", CST_ERROR_FAILED},
        {"nothing", CST_ERROR_NOT_FOUND},   {"garbage", CST_ERROR_CORRUPT},
        {"cut", CST_ERROR_CORRUPT},         {"half", CST_ERROR_FAILED},
        {"failing", CST_ERROR_FAILED},      {"dying", CST_ERROR_FAILED},
        {"hang", CST_ERROR_TIMEOUT},        {"denied", CST_ERROR_DENIED},
        {"unloaded", CST_ERROR_NO_SUPPORT},
    };

    fake_add("tank/a");
    fake_add("tank/b");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_lie("list", rows[i].how);
        assert_null(fake_names(&error));
        fake_assert_error(&error, rows[i].code);
    }
}

static void warnings_with_a_complete_zfs_report_are_ignored(void **unused)
{
    g_autofree char *names = NULL;

    fake_add("tank/a");
    fake_lie("list", "noisy");
    names = fake_names(NULL);
    assert_string_equal(names, "a ");
}

static void record_has_the_properties_of_the_volume(void **unused)
{
    g_autoptr(CstVolume) plain = NULL, clone = NULL, locked = NULL, gone = NULL;

    fake_add("tank/a b");
    fake_put("held/tank%a b", "12345\n");
    fake_snapshot("tank/a b", "s");
    fake_add_as("tank/c", "tank/a b@s", NULL);
    fake_put("sets/tank%l", "volume\n9\n8388608\n8454144\n16384\n-\ntank\nunavailable\n-\n\n");
    assert_true(cst_pool_state_scan_one(fake_state, "a b", NULL, &plain, NULL));
    assert_true(cst_pool_state_scan_one(fake_state, "c", NULL, &clone, NULL));
    assert_true(cst_pool_state_scan_one(fake_state, "l", NULL, &locked, NULL));
    assert_true(cst_pool_state_scan_one(fake_state, "none", NULL, &gone, NULL));
    assert_int_equal(plain->capacity, 8 * MIB);
    assert_int_equal(plain->allocation, 12345);
    assert_string_equal(plain->extra->key, "tank/a b");
    assert_string_equal(cst_options_get(plain->extra->options, "volblocksize"), "16K");
    assert_string_equal(cst_options_get(plain->extra->options, "compression"), "lz4");
    assert_null(plain->extra->problem);
    assert_string_equal(clone->extra->backing_path, "/dev/zvol/tank/a+b");
    assert_int_equal(locked->allocation, 8454144);
    assert_non_null(strstr(locked->extra->problem, "the key of ZFS dataset 'tank' is not loaded"));
    assert_null(gone);
}

static void invalid_name_is_not_a_volume(void **unused)
{
    static const char *const names[] = {"a@s", "", "/", "a//b", "..", "a/../b", "-r%"};

    fake_add("tank/a");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(CstVolume) volume = NULL;

        assert_true(cst_pool_state_scan_one(fake_state, names[i], NULL, &volume, NULL));
        assert_null(volume);
    }
}

static void paths_and_keys_lead_to_names(void **unused)
{
    static const char *const rows[][2] = {
        {"/dev/zvol/tank/a", "a"},
        {"/dev/zvol/tank/sub/a", "sub/a"},
        {"/dev/zvol/tank/a+b", "a b"},
        {"tank/sub/a", "sub/a"},
        {"/dev/zvol/tanker/a", NULL},
        {"/dev/zvol/tank", NULL},
        {"/dev/zvol/tank/", NULL},
        {"tank", NULL},
        {"tanker/a", NULL},
        {"/dev/zvol/tank/.cistern-1", NULL},
        {"tank/sub/.cistern-1", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = cst_pool_state_vol_resolve(fake_state, rows[i][0]);

        if (g_strcmp0(name, rows[i][1]) != 0)
            fail_msg("%s is %s", rows[i][0], name);
    }
}

static void usage_is_the_pools_size_and_the_datasets_available_space(void **unused)
{
    CstPoolUsage usage;

    assert_true(cst_pool_state_usage(fake_state, &usage, NULL));
    assert_int_equal(usage.capacity, 1073741824);
    assert_int_equal(usage.allocation, 65536);
    assert_int_equal(usage.available, 536870912);
}

static void missing_pool_is_reported_with_the_import_command(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *pool = fake_path("pool"), *state = fake_path("kstat/tank/state");
    g_autofree char *kstat = fake_path("kstat/tank");

    unlink(pool);
    unlink(state);
    assert_int_equal(rmdir(kstat), 0);
    assert_null(fake_names(&error));
    assert_non_null(strstr(error->message, "zpool import tank"));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
}

int main(void)
{
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_has_all_fields_of_a_volume),
        cmocka_unit_test(a_line_of_another_form_is_not_believed),
        cmocka_unit_test(line_of_a_snapshot_has_its_clones),
        cmocka_unit_test(record_that_may_be_inherited_is_ignored),
        cmocka_unit_test(an_answer_is_one_text),
        cmocka_unit_test(a_pool_is_one_line),
        FAKE_TEST(a_listing_shows_volumes_and_hides_ours),
        FAKE_TEST(a_report_that_is_not_whole_is_no_list),
        FAKE_TEST(warnings_with_a_complete_zfs_report_are_ignored),
        FAKE_TEST(record_has_the_properties_of_the_volume),
        FAKE_TEST(invalid_name_is_not_a_volume),
        FAKE_TEST(paths_and_keys_lead_to_names),
        FAKE_TEST(usage_is_the_pools_size_and_the_datasets_available_space),
        FAKE_TEST(missing_pool_is_reported_with_the_import_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
