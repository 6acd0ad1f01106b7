/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks and the tools that run over them, with tools that a test has put into PATH. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>

#include "disk.h"

static char *dir;

static int setup(void **state)
{
    g_autofree char *path = NULL;

    dir = g_dir_make_tmp("cst-guest-XXXXXX", NULL);
    path = g_strdup_printf("%s:/usr/sbin:/usr/bin:/sbin:/bin", dir);
    g_setenv("PATH", path, TRUE);
    return chmod(dir, 0755);
}

static int teardown(void **state)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", dir);

    g_clear_pointer(&dir, g_free);
    return system(command);
}

static void tool(const char *name, const char *script)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *text = g_strdup_printf("#!/bin/sh\n%s\n", script);

    assert_true(g_file_set_contents(path, text, -1, NULL));
    assert_int_equal(chmod(path, 0755), 0);
}

static CstGuestDisk *new_disk(void)
{
    CstGuestDisk *disk = cst_guest_disk_new(dir, 4096, 0, NULL);

    assert_non_null(disk);
    assert_true(cst_blob_pwrite(cst_guest_disk_blob(disk), "content", 7, 0, NULL));
    return disk;
}

/* If root cannot drop its privileges (in a container), no tool runs and the verdict reports it. */
static gboolean can_be_confined(CstGuestDisk *disk)
{
    const char *const argv[] = {"true", NULL};
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    if (guest_disk_run(disk, argv, NULL, &result, &error))
        return TRUE;
    assert_int_equal(cst_error_code(error), CST_ERROR_DENIED);
    return FALSE;
}

static void a_disk_has_no_name(void **state)
{
    g_autoptr(CstGuestDisk) disk = new_disk();
    uint64_t size;

    assert_true(cst_blob_get_size(cst_guest_disk_blob(disk), &size, NULL));
    assert_int_equal(size, 4096);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(mkdir(dir, 0755), 0);
}

static void a_disk_that_does_not_fit_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_guest_disk_new(dir, 4096, UINT64_C(1) << 60, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_NO_SPACE);
    g_clear_error(&error);
    assert_null(cst_guest_disk_new("/nonexistent", 4096, 0, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_NOT_FOUND);
}

static void a_tool_reads_and_writes_the_disk(void **state)
{
    g_autoptr(CstGuestDisk) disk = new_disk();
    const char *const argv[] = {"mine", GUEST_DISK_PATH, NULL};
    g_auto(CstChildResult) result = {0};
    char byte;

    if (!can_be_confined(disk))
        skip();
    tool("mine", "head -c 7 \"$1\"; printf C | dd of=\"$1\" conv=notrunc 2>/dev/null; pwd; env");
    assert_true(guest_disk_run(disk, argv, NULL, &result, NULL));
    assert_true(g_str_has_prefix(result.out, "content/\n"));
    assert_null(strstr(result.out, "HOME="));
    assert_true(cst_blob_pread(cst_guest_disk_blob(disk), &byte, 1, 0, NULL));
    assert_int_equal(byte, 'C');
}

static void disk_without_a_table_is_checked_as_a_whole(void **state)
{
    g_autoptr(CstGuestDisk) disk = new_disk();
    g_autoptr(GPtrArray) parts = NULL;
    const CstGuestPart *part;

    if (!can_be_confined(disk))
        skip();
    tool("partx", "exit 1");
    tool("blkid", "echo TYPE=ext4; echo USAGE=filesystem");
    tool("e2fsck", "case $1 in -y) echo x: recovering journal;; esac; exit 0");
    parts = cst_guest_disk_check(disk, NULL, NULL);
    part = parts->pdata[0];
    assert_int_equal(parts->len, 1);
    assert_int_equal(part->number, 0);
    assert_string_equal(part->type, "ext4");
    assert_int_equal(part->verdict, CST_GUEST_SOUND);
    assert_string_equal(part->detail, "journal to be replayed; sound after that");
}

static void assert_verdict(CstGuestDisk *disk, CstGuestVerdict verdict, const char *detail)
{
    g_autoptr(GPtrArray) parts = cst_guest_disk_check(disk, NULL, NULL);
    const CstGuestPart *part = parts->pdata[0];

    assert_int_equal(parts->len, 1);
    assert_string_equal(part->detail, detail);
    assert_int_equal(part->verdict, verdict);
}

static void misbehaving_tool_is_no_proof(void **state)
{
    g_autoptr(CstGuestDisk) disk = new_disk();

    if (!can_be_confined(disk))
        skip();
    tool("partx", "echo nonsense");
    assert_verdict(disk, CST_GUEST_DAMAGED, "the partitions can't be read");
    tool("partx", "exit 137");
    assert_verdict(disk, CST_GUEST_UNPROVEN, "partx was killed by signal 9");
    tool("partx", "exec yes");
    assert_verdict(disk, CST_GUEST_DAMAGED, "'partx' printed more than 1048576 bytes");
    tool("partx", "exit 1");
    tool("blkid", "exit 137");
    assert_verdict(disk, CST_GUEST_UNPROVEN, "blkid was killed by signal 9");
}

static void content_that_blkid_does_not_know_is_not_damage(void **state)
{
    g_autoptr(CstGuestDisk) disk = new_disk();
    static const char *const cases[][2] = {
        {"exit 2", "no known content"},
        {"exit 8", "signatures of several things"},
        {"echo TYPE=swap; echo USAGE=other", "not looked into"},
        {"echo TYPE=minix; echo USAGE=filesystem", "not looked into"},
        {"exit 0", "not looked into"},
    };

    if (!can_be_confined(disk))
        skip();
    tool("partx", "exit 0");
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) parts = NULL;
        const CstGuestPart *part;

        tool("blkid", cases[i][0]);
        parts = cst_guest_disk_check(disk, NULL, NULL);
        part = parts->pdata[0];
        assert_int_equal(part->verdict, CST_GUEST_UNKNOWN);
        assert_string_equal(part->detail, cases[i][1]);
    }
}

static void a_check_can_be_cancelled(void **state)
{
    g_autoptr(CstGuestDisk) disk = new_disk();
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    cst_task_cancel(task);
    assert_null(cst_guest_disk_check(disk, task, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_CANCELLED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_disk_has_no_name),
        TEST(a_disk_that_does_not_fit_is_refused),
        TEST(a_tool_reads_and_writes_the_disk),
        TEST(disk_without_a_table_is_checked_as_a_whole),
        TEST(misbehaving_tool_is_no_proof),
        TEST(content_that_blkid_does_not_know_is_not_damage),
        TEST(a_check_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
