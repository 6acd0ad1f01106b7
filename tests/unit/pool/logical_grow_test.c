/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The spaces of a volume group that can be extended, with LVM's tools simulated by a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/pool.h>

#include "fake_lvm.h"

#define EXTENT (4 * MIB)

/* A thin pool, a volume with our snapshot, and a classic snapshot of another program. */
static int set_up(void **unused)
{
    fake_set_up(unused);
    fake_add("tp", 64 * MIB, "twi-aotz--", "", "");
    fake_put("percent/tp.metadata", "25.00");
    fake_add("disk", 8 * MIB, "owi-a-s---", "", "");
    fake_add(".cistern-1.snap", 4 * MIB, "swi-a-s---", "disk",
             "cistern:of=uuid-disk,cistern:snap=s1,cistern:at=1");
    return 0;
}

/* Returns the space of @kind, borrowed. Fails the test without one. */
static CstGrowth *growth_of(GPtrArray *growths, CstGrowthKind kind)
{
    assert_non_null(growths);
    for (guint i = 0; i < growths->len; i++) {
        CstGrowth *growth = g_ptr_array_index(growths, i);

        if (growth->kind == kind)
            return growth;
    }
    fail_msg("no space of kind %d", (int)kind);
    return NULL;
}

static gboolean log_has(const char *words)
{
    g_autofree char *path = fake_path("log");
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, words);
}

static void spaces_of_a_group_are_listed_with_size_and_use(void **unused)
{
    g_autoptr(GPtrArray) growths = cst_pool_state_growths(fake_state, TRUE, NULL);
    const CstGrowth *group = growth_of(growths, CST_GROWTH_GROUP);
    const CstGrowth *metadata = growth_of(growths, CST_GROWTH_METADATA);
    const CstGrowth *data = growth_of(growths, CST_GROWTH_DATA);
    const CstGrowth *snapshot = growth_of(growths, CST_GROWTH_SNAPSHOT);

    assert_int_equal(growths->len, 4);
    assert_ptr_equal(g_ptr_array_index(growths, 0), group);
    assert_int_equal(group->size - group->used, 512 * MIB);
    assert_string_equal(metadata->label, "tp");
    assert_int_equal(metadata->size, EXTENT);
    assert_int_equal(metadata->used, EXTENT / 4);
    assert_int_equal(metadata->copies, 2);
    assert_int_equal(data->size, 64 * MIB);
    assert_int_equal(data->used, 32 * MIB);
    assert_int_equal(data->unit, EXTENT);
    assert_string_equal(snapshot->name, ".cistern-1.snap");
    assert_string_equal(snapshot->label, "disk@s1");
    /* The size of the origin and its table of changes. */
    assert_int_equal(snapshot->limit, 12 * MIB);
}

static void inactive_and_lost_spaces_are_not_listed(void **unused)
{
    g_autoptr(GPtrArray) growths = NULL;

    fake_add("tp", 64 * MIB, "twi---tz--", "", "");
    fake_add(".cistern-1.snap", 4 * MIB, "swi-I-s---", "disk", "");
    growths = cst_pool_state_growths(fake_state, TRUE, NULL);
    assert_int_equal(growths->len, 1);
}

static void list_from_memory_runs_no_tool(void **unused)
{
    g_autoptr(GPtrArray) first = cst_pool_state_growths(fake_state, FALSE, NULL);
    g_autoptr(GPtrArray) second = NULL;

    assert_int_equal(first->len, 4);
    fake_put("log", "");
    second = cst_pool_state_growths(fake_state, FALSE, NULL);
    assert_int_equal(second->len, 4);
    assert_false(log_has("lvm"));
}

static void list_that_fails_is_reported(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_lie("lvm", "fail");
    assert_null(cst_pool_state_growths(fake_state, TRUE, &error));
    assert_non_null(strstr(error->message, "Something is wrong"));
}

/* Each row: a kind of space, and whether dmeventd monitors and extends it. */
static void space_is_dmeventds_if_it_monitors_it_with_a_threshold(void **unused)
{
    static const struct {
        const char *monitored, *config;
        gboolean data, snapshot;
    } rows[] = {
        {"  tp/monitored\n  disk/\n  .cistern-1.snap/monitored\n",
         "\tthin_pool_autoextend_threshold=80\n\tsnapshot_autoextend_threshold=70\n", TRUE, TRUE},
        {"  tp/monitored\n  .cistern-1.snap/monitored\n",
         "\tthin_pool_autoextend_threshold=80\n\tsnapshot_autoextend_threshold=100\n", TRUE, FALSE},
        {"  tp/not monitored\n  .cistern-1.snap/monitored\n",
         "\tthin_pool_autoextend_threshold=80\n\tsnapshot_autoextend_threshold=99\n", FALSE, TRUE},
        {"  tp/monitored\n  .cistern-1.snap/monitored\n",
         "\tthin_pool_autoextend_threshold=100\n\tsnapshot_autoextend_threshold=100\n", FALSE,
         FALSE},
        {"  tp/monitored\n", "garbage", FALSE, FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) growths = NULL;

        fake_put("dmeventd", rows[i].monitored);
        fake_put("config", rows[i].config);
        growths = cst_pool_state_growths(fake_state, TRUE, NULL);
        assert_int_equal(growth_of(growths, CST_GROWTH_DATA)->by_system, rows[i].data);
        assert_int_equal(growth_of(growths, CST_GROWTH_METADATA)->by_system, rows[i].data);
        assert_int_equal(growth_of(growths, CST_GROWTH_SNAPSHOT)->by_system, rows[i].snapshot);
    }
}

static void tools_that_fail_leave_the_space_to_cistern(void **unused)
{
    g_autoptr(GPtrArray) first = NULL, second = NULL;

    fake_put("dmeventd", "  tp/monitored\n");
    fake_put("config", "\tthin_pool_autoextend_threshold=80\n");
    fake_lie("lvs", "fail");
    first = cst_pool_state_growths(fake_state, TRUE, NULL);
    assert_false(growth_of(first, CST_GROWTH_DATA)->by_system);
    fake_lie("lvs", "");
    fake_lie("lvmconfig", "fail");
    second = cst_pool_state_growths(fake_state, TRUE, NULL);
    assert_false(growth_of(second, CST_GROWTH_DATA)->by_system);
}

static void use_is_read_from_the_status_of_the_kernel(void **unused)
{
    static const struct {
        CstGrowthKind kind;
        const char *status;
        uint64_t used; /* 0: an error */
    } rows[] = {
        {CST_GROWTH_DATA, "thin-pool 3 100/1024 800/1024 - rw discard_passdown", 50 * MIB},
        {CST_GROWTH_METADATA, "thin-pool 3 512/1024 800/1024 - rw", 2 * MIB},
        {CST_GROWTH_SNAPSHOT, "snapshot 4096/8192 16", 2 * MIB},
        {CST_GROWTH_DATA, "thin-pool Fail", 0},
        {CST_GROWTH_DATA, "thin-pool 3 100/1024 2000/1024 - rw", 0},
        {CST_GROWTH_DATA, "thin-pool 3 100/1024 8/0 - rw", 0},
        {CST_GROWTH_DATA, "thin-pool 3 100/1024 x/8 - rw", 0},
        {CST_GROWTH_DATA, "linear ", 0},
        {CST_GROWTH_SNAPSHOT, "snapshot Invalid", 0},
        {CST_GROWTH_SNAPSHOT, "snapshot Overflow", 0},
    };
    g_autoptr(GPtrArray) growths = cst_pool_state_growths(fake_state, TRUE, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        CstGrowth *growth = growth_of(growths, rows[i].kind);
        g_autoptr(GError) error = NULL;

        fake_put("status", rows[i].status);
        growth->used = 1;
        assert_int_equal(cst_pool_state_growth_use(fake_state, growth, &error), rows[i].used > 0);
        assert_int_equal(growth->used, rows[i].used ? rows[i].used : 1);
        if (!rows[i].used)
            assert_int_equal(cst_error_code(error), CST_ERROR_STATE);
    }
}

static void each_space_is_extended_by_its_command(void **unused)
{
    static const struct {
        CstGrowthKind kind;
        uint64_t size;
        const char *command;
    } rows[] = {
        {CST_GROWTH_METADATA, 8 * MIB, "lvextend --poolmetadatasize=8192k vg/tp"},
        {CST_GROWTH_DATA, 80 * MIB, "lvextend -L81920k vg/tp"},
        {CST_GROWTH_SNAPSHOT, 8 * MIB, "lvextend -L8192k vg/.cistern-1.snap"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) before = cst_pool_state_growths(fake_state, TRUE, NULL);
        g_autoptr(GPtrArray) after = NULL;
        g_autoptr(GError) error = NULL;

        if (!cst_pool_state_grow(fake_state, growth_of(before, rows[i].kind), rows[i].size, &error))
            fail_msg("%s", error->message);
        assert_true(log_has(rows[i].command));
        after = cst_pool_state_growths(fake_state, FALSE, NULL);
        assert_int_equal(growth_of(after, rows[i].kind)->size, rows[i].size);
    }
}

static void extension_is_judged_by_the_size_that_the_space_has(void **unused)
{
    static const struct {
        const char *how;
        gboolean works;
        int code;
    } rows[] = {
        {"fail", FALSE, CST_ERROR_FAILED},
        {"full", FALSE, CST_ERROR_NO_SPACE},
        {"nothing", FALSE, CST_ERROR_FAILED},
        {"hang", FALSE, CST_ERROR_TIMEOUT},
        {"dying", TRUE, 0},
        {"failing", TRUE, 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) growths = cst_pool_state_growths(fake_state, TRUE, NULL);
        CstGrowth *data = growth_of(growths, CST_GROWTH_DATA);
        g_autoptr(GError) error = NULL;

        fake_lie("lvextend", rows[i].how);
        assert_int_equal(cst_pool_state_grow(fake_state, data, data->size + EXTENT, &error),
                         rows[i].works);
        assert_int_equal(error ? (int)cst_error_code(error) : 0, rows[i].code);
        fake_lie("lvextend", "");
    }
}

static void space_that_was_removed_is_not_found(void **unused)
{
    g_autoptr(GPtrArray) growths = cst_pool_state_growths(fake_state, TRUE, NULL);
    CstGrowth *snapshot = growth_of(growths, CST_GROWTH_SNAPSHOT);
    g_autoptr(GError) error = NULL;

    fake_lie("lvextend", "nothing");
    assert_true(logical_remove_lv((LogicalState *)fake_state, snapshot->name, NULL));
    assert_false(cst_pool_state_grow(fake_state, snapshot, 8 * MIB, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_NOT_FOUND);
}

#define GROW_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GROW_TEST(spaces_of_a_group_are_listed_with_size_and_use),
        GROW_TEST(inactive_and_lost_spaces_are_not_listed),
        GROW_TEST(list_from_memory_runs_no_tool),
        GROW_TEST(list_that_fails_is_reported),
        GROW_TEST(space_is_dmeventds_if_it_monitors_it_with_a_threshold),
        GROW_TEST(tools_that_fail_leave_the_space_to_cistern),
        GROW_TEST(use_is_read_from_the_status_of_the_kernel),
        GROW_TEST(each_space_is_extended_by_its_command),
        GROW_TEST(extension_is_judged_by_the_size_that_the_space_has),
        GROW_TEST(space_that_was_removed_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
