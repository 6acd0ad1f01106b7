/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a disk pool on a file: build, identity, repair after a crash. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
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

/* --- build ------------------------------------------------------------------------------------ */

static void a_disk_without_a_table_needs_a_build(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_pool("gpt");
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_start(pool, &error));
    assert_says(&error, CST_ERROR_PROBE, "Device '/dev/sdx' is unrecognized, requires build");
    assert_true(cst_pool_state_build(pool, 0, NULL));
    assert_true(cst_pool_state_start(pool, NULL));
}

/* libvirt's default for a definition without a format. */
static void a_label_that_is_not_named_is_dos(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("unknown"), other = fake_disk_pool("dos");

    assert_true(cst_pool_state_start(pool, NULL));
    assert_true(cst_pool_state_start(other, NULL));
}

static void another_table_than_the_definitions_is_refused(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt"), other = fake_disk_pool("dos");
    g_autoptr(CstPoolState) any = fake_disk_pool("unknown");
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_start(other, &error));
    assert_says(&error, CST_ERROR_STATE, "('gpt') does not match the expected format 'dos'");
    assert_true(cst_pool_state_start(any, NULL));
    assert_true(cst_pool_state_build(other, CST_POOL_BUILD_OVERWRITE, NULL));
    assert_true(cst_pool_state_start(other, NULL));
}

static void disk_with_content_is_not_built_without_overwrite(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt"), other = fake_disk_pool("dos");
    g_autoptr(GError) error = NULL;

    fake_disk_make(pool, "sdx1", 4, NULL);
    assert_false(cst_pool_state_build(pool, 0, &error));
    assert_says(&error, CST_ERROR_POOL_BUILT, "Device '/dev/sdx' already formatted using 'gpt'");
    assert_false(cst_pool_state_build(other, CST_POOL_BUILD_NO_OVERWRITE, &error));
    assert_says(&error, CST_ERROR_POOL_BUILT, "carries 'gpt'");
    assert_false(
        cst_pool_state_build(pool, CST_POOL_BUILD_OVERWRITE | CST_POOL_BUILD_NO_OVERWRITE, &error));
    assert_says(&error, CST_ERROR_USAGE, "exclusive");
    fake_disk_assert_listed(pool, "sdx1=1-5");
    assert_true(cst_pool_state_build(pool, CST_POOL_BUILD_OVERWRITE, NULL));
    fake_disk_assert_listed(pool, "");
    fake_disk_assert_shown("");
}

static void a_disk_in_use_is_never_built_on(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(GError) error = NULL;

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk.held = "/dev/sdx1";
    assert_false(cst_pool_state_build(pool, CST_POOL_BUILD_OVERWRITE, &error));
    assert_says(&error, CST_ERROR_BUSY, "'/dev/sdx1' is in use: process 812 (dd)");
    fake_disk.held = "/dev/sdx";
    assert_false(cst_pool_state_build(pool, CST_POOL_BUILD_OVERWRITE, &error));
    assert_says(&error, CST_ERROR_BUSY, "process 812 (dd)");
    fake_disk.held = NULL;
    fake_disk.busy = 1;
    assert_false(cst_pool_state_build(pool, CST_POOL_BUILD_OVERWRITE, &error));
    assert_says(&error, CST_ERROR_BUSY, "in use");
    fake_disk_assert_listed(pool, "sdx1=1-5");
}

static void label_that_no_tool_writes_is_refused(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_pool("lvm2");
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_build(pool, 0, &error));
    assert_says(&error, CST_ERROR_UNSUPPORTED, "'lvm2'");
    assert_false(cst_pool_state_start(pool, &error));
    assert_says(&error, CST_ERROR_UNSUPPORTED, "'lvm2'");
}

static void disk_dry_run_builds_no_table(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_pool("gpt");
    g_autoptr(GError) error = NULL;

    cst_dry_run_set(TRUE);
    assert_false(cst_pool_state_build(pool, 0, &error));
    cst_dry_run_set(FALSE);
    assert_says(&error, CST_ERROR_DRY_RUN, "");
    assert_false(cst_pool_state_start(pool, NULL));
}

static void deletion_of_a_pool_removes_its_partitions(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(GError) error = NULL;

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk.held = "/dev/sdx1";
    assert_false(cst_pool_state_destroy(pool, 0, &error));
    assert_says(&error, CST_ERROR_BUSY, "process 812 (dd)");
    fake_disk.held = NULL;
    fake_disk.busy = 1;
    assert_false(cst_pool_state_destroy(pool, 0, &error));
    assert_says(&error, CST_ERROR_BUSY, "in use");
    fake_disk.busy = 0;
    fake_disk_assert_listed(pool, "sdx1=1-5");
    assert_true(cst_pool_state_destroy(pool, 0, NULL));
    fake_disk_assert_shown("");
    assert_false(cst_pool_state_start(pool, &error));
    assert_says(&error, CST_ERROR_PROBE, "requires build");
    /* A disk that is not a pool of ours is not deleted either. */
    assert_false(cst_pool_state_destroy(pool, 0, &error));
    assert_says(&error, CST_ERROR_PROBE, "requires build");
}

/* --- properties ------------------------------------------------------------------------------- */

static void usage_and_document_report_the_free_space(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("unknown");
    g_autoptr(CstPoolDef) def = cst_pool_def_copy(pool->def);
    g_autofree char *xml = NULL;
    CstPoolUsage usage;

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_make(pool, "sdx2", 20, "extended");
    cst_pool_state_describe(pool, def);
    assert_null(((CstPoolDevice *)def->source.devices->pdata[0])->free_extents);
    assert_true(cst_pool_state_usage(pool, &usage, NULL));
    assert_int_equal(usage.capacity, FAKE_BYTES);
    assert_int_equal(usage.allocation, 4 * FAKE_MIB);
    assert_int_equal(usage.available, (20 + 39) * FAKE_MIB);
    cst_pool_state_describe(pool, def);
    xml = cst_pool_def_format(def, NULL);
    assert_non_null(strstr(xml, "<freeExtent start='5242880' end='26214400'/>"));
    assert_non_null(strstr(xml, "<freeExtent start='26214400' end='67108864'/>"));
    assert_non_null(strstr(xml, "<format type='dos'/>"));
}

static void record_equals_the_entry_of_the_table(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(CstVolume) volume = NULL, same = NULL, none = NULL;

    fake_disk_make(pool, "sdx1", 4, "linux-swap");
    assert_true(cst_pool_state_scan_one(pool, "sdx1", NULL, &volume, NULL));
    assert_string_equal(volume->format, "raw");
    assert_string_equal(volume->extra->mark, "linux-swap");
    assert_int_equal(volume->type, CST_VOL_BLOCK);
    assert_int_equal(volume->capacity, 4 * FAKE_MIB);
    assert_int_equal(volume->allocation, 4 * FAKE_MIB);
    assert_true(cst_pool_state_scan_one(pool, "sdx1", volume, &same, NULL));
    assert_ptr_equal(volume, same);
    assert_true(cst_pool_state_scan_one(pool, "sdx2", NULL, &none, NULL));
    assert_null(none);
}

/* --- identity --------------------------------------------------------------------------------- */

static void another_disk_is_refused(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt"), other = fake_disk_pool("gpt");
    g_autofree char *line = cst_pool_state_identity(pool, NULL);
    g_autoptr(GError) error = NULL;
    CstPoolUsage usage;

    assert_true(g_str_has_prefix(line, "id="));
    assert_true(g_str_has_suffix(line, " serial=S1\n"));
    assert_true(cst_pool_state_expect(other, line, FALSE, NULL));
    assert_true(cst_pool_state_usage(other, &usage, NULL));
    fake_disk.serial = "S2";
    assert_false(cst_pool_state_usage(other, &usage, &error));
    assert_says(&error, CST_ERROR_STATE, "serial number is 'S2', and was 'S1'");
    /* udev may not know the serial number yet. */
    fake_disk.serial = NULL;
    assert_true(cst_pool_state_usage(other, &usage, NULL));
    assert_true(cst_pool_state_build(pool, CST_POOL_BUILD_OVERWRITE, NULL));
    assert_false(cst_pool_state_usage(other, &usage, &error));
    assert_says(&error, CST_ERROR_STATE, "label's identifier");
    assert_false(cst_pool_state_delete(other, "sdx1", 0, &error));
    assert_says(&error, CST_ERROR_STATE, "another disk");
}

static void start_expects_the_present_disk(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autofree char *line = cst_pool_state_identity(pool, NULL);
    g_autoptr(GError) error = NULL;
    CstPoolUsage usage;

    assert_true(cst_pool_state_build(pool, CST_POOL_BUILD_OVERWRITE, NULL));
    assert_true(cst_pool_state_expect(pool, line, TRUE, NULL));
    assert_true(cst_pool_state_usage(pool, &usage, NULL));
    fake_disk.serial = "S2";
    assert_false(cst_pool_state_usage(pool, &usage, &error));
    assert_says(&error, CST_ERROR_STATE, "another disk");
}

/* A line without values matches any disk. */
static void malformed_line_expects_no_disk(void **state)
{
    static const char *const lines[] = {
        NULL, "", "\n", "id=", " serial=", "vg=x\n", "id= serial=\n"};
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        CstPoolUsage usage;

        assert_true(cst_pool_state_expect(pool, lines[i], FALSE, NULL));
        assert_true(cst_pool_state_usage(pool, &usage, NULL));
    }
}

static void started_pool_is_active_while_its_disk_exists(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_pool("gpt");
    gboolean active = TRUE;

    assert_true(cst_pool_state_check(pool, &active, NULL));
    assert_false(active);
    assert_true(cst_pool_state_expect(pool, NULL, FALSE, NULL));
    assert_true(cst_pool_state_check(pool, &active, NULL));
    assert_true(active);
    fake_disk.gone = TRUE;
    assert_true(cst_pool_state_check(pool, &active, NULL));
    assert_false(active);
}

/* --- after a crash ---------------------------------------------------------------------------- */

static void missed_changes_are_sent_to_the_kernel(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt"), other = fake_disk_pool("gpt");

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_make(pool, "sdx2", 4, NULL);
    /* The kernel has the partitions of the table before three changes. */
    g_array_index(fake_disk.shown, DiskShown, 0).size = FAKE_MIB;
    g_array_index(fake_disk.shown, DiskShown, 1) =
        (DiskShown){.number = 3, .start = 20 * FAKE_MIB, .size = FAKE_MIB};
    assert_true(cst_pool_state_abandon(other, "t", NULL));
    fake_disk_assert_shown("1=1-5 2=5-9");
    g_array_set_size(fake_disk.shown, 0);
    assert_true(cst_pool_state_settle(other, NULL));
    fake_disk_assert_shown("1=1-5 2=5-9");
}

/* After a killed delete, and during other deletes. */
static void the_first_scan_has_the_kernel_follow(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt"), other = fake_disk_pool("gpt");

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_make(pool, "sdx2", 4, NULL);
    g_array_set_size(fake_disk.shown, 0);
    fake_disk_assert_listed(other, "sdx1=1-5 sdx2=5-9");
    fake_disk_assert_shown("1=1-5 2=5-9");
    g_array_set_size(fake_disk.shown, 1);
    fake_disk_assert_listed(other, "sdx1=1-5 sdx2=5-9!");
    fake_disk_assert_shown("1=1-5");
}

/* A partition that is in use but not in the table does not prevent a start. */
static void partition_kept_by_the_kernel_does_not_fail_a_start(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");

    g_array_append_val(fake_disk.shown, ((DiskShown){3, 20 * FAKE_MIB, FAKE_MIB}));
    fake_disk.busy = 3;
    assert_true(cst_pool_state_settle(pool, NULL));
    fake_disk_assert_shown("3=20-21");
}

static void a_half_written_gpt_is_completed(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_write(512, "no header");
    fake_disk_assert_listed(pool, "sdx1=1-5");
    assert_true(cst_pool_state_settle(pool, NULL));
    assert_true(fake_disk_has(512, "EFI PART"));
    fake_disk_assert_listed(pool, "sdx1=1-5");
}

/* --- watch ------------------------------------------------------------------------------------ */

static void count(const char *name, gpointer counted)
{
    assert_null(name);
    (*(guint *)counted)++;
}

static guint changes(CstPoolState *pool, int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    guint counted = 0;

    while (poll(&poller, 1, 0) > 0)
        cst_pool_state_watch_read(pool, fd, count, &counted);
    return counted;
}

static void writer_of_the_disk_is_detected(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autofree char *folder = g_path_get_dirname(fake_disk.file);
    g_autofree char *own = g_build_filename(folder, "sdx9", NULL);
    g_autofree char *other = g_build_filename(folder, "sdy9", NULL);
    int fd = cst_pool_state_watch_open(pool, NULL);

    assert_true(fd >= 0);
    assert_int_equal(changes(pool, fd), 0);
    fake_disk_write(0, "");
    assert_int_equal(changes(pool, fd), 1);
    assert_true(fake_disk_has(0, ""));
    assert_int_equal(changes(pool, fd), 0);
    assert_true(g_file_set_contents(other, "", 0, NULL));
    g_unlink(other);
    assert_int_equal(changes(pool, fd), 0);
    close(g_open(own, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    g_unlink(own);
    assert_int_equal(changes(pool, fd), 1);
    close(fd);
}

/* --- cached reads ----------------------------------------------------------------------------- */

/* Looks up the volume like the core. Returns its size in MiB, or 0 if it does not exist. */
static guint looked_up(CstPoolState *pool, const char *name, CstVolume **known)
{
    CstVolume *volume = NULL;

    assert_true(cst_pool_state_scan_one(pool, name, *known, &volume, NULL));
    if (*known)
        cst_volume_unref(*known);
    *known = volume;
    return volume ? (guint)(volume->capacity / FAKE_MIB) : 0;
}

/* Changes partition @number like another tool, to a size of @mib MiB at offset 40 MiB. */
static void change_behind_our_back(DiskAction action, guint number, guint mib)
{
    const DiskChange change = {.action = action,
                               .partition = {.number = number,
                                             .kind = DISK_PRIMARY,
                                             .start = 40 * FAKE_MIB,
                                             .end = (40 + mib) * FAKE_MIB,
                                             .mark = "none"}};
    int fd = g_open(fake_disk.file, O_RDONLY | O_CLOEXEC, 0);
    DiskTable *table = NULL;

    assert_true(disk_fdisk.read(fd, "/dev/sdx", &table, NULL));
    assert_true(disk_fdisk.change("/dev/sdx", table, &change, NULL));
    disk_table_free(table);
    close(fd);
}

static void the_disk_is_read_once_for_all_its_volumes(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(CstVolume) first = NULL, second = NULL;
    guint opened;

    fake_disk_make(pool, "sdx1", 4, NULL);
    fake_disk_make(pool, "sdx2", 8, NULL);
    disk_seen_us = G_MAXINT64;
    assert_int_equal(looked_up(pool, "sdx1", &first), 4);
    assert_int_equal(looked_up(pool, "sdx2", &second), 8);
    opened = fake_disk.opened;
    assert_int_equal(looked_up(pool, "sdx1", &first), 4);
    assert_int_equal(looked_up(pool, "sdx2", &second), 8);
    assert_int_equal(fake_disk.opened, opened);
    disk_seen_us = 0;
    assert_int_equal(looked_up(pool, "sdx1", &first), 4);
    assert_int_equal(fake_disk.opened, opened + 1);
    disk_seen_us = G_TIME_SPAN_SECOND;
}

static void our_own_changes_are_seen_at_once(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(CstVolume) first = NULL, second = NULL;

    disk_seen_us = G_MAXINT64;
    fake_disk_make(pool, "sdx1", 4, NULL);
    assert_int_equal(looked_up(pool, "sdx1", &first), 4);
    assert_int_equal(looked_up(pool, "sdx2", &second), 0);
    fake_disk_make(pool, "sdx2", 4, NULL);
    assert_int_equal(looked_up(pool, "sdx2", &second), 4);
    assert_true(cst_pool_state_vol_resize(pool, "sdx2", 6 * FAKE_MIB, NULL, NULL));
    assert_int_equal(looked_up(pool, "sdx2", &second), 6);
    assert_true(cst_pool_state_delete(pool, "sdx1", 0, NULL));
    assert_int_equal(looked_up(pool, "sdx1", &first), 0);
    disk_seen_us = G_TIME_SPAN_SECOND;
}

static void changes_of_other_processes_are_seen_with_their_event(void **state)
{
    g_autoptr(CstPoolState) pool = fake_disk_build("gpt");
    g_autoptr(CstVolume) volume = NULL;
    int fd = cst_pool_state_watch_open(pool, NULL);

    disk_seen_us = G_MAXINT64;
    assert_int_equal(looked_up(pool, "sdx1", &volume), 0);
    change_behind_our_back(DISK_ADD, 1, 4);
    /* An unknown volume is always read from the disk. */
    assert_int_equal(looked_up(pool, "sdx1", &volume), 4);
    change_behind_our_back(DISK_RESIZE, 1, 8);
    fake_disk_write(60 * FAKE_MIB, "");
    assert_int_equal(changes(pool, fd), 1);
    assert_int_equal(looked_up(pool, "sdx1", &volume), 8);
    disk_seen_us = G_TIME_SPAN_SECOND;
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_disk_set_up, fake_disk_tear_down)
        TEST(a_disk_without_a_table_needs_a_build),
        TEST(a_label_that_is_not_named_is_dos),
        TEST(another_table_than_the_definitions_is_refused),
        TEST(disk_with_content_is_not_built_without_overwrite),
        TEST(a_disk_in_use_is_never_built_on),
        TEST(label_that_no_tool_writes_is_refused),
        TEST(disk_dry_run_builds_no_table),
        TEST(deletion_of_a_pool_removes_its_partitions),
        TEST(usage_and_document_report_the_free_space),
        TEST(record_equals_the_entry_of_the_table),
        TEST(another_disk_is_refused),
        TEST(start_expects_the_present_disk),
        TEST(malformed_line_expects_no_disk),
        TEST(started_pool_is_active_while_its_disk_exists),
        TEST(missed_changes_are_sent_to_the_kernel),
        TEST(the_first_scan_has_the_kernel_follow),
        TEST(partition_kept_by_the_kernel_does_not_fail_a_start),
        TEST(a_half_written_gpt_is_completed),
        TEST(writer_of_the_disk_is_detected),
        TEST(the_disk_is_read_once_for_all_its_volumes),
        TEST(our_own_changes_are_seen_at_once),
        TEST(changes_of_other_processes_are_seen_with_their_event),
    };

    return cmocka_run_group_tests_name("disk pool", tests, NULL, NULL);
}
