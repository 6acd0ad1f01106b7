/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk pools on a file, with a simulated kernel: volumes are made, changed and lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmocka.h>

#include <glib/gstdio.h>

#include <base/dry_run.h>
#include <base/error.h>

#include "fake_disk.h"

/* Clears @error, which must have @code and contain @words. */
static void assert_says(GError **error, int code, const char *words)
{
    assert_non_null(*error);
    if ((*error)->code != code || !strstr((*error)->message, words))
        fail_msg("%d: %s", (*error)->code, (*error)->message);
    g_clear_error(error);
}

static gboolean reserve(CstPoolState *pool, const char *name, uint64_t bytes, const char *mark,
                        CstVolDraft *draft, GError **error)
{
    g_autoptr(CstVolDef) def = fake_disk_def(name, bytes, mark);

    draft->token = g_strdup("t");
    return cst_pool_state_reserve(pool, def, draft, error);
}

static gboolean commit(CstPoolState *pool, const char *name, CstVolDraft *draft, GError **error)
{
    g_autoptr(CstVolDef) def = fake_disk_def(name, FAKE_MIB, NULL);

    return cst_pool_state_commit(pool, draft, def, error);
}

static void assert_reserve_fails(CstPoolState *pool, const char *name, uint64_t bytes,
                                 const char *mark, int code, const char *words)
{
    g_auto(CstVolDraft) draft = {0};
    g_autoptr(GError) error = NULL;

    assert_false(reserve(pool, name, bytes, mark, &draft, &error));
    assert_says(&error, code, words);
}

/* Changes the table like another tool. */
static void change_behind_our_back(const DiskChange *change)
{
    int fd = g_open(fake_disk.file, O_RDONLY | O_CLOEXEC, 0);
    DiskTable *table = NULL;

    assert_true(disk_fdisk.read(fd, "/dev/sdx", &table, NULL));
    assert_true(disk_fdisk.change("/dev/sdx", table, change, NULL));
    disk_table_free(table);
    close(fd);
}

static DiskChange addition(guint number, guint from, guint to)
{
    return (DiskChange){.action = DISK_ADD,
                        .partition = {.number = number,
                                      .kind = DISK_PRIMARY,
                                      .start = from * FAKE_MIB,
                                      .end = to * FAKE_MIB,
                                      .mark = "none"}};
}

/* --- names ------------------------------------------------------------------------------------ */

static void assert_path(CstPoolState *pool, const char *name, const char *expected)
{
    g_autofree char *path = cst_pool_state_vol_path(pool, name);

    assert_string_equal(path, expected);
}

static void volume_has_the_name_of_the_kernel(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_assert_listed(pool, "sdx1=1-5");
    assert_path(pool, "sdx1", "/dev/sdx1");
    fake_disk.name = "nvme0n1";
    fake_disk_assert_listed(pool, "nvme0n1p1=1-5");
    assert_path(pool, "nvme0n1p1", "/dev/nvme0n1p1");
    assert_path(pool, "other", "/dev/other");
}

static void a_name_is_resolved_only_where_it_is_one(void **state)
{
    static const char *const others[] = {"/dev/sdx",   "/dev/sdx0",  "/dev/sdx01",
                                         "/dev/sdxp1", "/dev/sdy1",  "/srv/sdx1",
                                         "/dev/sdx1x", "/dev/sdx-1", "/dev/sdx99999"};
    g_autoptr(CstPoolState) pool = fake_disk_pool("gpt");
    g_autofree char *name = cst_pool_state_vol_resolve(pool, "/dev/sdx12");

    assert_string_equal(name, "sdx12");
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (cst_pool_state_vol_resolve(pool, others[i]))
            fail_msg("%s", others[i]);
}

/* The purpose of libvirt's part_separator. */
static void partitions_of_a_map_have_a_separator_by_default(void **state)
{
    static const struct {
        const char *mapped, *attribute, *node;
    } rows[] = {
        {"mpatha", "", "/dev/mapper/mpathap3"},
        {"mpatha", "part_separator='yes'", "/dev/mapper/mpathap3"},
        {"mpatha", "part_separator='no'", "/dev/mapper/mpatha3"},
        {"mpath1", "part_separator='no'", "/dev/mapper/mpath1p3"},
        {NULL, "part_separator='yes'", "/dev/sdx3"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = g_strdup_printf(
            "<pool type='disk'><name>d</name><source><device path='/dev/link' %s/></source>"
            "<target><path>/dev</path></target></pool>",
            rows[i].attribute);
        g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
        g_auto(DiskDevice) device = {0};
        g_autofree char *node = NULL, *name = NULL;

        fake_disk.mapped = rows[i].mapped;
        assert_true(disk_device_find(def, &device, NULL));
        node = disk_partition_node(&device, 3);
        assert_string_equal(node, rows[i].node);
        name = disk_partition_name(&device, 3);
        assert_int_equal(disk_number_of(&device, name), 3);
    }
}

static void device_that_is_not_a_disk_has_no_pool(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(GError) error = NULL;
    CstPoolUsage usage;

    fake_disk.type = "partition";
    assert_false(cst_pool_state_usage(pool, &usage, &error));
    assert_says(&error, CST_ERROR_INVALID, "no disk that can be partitioned");
    fake_disk.type = "disk";
    fake_disk.gone = TRUE;
    assert_false(cst_pool_state_usage(pool, &usage, &error));
    assert_says(&error, CST_ERROR_INVALID, "device path '/dev/link' doesn't exist");
}

/* --- making volumes --------------------------------------------------------------------------- */

static void volume_exists_from_its_commit_on(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_auto(CstVolDraft) draft = {0};

    assert_true(reserve(pool, "sdx1", 4 * FAKE_MIB + 1, NULL, &draft, NULL));
    assert_true(cst_blob_pwrite(draft.blob, "hello", 5, 2 * FAKE_MIB, NULL));
    fake_disk_assert_listed(pool, "");
    fake_disk_assert_shown("");
    assert_true(commit(pool, "sdx1", &draft, NULL));
    fake_disk_assert_listed(pool, "sdx1=1-5.00049");
    fake_disk_assert_shown("1=1-5.00049");
    assert_true(fake_disk_has(3 * FAKE_MIB, "hello"));
    /* The draft has ended, even for the holder of its blob. */
    assert_false(cst_blob_pwrite(draft.blob, "late", 4, 0, NULL));
    assert_true(fake_disk.settled > 0);
}

/* As in libvirt, but here no partition is made first. */
static void another_name_than_the_kernels_is_refused(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");

    assert_reserve_fails(pool, "mine", FAKE_MIB, NULL, CST_ERROR_INVALID,
                         "invalid partition name 'mine', expected 'sdx1'");
    assert_reserve_fails(pool, "sdx2", FAKE_MIB, NULL, CST_ERROR_INVALID, "expected 'sdx1'");
    fake_disk_make(pool, "sdx1", 1, NULL);
    assert_reserve_fails(pool, "sdx1", FAKE_MIB, NULL, CST_ERROR_INVALID, "expected 'sdx2'");
    fake_disk_assert_listed(pool, "sdx1=1-2");
}

static void impossible_partition_is_refused(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(CstVolDef) def = fake_disk_def("sdx1", FAKE_MIB, NULL);
    g_auto(CstVolDraft) draft = {.token = g_strdup("t")};
    g_autoptr(GError) error = NULL;

    assert_reserve_fails(pool, "sdx1", 0, NULL, CST_ERROR_INVALID, "no capacity");
    assert_reserve_fails(pool, "sdx1", FAKE_BYTES, NULL, CST_ERROR_NO_SPACE,
                         "no large enough free extent");
    assert_reserve_fails(pool, "sdx1", FAKE_MIB, "extended", CST_ERROR_INVALID,
                         "no extended partitions");
    def->backing = cst_backing_def_new("/dev/sdy1", NULL);
    assert_false(cst_pool_state_reserve(pool, def, &draft, &error));
    assert_says(&error, CST_ERROR_INVALID, "backing store");
    g_clear_pointer(&def->backing, cst_backing_def_free);
    def->encryption = cst_encryption_new(CST_ENCRYPTION_LUKS);
    assert_false(cst_pool_state_reserve(pool, def, &draft, &error));
    assert_says(&error, CST_ERROR_CONFIG, "encrypted");
    fake_disk_assert_listed(pool, "");
}

/* Two makers, each with its own state, like two processes. */
static void concurrent_creators_see_the_claims_of_each_other(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt"), other = fake_disk_pool("gpt");
    g_auto(CstVolDraft) one = {0}, two = {0}, three = {0};

    assert_true(reserve(pool, "sdx1", 4 * FAKE_MIB, NULL, &one, NULL));
    assert_reserve_fails(other, "sdx1", FAKE_MIB, NULL, CST_ERROR_INVALID, "expected 'sdx2'");
    assert_true(reserve(other, "sdx2", 4 * FAKE_MIB, NULL, &two, NULL));
    assert_reserve_fails(pool, "sdx3", 60 * FAKE_MIB, NULL, CST_ERROR_NO_SPACE, "no large enough");
    assert_true(commit(other, "sdx2", &two, NULL));
    fake_disk_assert_listed(pool, "sdx2=5-9");
    /* The space of an abandoned draft is free again. */
    cst_vol_draft_clear(&one);
    assert_true(reserve(other, "sdx1", 4 * FAKE_MIB, NULL, &three, NULL));
    assert_true(commit(other, "sdx1", &three, NULL));
    fake_disk_assert_listed(pool, "sdx1=1-5 sdx2=5-9");
    fake_disk_assert_shown("1=1-5 2=5-9");
}

static void logical_partitions_are_made_one_after_the_other(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("dos");
    g_auto(CstVolDraft) one = {0}, two = {0};

    for (guint i = 1; i <= 3; i++) {
        g_autofree char *name = g_strdup_printf("sdx%u", i);

        fake_disk_make(pool, name, 1, NULL);
    }
    fake_disk_make(pool, "sdx4", 40, "extended");
    fake_disk_assert_shown("1=1-2 2=2-3 3=3-4 4=4-4.00098");
    assert_true(reserve(pool, "sdx5", 4 * FAKE_MIB, NULL, &one, NULL));
    assert_reserve_fails(pool, "sdx6", FAKE_MIB, NULL, CST_ERROR_BUSY, "being made already");
    assert_true(commit(pool, "sdx5", &one, NULL));
    assert_true(reserve(pool, "sdx6", 4 * FAKE_MIB, NULL, &two, NULL));
    assert_true(commit(pool, "sdx6", &two, NULL));
    fake_disk_assert_listed(pool, "sdx1=1-2 sdx2=2-3 sdx3=3-4 sdx4=4-44 sdx5=5-9 sdx6=10-14");
}

static void partition_made_by_another_tool_during_a_commit_is_not_overwritten(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_auto(CstVolDraft) one = {0}, two = {0};
    g_autoptr(GError) error = NULL;
    DiskChange first = addition(1, 20, 30), second = addition(5, 1, 2);

    assert_true(reserve(pool, "sdx1", 4 * FAKE_MIB, NULL, &one, NULL));
    change_behind_our_back(&first);
    assert_false(commit(pool, "sdx1", &one, &error));
    assert_says(&error, CST_ERROR_VOL_EXISTS, "sdx1");
    cst_vol_draft_clear(&one);
    assert_true(reserve(pool, "sdx2", 4 * FAKE_MIB, NULL, &two, NULL));
    change_behind_our_back(&second);
    assert_false(commit(pool, "sdx2", &two, &error));
    assert_says(&error, CST_ERROR_BUSY, "another program has made a partition");
}

/* Only the signatures are removed. The other content stays, as on any new disk. */
static void old_signatures_are_wiped(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_auto(CstVolDraft) draft = {0};

    fake_disk_write(1 * FAKE_MIB + 1080, "old");
    fake_disk_write(4 * FAKE_MIB, "middle");
    fake_disk_write(8 * FAKE_MIB + 100, "end");
    fake_disk_write(9 * FAKE_MIB, "behind");
    assert_true(reserve(pool, "sdx1", 8 * FAKE_MIB, NULL, &draft, NULL));
    assert_true(fake_disk_has(1 * FAKE_MIB + 1080, ""));
    assert_false(fake_disk_has(1 * FAKE_MIB + 1080, "old"));
    assert_true(fake_disk_has(4 * FAKE_MIB, "middle"));
    assert_false(fake_disk_has(8 * FAKE_MIB + 100, "end"));
    assert_true(fake_disk_has(9 * FAKE_MIB, "behind"));
}

static void a_draft_ends_where_its_extent_does(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_auto(CstVolDraft) draft = {0};
    g_autoptr(GError) error = NULL;
    char bytes[8];

    fake_disk_write(5 * FAKE_MIB, "next");
    assert_true(reserve(pool, "sdx1", 4 * FAKE_MIB, NULL, &draft, NULL));
    assert_false(cst_blob_pwrite(draft.blob, "12345678", 8, 4 * FAKE_MIB - 4, &error));
    assert_says(&error, CST_ERROR_NO_SPACE, "ends before that");
    assert_false(cst_blob_pread(draft.blob, bytes, 8, 4 * FAKE_MIB - 4, NULL));
    assert_true(fake_disk_has(5 * FAKE_MIB, "next"));
}

static void disk_dry_run_creates_no_volume(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_auto(CstVolDraft) draft = {0};
    g_autoptr(GError) error = NULL;

    fake_disk_write(2 * FAKE_MIB, "kept");
    cst_dry_run_set(TRUE);
    assert_true(reserve(pool, "sdx1", 4 * FAKE_MIB, NULL, &draft, &error));
    cst_vol_draft_clear(&draft);
    assert_false(reserve(pool, "mine", 4 * FAKE_MIB, NULL, &draft, &error));
    cst_dry_run_set(FALSE);
    assert_says(&error, CST_ERROR_INVALID, "expected 'sdx1'");
    assert_true(fake_disk_has(2 * FAKE_MIB, "kept"));
    fake_disk_assert_listed(pool, "");
}

/* --- opening ---------------------------------------------------------------------------------- */

static void only_a_partition_that_the_kernel_shows_correctly_is_opened(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(GError) error = NULL;

    fake_disk_make(pool, "sdx1", 4, NULL);
    assert_null(cst_pool_state_vol_open(pool, "sdx2", FALSE, &error));
    assert_says(&error, CST_ERROR_NO_VOL, "sdx2");
    fake_disk_assert_listed(pool, "sdx1=1-5");
    g_array_index(fake_disk.shown, DiskShown, 0).start += 512;
    assert_null(cst_pool_state_vol_open(pool, "sdx1", FALSE, &error));
    assert_says(&error, CST_ERROR_STATE, "partx -u /dev/sdx");
    fake_disk_assert_listed(pool, "sdx1=1-5!");
    g_array_set_size(fake_disk.shown, 0);
    fake_disk_assert_listed(pool, "sdx1=1-5!");
}

static void an_extended_partition_has_no_content(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("dos");
    g_autoptr(GError) error = NULL;

    fake_disk_make(pool, "sdx1", 40, "extended");
    fake_disk_make(pool, "sdx2", 4, NULL);
    fake_disk_assert_listed(pool, "sdx1=1-41 sdx2=41-45");
    assert_null(cst_pool_state_vol_open(pool, "sdx1", FALSE, &error));
    assert_says(&error, CST_ERROR_UNSUPPORTED, "extended partition");
    assert_false(cst_pool_state_vol_check_wipe(pool, "sdx1", &error));
    assert_says(&error, CST_ERROR_NO_SUPPORT, "cannot wipe extended partition '/dev/sdx1'");
    assert_true(cst_pool_state_vol_check_wipe(pool, "sdx2", NULL));
    assert_false(cst_pool_state_vol_check_wipe(pool, "sdx3", &error));
    assert_says(&error, CST_ERROR_NO_VOL, "sdx3");
}

/* --- deleting --------------------------------------------------------------------------------- */

static void deleted_volume_is_removed_from_table_and_kernel(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_make(pool, "sdx2", 4, NULL);
    assert_true(cst_pool_state_delete(pool, "sdx1", 0, NULL));
    fake_disk_assert_listed(pool, "sdx2=5-9");
    fake_disk_assert_shown("2=5-9");
    assert_true(cst_pool_state_delete(pool, "sdx1", 0, NULL));
    assert_false(cst_pool_state_delete(pool, "sdx2", 4, NULL));
    fake_disk_assert_listed(pool, "sdx2=5-9");
}

/* Another program opened the partition after the check of the core. */
static void partition_in_use_is_kept(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(GError) error = NULL;

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk.busy = 1;
    assert_false(cst_pool_state_delete(pool, "sdx1", 0, &error));
    assert_says(&error, CST_ERROR_BUSY, "partition '/dev/sdx1' is in use");
    fake_disk_assert_listed(pool, "sdx1=1-5");
    fake_disk_assert_shown("1=1-5");
}

static CstPoolState *build_chain(void)
{
    CstPoolState *pool = fake_disk_build("dos");

    for (guint i = 1; i <= 3; i++) {
        g_autofree char *name = g_strdup_printf("sdx%u", i);

        fake_disk_make(pool, name, 1, NULL);
    }
    fake_disk_make(pool, "sdx4", 40, "extended");
    for (guint i = 5; i <= 7; i++) {
        g_autofree char *name = g_strdup_printf("sdx%u", i);

        fake_disk_make(pool, name, 4, NULL);
    }
    fake_disk_assert_listed(pool, "sdx1=1-2 sdx2=2-3 sdx3=3-4 sdx4=4-44 sdx5=5-9 sdx6=10-14 "
                                  "sdx7=15-19");
    return pool;
}

static void logical_partitions_after_a_deleted_one_are_renumbered(void **state)
{
    g_autoptr(CstPoolState) pool = build_chain();

    assert_true(cst_pool_state_delete(pool, "sdx5", 0, NULL));
    fake_disk_assert_listed(pool, "sdx1=1-2 sdx2=2-3 sdx3=3-4 sdx4=4-44 sdx5=10-14 sdx6=15-19");
    fake_disk_assert_shown("1=1-2 2=2-3 3=3-4 4=4-4.00098 5=10-14 6=15-19");
}

static void holder_of_a_partition_to_be_renumbered_is_named(void **state)
{
    g_autoptr(CstPoolState) pool = build_chain();
    g_autoptr(GError) error = NULL;

    fake_disk.held = "/dev/sdx7";
    assert_false(cst_pool_state_delete(pool, "sdx5", 0, &error));
    assert_says(&error, CST_ERROR_BUSY, "'sdx7' is in use: process 812 (dd)");
    fake_disk.held = "/dev/sdx5";
    assert_true(cst_pool_state_delete(pool, "sdx6", 0, NULL));
    fake_disk.held = "/dev/sdx6";
    assert_true(cst_pool_state_delete(pool, "sdx3", 0, NULL));
    fake_disk_assert_listed(pool, "sdx1=1-2 sdx2=2-3 sdx4=4-44 sdx5=5-9 sdx6=15-19");
}

/* The partitions that the kernel has already dropped are restored. */
static void failed_renumbering_keeps_all_partitions(void **state)
{
    g_autoptr(CstPoolState) pool = build_chain();
    g_autoptr(GError) error = NULL;

    fake_disk.busy = 7;
    assert_false(cst_pool_state_delete(pool, "sdx5", 0, &error));
    assert_says(&error, CST_ERROR_BUSY, "/dev/sdx7");
    fake_disk_assert_shown("1=1-2 2=2-3 3=3-4 4=4-4.00098 5=5-9 6=10-14 7=15-19");
}

static void extended_partition_is_deleted_only_when_it_is_empty(void **state)
{
    g_autoptr(CstPoolState) pool = build_chain();
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_delete(pool, "sdx4", 0, &error));
    assert_says(&error, CST_ERROR_BUSY, "holds 3 logical ones");
    assert_true(cst_pool_state_delete(pool, "sdx7", 0, NULL));
    assert_true(cst_pool_state_delete(pool, "sdx6", 0, NULL));
    assert_false(cst_pool_state_delete(pool, "sdx4", 0, &error));
    assert_says(&error, CST_ERROR_BUSY, "holds 1 logical one;");
    assert_true(cst_pool_state_delete(pool, "sdx5", 0, NULL));
    assert_true(cst_pool_state_delete(pool, "sdx4", 0, NULL));
    fake_disk_assert_listed(pool, "sdx1=1-2 sdx2=2-3 sdx3=3-4");
}

static void holders_of_a_volume_are_the_holders_of_its_node(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(GPtrArray) one = NULL, two = NULL;

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_make(pool, "sdx2", 4, NULL);
    fake_disk.held = "/dev/sdx2";
    one = cst_pool_state_vol_holders(pool, "sdx1", NULL);
    two = cst_pool_state_vol_holders(pool, "sdx2", NULL);
    assert_int_equal(one->len, 0);
    assert_int_equal(two->len, 1);
}

/* --- resizing --------------------------------------------------------------------------------- */

static void a_volume_is_resized_where_it_is(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_auto(CstVolDraft) draft = {0};
    g_autoptr(GError) error = NULL;

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_make(pool, "sdx2", 4, NULL);
    assert_false(cst_pool_state_vol_resize(pool, "sdx1", 4 * FAKE_MIB + 1, NULL, &error));
    assert_says(&error, CST_ERROR_NO_SPACE, "can grow to 4194304 bytes");
    assert_true(cst_pool_state_vol_resize(pool, "sdx2", 10 * FAKE_MIB, NULL, NULL));
    assert_true(cst_pool_state_vol_resize(pool, "sdx1", 2 * FAKE_MIB, NULL, NULL));
    fake_disk_assert_listed(pool, "sdx1=1-3 sdx2=5-15");
    fake_disk_assert_shown("1=1-3 2=5-15");
    assert_false(cst_pool_state_vol_resize(pool, "sdx2", 10 * FAKE_BYTES, NULL, &error));
    assert_says(&error, CST_ERROR_NO_SPACE, "smaller");
    assert_false(cst_pool_state_vol_resize(pool, "sdx3", FAKE_MIB, NULL, &error));
    assert_says(&error, CST_ERROR_NO_VOL, "sdx3");
    /* A claim of another operation after the volume limits its growth. */
    assert_true(reserve(pool, "sdx3", 3 * FAKE_MIB, NULL, &draft, NULL));
    assert_false(cst_pool_state_vol_resize(pool, "sdx2", 11 * FAKE_MIB, NULL, &error));
    assert_says(&error, CST_ERROR_NO_SPACE, "can grow to 10485760 bytes");
}

static void extended_partition_keeps_its_logical_partitions(void **state)
{
    g_autoptr(CstPoolState) pool = build_chain();
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_vol_resize(pool, "sdx4", 14 * FAKE_MIB, NULL, &error));
    assert_says(&error, CST_ERROR_INVALID, "needs 15728640 bytes");
    assert_true(cst_pool_state_vol_resize(pool, "sdx4", 15 * FAKE_MIB, NULL, NULL));
    assert_true(cst_pool_state_vol_resize(pool, "sdx4", 50 * FAKE_MIB, NULL, NULL));
    assert_true(cst_pool_state_vol_resize(pool, "sdx7", 20 * FAKE_MIB, NULL, NULL));
    fake_disk_assert_listed(pool, "sdx1=1-2 sdx2=2-3 sdx3=3-4 sdx4=4-54 sdx5=5-9 sdx6=10-14 "
                                  "sdx7=15-35");
}

/* --- udev ------------------------------------------------------------------------------------- */

/* Otherwise udev would make the kernel read the table, and all nodes would disappear briefly. */
static void partition_is_kept_open_until_udev_has_settled(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk.settled = fake_disk.unsettled = 0;
    fake_disk_make(pool, "sdx2", 4, NULL);
    assert_true(cst_pool_state_vol_resize(pool, "sdx2", 5 * FAKE_MIB, NULL, NULL));
    assert_true(cst_pool_state_delete(pool, "sdx2", 0, NULL));
    assert_int_equal(fake_disk.settled, 3);
    assert_int_equal(fake_disk.unsettled, 0);
}

/* Otherwise udev would probe all partitions again. For a new size the kernel's event suffices. */
static void udev_hears_of_no_writing_when_partitions_come_and_go(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");

    fake_disk.watched = fake_disk.aside = 0;
    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_make(pool, "sdx2", 4, NULL);
    assert_true(cst_pool_state_delete(pool, "sdx1", 0, NULL));
    assert_int_equal(fake_disk.watched, 0);
    assert_int_equal(fake_disk.aside, 5);
    assert_true(cst_pool_state_vol_resize(pool, "sdx2", 5 * FAKE_MIB, NULL, NULL));
    assert_int_equal(fake_disk.watched, 1);
    fake_disk_assert_listed(pool, "sdx2=5-10");
}

static int locked = -1; /* descriptor that holds the lock */

static void unlock(void)
{
    close(locked);
    locked = -1;
}

static void a_locked_disk_is_waited_for(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");

    locked = g_open(fake_disk.file, O_RDONLY | O_CLOEXEC, 0);
    assert_int_equal(flock(locked, LOCK_SH), 0);
    fake_disk.on_locked = unlock;
    fake_disk_make(pool, "sdx1", 4, NULL);
    assert_int_equal(locked, -1);
    fake_disk_assert_listed(pool, "sdx1=1-5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_disk_set_up, fake_disk_tear_down)
        TEST(volume_has_the_name_of_the_kernel),
        TEST(a_name_is_resolved_only_where_it_is_one),
        TEST(partitions_of_a_map_have_a_separator_by_default),
        TEST(device_that_is_not_a_disk_has_no_pool),
        TEST(volume_exists_from_its_commit_on),
        TEST(another_name_than_the_kernels_is_refused),
        TEST(impossible_partition_is_refused),
        TEST(concurrent_creators_see_the_claims_of_each_other),
        TEST(logical_partitions_are_made_one_after_the_other),
        TEST(partition_made_by_another_tool_during_a_commit_is_not_overwritten),
        TEST(old_signatures_are_wiped),
        TEST(a_draft_ends_where_its_extent_does),
        TEST(disk_dry_run_creates_no_volume),
        TEST(only_a_partition_that_the_kernel_shows_correctly_is_opened),
        TEST(an_extended_partition_has_no_content),
        TEST(deleted_volume_is_removed_from_table_and_kernel),
        TEST(partition_in_use_is_kept),
        TEST(logical_partitions_after_a_deleted_one_are_renumbered),
        TEST(holder_of_a_partition_to_be_renumbered_is_named),
        TEST(failed_renumbering_keeps_all_partitions),
        TEST(extended_partition_is_deleted_only_when_it_is_empty),
        TEST(holders_of_a_volume_are_the_holders_of_its_node),
        TEST(a_volume_is_resized_where_it_is),
        TEST(extended_partition_keeps_its_logical_partitions),
        TEST(partition_is_kept_open_until_udev_has_settled),
        TEST(udev_hears_of_no_writing_when_partitions_come_and_go),
        TEST(a_locked_disk_is_waited_for),
    };

    return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
