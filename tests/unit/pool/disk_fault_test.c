/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Operations of a disk pool with each step failing in turn, and changes by other programs between
 * two steps. After each run the disk is unlocked, the kernel has the partitions of the table, and
 * the repeated operation succeeds.
 */
#include "points.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmocka.h>

#include <glib/gstdio.h>

#include <base/error.h>

#include "fake_disk.h"

static CstPoolState *pool;

static int set_up(void **state)
{
    fake_disk_set_up(state);
    disk_seen_us = G_MAXINT64;
    return 0;
}

static int tear_down(void **state)
{
    disk_seen_us = G_TIME_SPAN_SECOND;
    g_clear_pointer(&pool, cst_pool_state_unref);
    return fake_disk_tear_down(state);
}

/* --- operations ------------------------------------------------------------------------------- */

/* Like the core: a failed draft is cleared and then abandoned. */
static gboolean make_volume(GError **error)
{
    g_autoptr(CstVolDef) def = fake_disk_def("sdx2", 4 * FAKE_MIB, NULL);
    g_auto(CstVolDraft) draft = {.token = g_strdup("t")};

    if (cst_pool_state_reserve(pool, def, &draft, error) &&
        cst_pool_state_commit(pool, &draft, def, error))
        return TRUE;
    cst_vol_draft_clear(&draft);
    fake_disk_assert_free();
    fake_disk.tell_fails = fake_disk.open_fails = 0;
    assert_true(cst_pool_state_abandon(pool, "t", NULL));
    return FALSE;
}

static gboolean delete_volume(GError **error)
{
    return cst_pool_state_delete(pool, "sdx1", 0, error);
}

static gboolean delete_logical(GError **error)
{
    return cst_pool_state_delete(pool, "sdx5", 0, error);
}

static gboolean grow_volume(GError **error)
{
    return cst_pool_state_vol_resize(pool, "sdx1", 6 * FAKE_MIB, NULL, error);
}

static gboolean complete(GError **error)
{
    return cst_pool_state_abandon(pool, "t", error);
}

static void build_gpt(void)
{
    pool = fake_disk_build("gpt");
    fake_disk_make(pool, "sdx1", 4, NULL);
}

static void build_chain(void)
{
    pool = fake_disk_build("dos");
    fake_disk_make(pool, "sdx1", 40, "extended");
    /*
     * Three more primary partitions are not needed, because number 5 is the first logical one
     * anyway.
     */
    fake_disk_make(pool, "sdx2", 1, NULL);
    fake_disk_make(pool, "sdx3", 1, NULL);
    fake_disk_make(pool, "sdx4", 1, NULL);
    for (guint i = 5; i <= 7; i++) {
        g_autofree char *name = g_strdup_printf("sdx%u", i);

        fake_disk_make(pool, name, 4, NULL);
    }
}

static void build_with_unknown_one(void)
{
    build_gpt();
    fake_disk_make(pool, "sdx2", 4, NULL);
    g_array_set_size(fake_disk.shown, 0);
}

typedef struct {
    const char *what;
    void (*build)(void);
    gboolean (*call)(GError **error);
    gboolean may_be_done; /* a failure after the write of the table does not undo the change */
    const char *before, *after;
    const char *shown_before, *shown_after;
} Operation;

#define CHAIN       "sdx1=1-41 sdx2=41-42 sdx3=42-43 sdx4=43-44"
#define CHAIN_SHOWN "1=1-1.00098 2=41-42 3=42-43 4=43-44"

static const Operation operations[] = {
    {"create", build_gpt, make_volume, FALSE, "sdx1=1-5", "sdx1=1-5 sdx2=5-9", "1=1-5",
     "1=1-5 2=5-9"},
    {"delete", build_gpt, delete_volume, FALSE, "sdx1=1-5", "", "1=1-5", ""},
    {"delete logical", build_chain, delete_logical, FALSE, CHAIN " sdx5=2-6 sdx6=7-11 sdx7=12-16",
     CHAIN " sdx5=7-11 sdx6=12-16", CHAIN_SHOWN " 5=2-6 6=7-11 7=12-16",
     CHAIN_SHOWN " 5=7-11 6=12-16"},
    {"resize", build_gpt, grow_volume, TRUE, "sdx1=1-5", "sdx1=1-7", "1=1-5", "1=1-7"},
    {"complete", build_with_unknown_one, complete, TRUE, "sdx1=1-5 sdx2=5-9", "sdx1=1-5 sdx2=5-9",
     "", "1=1-5 2=5-9"},
};

/* --- resulting state -------------------------------------------------------------------------- */

/* Returns "sdx1=1-5 …", without the mark of a problem. */
static char *listed(void)
{
    char *text = fake_disk_listed(pool);

    g_strdelimit(text, "!", ' ');
    return g_strchomp(text);
}

/* Checks that a reader with cached data gets the volume with its size in the table. */
static void assert_seen(const char *list)
{
    for (guint number = 1; number <= 7; number++) {
        g_autofree char *name = g_strdup_printf("sdx%u", number);
        g_autofree char *entry = g_strconcat(name, "=", NULL);
        g_autoptr(CstVolume) first = NULL, second = NULL;

        assert_true(cst_pool_state_scan_one(pool, name, NULL, &first, NULL));
        assert_int_equal(first != NULL, strstr(list, entry) != NULL);
        if (!first)
            continue;
        assert_true(cst_pool_state_scan_one(pool, name, first, &second, NULL));
        assert_ptr_equal(first, second);
    }
}

static void check_failed(const Operation *operation, const char *fault, guint number)
{
    g_autofree char *list = NULL, *shown = NULL;
    g_autoptr(GError) error = NULL;
    gboolean as_before, as_after;

    fake_disk_assert_free();
    list = listed();
    shown = fake_disk_shown();
    as_before = strcmp(list, operation->before) == 0 && strcmp(shown, operation->shown_before) == 0;
    as_after = strcmp(list, operation->after) == 0;
    if (!as_before && !(operation->may_be_done && as_after))
        fail_msg("%s, %s %u failed: table '%s', kernel '%s'", operation->what, fault, number, list,
                 shown);
    if (!operation->call(&error))
        fail_msg("%s, %s %u failed, and again: %s", operation->what, fault, number, error->message);
}

/* Runs the operation with one failure. Returns FALSE if it has fewer steps of that kind. */
static gboolean play(const Operation *operation, gboolean of_kernel, guint number)
{
    const char *fault = of_kernel ? "order to the kernel" : "opening";
    g_autoptr(GError) error = NULL;
    g_autofree char *list = NULL, *shown = NULL;
    gboolean done, struck;

    fake_disk_set_up(NULL);
    operation->build();
    fake_disk.told = fake_disk.opened = 0;
    fake_disk.tell_fails = of_kernel ? number : 0;
    fake_disk.open_fails = of_kernel ? 0 : number;
    done = operation->call(&error);
    struck = (of_kernel ? fake_disk.told : fake_disk.opened) >= number;
    fake_disk.tell_fails = fake_disk.open_fails = 0;
    if (!done)
        check_failed(operation, fault, number);
    fake_disk_assert_free();
    list = listed();
    shown = fake_disk_shown();
    if (strcmp(list, operation->after) != 0 || strcmp(shown, operation->shown_after) != 0)
        fail_msg("%s, %s %u failed, done: table '%s', kernel '%s'", operation->what, fault, number,
                 list, shown);
    assert_seen(list);
    g_clear_pointer(&pool, cst_pool_state_unref);
    fake_disk_tear_down(NULL);
    return struck;
}

static void each_step_that_fails_leaves_table_and_kernel_alike(void **state)
{
    fake_disk_tear_down(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++)
        for (int of_kernel = 0; of_kernel < 2; of_kernel++) {
            guint number = 1;

            while (play(&operations[i], of_kernel, number))
                number++;
            assert_true(number > 1);
        }
    fake_disk_set_up(NULL);
}

/* --- the lock --------------------------------------------------------------------------------- */

static guint looked_at_lock;

/* Another program cannot acquire the lock at this point. */
static void assert_locked(gpointer unused)
{
    int fd = g_open(fake_disk.file, O_RDONLY | O_CLOEXEC, 0);

    looked_at_lock++;
    assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
    close(fd);
}

static void table_is_changed_with_the_disk_locked(void **state)
{
    static const char *const points[] = {"disk.reserve.claimed", "disk.commit.synced",
                                         "disk.change.written",  "disk.commit.shown",
                                         "disk.delete.hidden",   "disk.resize.shown"};

    build_gpt();
    looked_at_lock = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(points); i++)
        point_run_always(points[i], assert_locked, NULL);
    assert_true(make_volume(NULL));
    assert_true(cst_pool_state_vol_resize(pool, "sdx2", 6 * FAKE_MIB, NULL, NULL));
    assert_true(delete_volume(NULL));
    /* Four by the create including its claim, two by the resize, two by the delete. */
    assert_int_equal(looked_at_lock, 8);
    points_clear();
    fake_disk_assert_free();
}

static void change_by_other_tool(const DiskChange *change)
{
    int fd = g_open(fake_disk.file, O_RDONLY | O_CLOEXEC, 0);
    DiskTable *table = NULL;

    assert_true(disk_fdisk.read(fd, "/dev/sdx", &table, NULL));
    assert_true(disk_fdisk.change("/dev/sdx", table, change, NULL));
    disk_table_free(table);
    close(fd);
}

static void add_second_partition(gpointer unused)
{
    const DiskChange change = {.action = DISK_ADD,
                               .partition = {.number = 2,
                                             .kind = DISK_PRIMARY,
                                             .start = 20 * FAKE_MIB,
                                             .end = 24 * FAKE_MIB,
                                             .mark = "none"}};

    change_by_other_tool(&change);
}

static void remove_first_partition(gpointer unused)
{
    const DiskChange change = {
        .action = DISK_REMOVE,
        .partition = {
            .number = 1, .kind = DISK_PRIMARY, .start = 1 * FAKE_MIB, .end = 5 * FAKE_MIB}};

    change_by_other_tool(&change);
    g_array_set_size(fake_disk.shown, 0);
}

/* Another tool changes the table before the lock is acquired. */
static void table_is_read_after_the_lock_was_acquired(void **state)
{
    g_autoptr(GError) error = NULL;

    build_gpt();
    point_run("disk.lock", add_second_partition, NULL);
    assert_false(make_volume(&error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
    assert_non_null(strstr(error->message, "expected 'sdx3'"));
    g_clear_error(&error);
    fake_disk_assert_listed(pool, "sdx1=1-5 sdx2=20-24");
    points_clear();
    point_run("disk.lock", remove_first_partition, NULL);
    assert_false(grow_volume(&error));
    assert_int_equal(error->code, CST_ERROR_NO_VOL);
    points_clear();
    fake_disk_assert_free();
}

/* --- drafts ----------------------------------------------------------------------------------- */

/* The content must be on the disk before the table shows the volume. */
static void volume_is_not_shown_when_its_content_is_not_synced(void **state)
{
    g_autoptr(CstVolDef) def = fake_disk_def("sdx2", 4 * FAKE_MIB, NULL);
    g_auto(CstVolDraft) draft = {.token = g_strdup("t")};
    g_autoptr(GError) error = NULL;

    build_gpt();
    assert_true(cst_pool_state_reserve(pool, def, &draft, NULL));
    /* Makes its flush fail. */
    disk_draft_close(draft.blob);
    assert_false(cst_pool_state_commit(pool, &draft, def, &error));
    assert_int_equal(error->code, CST_ERROR_STATE);
    fake_disk_assert_listed(pool, "sdx1=1-5");
    fake_disk_assert_shown("1=1-5");
    fake_disk_assert_free();
}

static void remember_synced(gpointer synced)
{
    *(guint *)synced = fake_disk.synced;
}

static void content_is_synced_before_the_table_is_written(void **state)
{
    g_autoptr(CstVolDef) def = fake_disk_def("sdx2", 4 * FAKE_MIB, NULL);
    g_auto(CstVolDraft) draft = {.token = g_strdup("t")};
    guint synced = 0;

    build_gpt();
    assert_true(cst_pool_state_reserve(pool, def, &draft, NULL));
    assert_true(cst_blob_pwrite(draft.blob, "hello", 5, 0, NULL));
    fake_disk.synced = 0;
    point_run("disk.commit.synced", remember_synced, &synced);
    assert_true(cst_pool_state_commit(pool, &draft, def, NULL));
    points_clear();
    assert_int_equal(synced, 1);
}

static void give_up_claim(gpointer draft)
{
    cst_vol_draft_clear(draft);
}

/* A claim may end between two checks for space. The volume grows when the resize is repeated. */
static void room_of_a_claim_that_was_given_up_is_free_for_growth(void **state)
{
    g_autoptr(CstVolDef) def = fake_disk_def("sdx2", 4 * FAKE_MIB, NULL);
    g_auto(CstVolDraft) draft = {.token = g_strdup("t")};
    g_autoptr(GError) error = NULL;

    build_gpt();
    assert_true(cst_pool_state_reserve(pool, def, &draft, NULL));
    assert_false(grow_volume(&error));
    assert_int_equal(error->code, CST_ERROR_NO_SPACE);
    point_run("disk.lock", give_up_claim, &draft);
    assert_true(grow_volume(NULL));
    points_clear();
    fake_disk_assert_listed(pool, "sdx1=1-7");
}

static void remember_settled(gpointer settled)
{
    *(guint *)settled = fake_disk.settled;
}

/* udev makes the names of new partitions and needs the lock for that, so the call waits. */
static void each_change_awaits_udev_before_it_is_acknowledged(void **state)
{
    guint settled = G_MAXUINT;

    build_gpt();
    fake_disk.on_settle = fake_disk_assert_free;
    point_run("disk.change.written", remember_settled, &settled);
    assert_true(make_volume(NULL));
    assert_int_equal(fake_disk.settled, settled + 1);
    points_clear();
    point_run("disk.change.written", remember_settled, &settled);
    assert_true(cst_pool_state_vol_resize(pool, "sdx2", 6 * FAKE_MIB, NULL, NULL));
    assert_int_equal(fake_disk.settled, settled + 1);
    points_clear();
    point_run("disk.change.written", remember_settled, &settled);
    assert_true(delete_volume(NULL));
    assert_int_equal(fake_disk.settled, settled + 1);
    points_clear();
    point_run("disk.abandon", remember_settled, &settled);
    assert_true(complete(NULL));
    assert_int_equal(fake_disk.settled, settled + 1);
    points_clear();
}

/* --- other programs while a step fails -------------------------------------------------------- */

static void remove_what_was_made(gpointer unused)
{
    const DiskChange change = {
        .action = DISK_REMOVE,
        .partition = {
            .number = 2, .kind = DISK_PRIMARY, .start = 5 * FAKE_MIB, .end = 9 * FAKE_MIB}};

    change_by_other_tool(&change);
    add_second_partition(NULL);
}

static void assert_second_is_shown(gpointer unused)
{
    fake_disk_assert_shown("1=1-5 2=20-24");
}

/* The rollback removes the partition of the commit, and no partition of another program. */
static void failed_commit_removes_its_own_partition_only(void **state)
{
    g_autoptr(GError) error = NULL;

    build_gpt();
    fake_disk.told = 0;
    fake_disk.tell_fails = 1;
    point_run("disk.commit.failed", remove_what_was_made, NULL);
    point_run("disk.abandon", assert_second_is_shown, NULL);
    assert_false(make_volume(&error));
    assert_int_equal(error->code, CST_ERROR_IO);
    points_clear();
    fake_disk_assert_listed(pool, "sdx1=1-5 sdx2=20-24");
    fake_disk_assert_shown("1=1-5 2=20-24");
}

/* A partition in use cannot be removed. An abandon that leaves it reports this. */
static void partition_in_use_that_has_to_go_fails_an_abandon(void **state)
{
    g_autoptr(GError) error = NULL;

    build_gpt();
    g_array_append_val(fake_disk.shown, ((DiskShown){3, 20 * FAKE_MIB, FAKE_MIB}));
    fake_disk.busy = 3;
    assert_false(complete(&error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
    fake_disk.busy = 0;
    assert_true(complete(NULL));
    fake_disk_assert_shown("1=1-5");
}

/* Another tool has resized a partition while a delete failed. The kernel gets the present table. */
static void failed_delete_shows_the_table_as_it_is_now(void **state)
{
    g_autoptr(GError) error = NULL;

    build_gpt();
    fake_disk.opened = 0;
    fake_disk.open_fails = 2; /* the open for writing */
    point_run("disk.change.failed", add_second_partition, NULL);
    assert_false(delete_volume(&error));
    assert_int_equal(error->code, CST_ERROR_IO);
    points_clear();
    fake_disk_assert_shown("1=1-5 2=20-24");
    fake_disk_assert_free();
}

static void close_partition(gpointer data)
{
    fake_disk.busy = 0;
}

static void partition_that_a_scanner_reads_briefly_is_deleted(void **state)
{
    g_autoptr(GError) error = NULL;

    pool = fake_disk_build("gpt");
    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk.busy = 1;
    disk_busy_us = G_TIME_SPAN_HOUR;
    point_run("disk.hide.busy", close_partition, NULL);
    cst_pool_state_delete(pool, "sdx1", 0, &error);
    assert_null(error);
    fake_disk_assert_listed(pool, "");
    fake_disk_assert_shown("");
    points_clear();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(partition_that_a_scanner_reads_briefly_is_deleted),
        TEST(each_step_that_fails_leaves_table_and_kernel_alike),
        TEST(table_is_changed_with_the_disk_locked),
        TEST(table_is_read_after_the_lock_was_acquired),
        TEST(volume_is_not_shown_when_its_content_is_not_synced),
        TEST(room_of_a_claim_that_was_given_up_is_free_for_growth),
        TEST(each_change_awaits_udev_before_it_is_acknowledged),
        TEST(content_is_synced_before_the_table_is_written),
        TEST(partition_in_use_that_has_to_go_fails_an_abandon),
        TEST(failed_commit_removes_its_own_partition_only),
        TEST(failed_delete_shows_the_table_as_it_is_now),
    };

    return cmocka_run_group_tests_name("disk faults", tests, NULL, NULL);
}
