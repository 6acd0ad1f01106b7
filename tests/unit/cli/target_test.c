/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New images and their names. An image exists durably with all its parts, or does not exist. A
 * file that was created at the same time is not overwritten.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "points.h"
#include "session.h"

/* --- system calls ----------------------------------------------------------------------------- */

/* Linked with --wrap for these. */
static GString *calls;    /* "sync far rename a ": the syncs and renames, in order */
static int fault_at;      /* so many renames work before one fails; -1: all do */
static int fault_errno;   /* with this error; 0: another process creates the file first */
static gboolean no_flags; /* renaming supports no flags, as on some network file systems */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags);

static void note(const char *what, const char *path)
{
    g_autofree char *name = g_path_get_basename(path);

    g_string_append_printf(calls, "%s %s ", what, name);
}

static void note_sync(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = g_file_read_link(link, NULL);

    note("sync", path);
}

int __wrap_fsync(int fd)
{
    note_sync(fd);
    return __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
    note_sync(fd);
    return __real_fdatasync(fd);
}

int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    if (fault_at-- == 0) {
        errno = fault_errno;
        if (errno)
            return -1;
        assert_true(g_file_set_contents(new, "theirs", -1, NULL));
    }
    if (no_flags && flags) {
        errno = EINVAL;
        return -1;
    }
    note("rename", new);
    return __real_renameat2(from, old, to, new, flags);
}

static gboolean keeps_directories; /* no directory can be removed */

int __real_unlinkat(int dirfd, const char *name, int flags);
int __wrap_unlinkat(int dirfd, const char *name, int flags);

int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
    if (!keeps_directories || !(flags & AT_REMOVEDIR))
        return __real_unlinkat(dirfd, name, flags);
    errno = EIO;
    return -1;
}

/* --- the folder ------------------------------------------------------------------------------- */

static char *folder;

static char *output_of(const char *command)
{
    const char *const argv[] = {"sh", "-c", command, NULL};
    char *text = NULL;

    assert_true(g_spawn_sync(folder, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text,
                             NULL, NULL, NULL));
    return text;
}

static void assert_files(const char *expected)
{
    g_autofree char *files = output_of("find . -mindepth 1 -printf '%P ' | tr ' ' '\\n' | sort | "
                                       "tr '\\n' ' '");

    assert_string_equal(g_strstrip(files), expected);
}

static int set_up(void **state)
{
    folder = g_dir_make_tmp("cli-target-XXXXXX", NULL);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("far", 0700), 0);
    calls = g_string_new(NULL);
    fault_at = -1;
    fault_errno = 0;
    no_flags = FALSE;
    return session_setup(state);
}

static int tear_down(void **state)
{
    g_free(output_of("find . -mindepth 1 -delete"));
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(folder), 0);
    g_free(folder);
    g_string_free(calls, TRUE);
    return session_teardown(state);
}

/* Asserts that the calls happened in this order; other calls may lie between them. */
static void assert_order(const char *const *expected)
{
    const char *at = calls->str;

    for (; at && *expected; expected++) {
        at = strstr(at, *expected);
        if (at)
            at += strlen(*expected);
        else
            fail_msg("no '%s' where it should be: %s", *expected, calls->str);
    }
}

#define IN_ORDER(...) assert_order((const char *const[]){__VA_ARGS__, NULL})

static void an_image_has_its_name_when_all_else_is_durable(void **state)
{
    g_autofree char *last = g_path_get_basename(folder), *here = NULL;

    here = g_strdup_printf("sync %s ", last);
    says(state, "image-create -f qcow2 a 1M -o data_file=far/a.raw", CST_EXIT_OK,
         "Image a created\n\n", "");
    IN_ORDER("sync a.raw ", "sync far ", "rename a ", here);
    assert_files("a far far/a.raw");
    g_string_truncate(calls, 0);
    says(state, "image-create -f vmdk b.vmdk 1M -o subformat=monolithicFlat", CST_EXIT_OK,
         "Image b.vmdk created\n\n", "");
    IN_ORDER("rename b-flat.vmdk ", "rename b.vmdk ", here);
}

static void conversion_with_unsafe_cache_syncs_neither_files_nor_directories(void **state)
{
    says(state, "image-create -f raw a 1M", CST_EXIT_OK, "Image a created\n\n", "");
    g_string_truncate(calls, 0);
    session_run(*state, "image-convert -t unsafe -O qcow2 -o data_file=far/b.raw a b");
    assert_int_equal(((Session *)*state)->status, CST_EXIT_OK);
    session_run(*state, "image-convert -t unsafe -O vmdk -o subformat=monolithicFlat a c.vmdk");
    assert_int_equal(((Session *)*state)->status, CST_EXIT_OK);
    assert_null(strstr(calls->str, "sync "));
    assert_files("a b c-flat.vmdk c.vmdk far far/b.raw");
    session_run(*state, "image-convert -t writeback -O qcow2 a d");
    assert_non_null(strstr(calls->str, "sync d "));
}

static void file_created_at_the_same_time_is_not_overwritten(void **state)
{
    for (int i = 0; i < 2; i++) {
        g_autofree char *content = NULL;

        no_flags = i == 1;
        fault_at = 0;
        says(state, "image-create -f qcow2 a 1M -o data_file=far/a.raw",
             i ? CST_EXIT_FAILED : CST_EXIT_CONFLICT, "\n",
             i ? "error: Failed to create image a\n"
                 "error: cannot create 'a': Invalid argument\n"
               : "error: Failed to create image a\n"
                 "error: operation failed: 'a' was created by another program in the meantime, and "
                 "was not overwritten\n");
        assert_true(g_file_get_contents("a", &content, NULL, NULL));
        assert_string_equal(content, "theirs");
        assert_files("a far");
        assert_int_equal(unlink("a"), 0);
    }
}

static void names_are_given_without_flags_of_renaming(void **state)
{
    no_flags = TRUE;
    says(state, "image-create -f raw a 1M", CST_EXIT_OK, "Image a created\n\n", "");
    assert_files("a far");
}

/* Whichever part could not be named. */
static void of_an_image_that_fails_no_part_is_left(void **state)
{
    for (int i = 0; i < 2; i++) {
        fault_at = i;
        fault_errno = EIO;
        session_run(*state, "image-create -f vmdk a.vmdk 1M -o subformat=monolithicFlat");
        assert_int_not_equal(((Session *)*state)->status, CST_EXIT_OK);
        assert_non_null(strstr(((Session *)*state)->err, "Input/output error"));
        assert_files("far");
    }
}

static void exchange_part(gpointer data)
{
    assert_int_equal(rename("a-flat.vmdk", "ours"), 0);
    assert_true(g_file_set_contents("a-flat.vmdk", "theirs", -1, NULL));
}

static void a_part_that_was_exchanged_is_not_removed_after_a_failure(void **state)
{
    fault_at = 1;
    fault_errno = EIO;
    point_run("image.target.undo", exchange_part, NULL);
    session_run(*state, "image-create -f vmdk a.vmdk 1M -o subformat=monolithicFlat");
    assert_int_not_equal(((Session *)*state)->status, CST_EXIT_OK);
    assert_files("a-flat.vmdk far ours");
    points_clear();
}

static void a_replaced_file_keeps_its_mode_without_set_user_id(void **state)
{
    struct stat st;

    assert_true(g_file_set_contents("a", "old", -1, NULL));
    assert_int_equal(chmod("a", 06755), 0);
    session_run(*state, "image-create -f raw a 1M --yes");
    assert_int_equal(((Session *)*state)->status, CST_EXIT_OK);
    assert_int_equal(stat("a", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_size, 1 << 20);
}

/* After a success and after a failure. The files in it are removed. */
static void draft_directory_that_remains_is_named(void **state)
{
    for (int i = 0; i < 2; i++) {
        g_autofree char *left = NULL, *warning = NULL;

        fault_at = i ? 0 : -1;
        fault_errno = ENOSPC;
        keeps_directories = TRUE;
        session_run(*state, "image-create -f raw a 1M");
        keeps_directories = FALSE;
        assert_int_equal(((Session *)*state)->status, i ? CST_EXIT_FAILED : CST_EXIT_OK);
        left = output_of("echo -n .cistern-*");
        warning = g_strdup_printf("warning: cannot remove directory './%s' (remove it by hand): "
                                  "Input/output error\n",
                                  left);
        assert_non_null(strstr(((Session *)*state)->err, warning));
        assert_int_equal(rmdir(left), 0);
        assert_files(i ? "far" : "a far");
        (void)unlink("a");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_image_has_its_name_when_all_else_is_durable),
        TEST(conversion_with_unsafe_cache_syncs_neither_files_nor_directories),
        TEST(file_created_at_the_same_time_is_not_overwritten),
        TEST(names_are_given_without_flags_of_renaming),
        TEST(of_an_image_that_fails_no_part_is_left),
        TEST(a_part_that_was_exchanged_is_not_removed_after_a_failure),
        TEST(draft_directory_that_remains_is_named),
        TEST(a_replaced_file_keeps_its_mode_without_set_user_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
