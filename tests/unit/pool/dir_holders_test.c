/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holders of one volume and of many volumes of a directory: searches, limits, cancellation. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file_users.h>
#include <pool/pool.h>

#include "tree.h"

#define BUSY_VOLUMES 20

static CstPoolState *pool; /* directory "pool" */
static pid_t child;        /* 0: none */
/* The volumes, and a descriptor of each, which children inherit. */
static char names[BUSY_VOLUMES][8];
static const char *listed[BUSY_VOLUMES];
static int fds[BUSY_VOLUMES];

/* Whether each search of /proc fails as if its index were full. */
static gboolean limited;

gboolean __real_cst_file_users_search(CstFileUsers *users, CstTask *task, GError **error);
gboolean __wrap_cst_file_users_search(CstFileUsers *users, CstTask *task, GError **error);

gboolean __wrap_cst_file_users_search(CstFileUsers *users, CstTask *task, GError **error)
{
    return limited ? cst_fail(error, CST_ERROR_LIMIT, "full")
                   : __real_cst_file_users_search(users, task, error);
}

/* Volumes with even numbers are locked as by QEMU, and open for reading. The test writes others. */
static void busy_volume_open(guint i)
{
    g_autofree char *name = g_strconcat("pool/", names[i], NULL);
    g_autofree char *path = at(name);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1};

    put(name, "content");
    fds[i] = open(path, (i % 2 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    assert_true(fds[i] >= 0);
    if (i % 2 == 0)
        assert_int_equal(fcntl(fds[i], F_OFD_SETLK, &lock), 0);
}

static int set_up(void **unused)
{
    g_autofree char *xml = NULL;
    g_autoptr(CstPoolDef) def = NULL;

    root = g_dir_make_tmp("cistern-holders-XXXXXX", NULL);
    make_dir("pool", 0700);
    put("pool/disk", "now");
    xml = g_strdup_printf(
        "<pool type='dir'><name>p</name><target><path>%s/pool</path></target></pool>", root);
    def = cst_pool_def_parse(xml, 0, NULL);
    pool = cst_pool_state_open(def, NULL, NULL);
    for (guint i = 0; i < BUSY_VOLUMES; i++) {
        g_snprintf(names[i], sizeof(names[i]), "busy%02u", i);
        listed[i] = names[i];
        busy_volume_open(i);
    }
    return 0;
}

static void child_end(void)
{
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    child = 0;
}

static void busy_volumes_close(void)
{
    for (guint i = 0; i < BUSY_VOLUMES; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

static int tear_down(void **unused)
{
    limited = FALSE;
    child_end();
    busy_volumes_close();
    cst_pool_state_unref(pool);
    remove_tree();
    return 0;
}

/* Starts a process that opens all volumes for writing. The descriptors of the test are closed. */
static void writer_start(gpointer unused)
{
    int ready[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        gboolean opened = TRUE;

        for (guint i = 0; i < BUSY_VOLUMES; i++) {
            g_autofree char *name = g_strconcat("pool/", names[i], NULL);
            g_autofree char *path = at(name);

            opened = opened && open(path, O_RDWR | O_CLOEXEC) >= 0;
        }
        if (opened && write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
}

static void users_end(gpointer unused)
{
    child_end();
    busy_volumes_close();
}

/* Starts a process that inherits the descriptors of all volumes. */
static void child_start(void)
{
    child = fork();
    if (child == 0) {
        pause();
        _exit(1);
    }
    assert_true(child > 0);
}

static const CstHolder *only_holder(const GPtrArray *holders)
{
    assert_non_null(holders);
    assert_int_equal(holders->len, 1);
    return holders->pdata[0];
}

/* --- many volumes ----------------------------------------------------------------------------- */

static void one_search_of_proc_is_for_all_volumes_of_a_list(void **unused)
{
    g_autoptr(GPtrArray) lists = NULL;

    child_start();
    point_watch("file.users.search");
    lists = cst_pool_state_vols_holders(pool, listed, BUSY_VOLUMES, NULL, NULL);
    assert_non_null(lists);
    assert_int_equal(point_passed("file.users.search"), 1);
    points_clear();
    for (guint i = 0; i < BUSY_VOLUMES; i++)
        assert_int_equal(only_holder(lists->pdata[i])->pid, child);
}

/* The former users end before the search, and the new user is found by a second search. */
static void user_that_appears_after_the_search_has_its_name(void **unused)
{
    g_autoptr(GPtrArray) lists = NULL;

    child_start();
    point_watch("file.users.search");
    point_run("dir.holders.asked", users_end, NULL);
    point_run("dir.holders.searched", writer_start, NULL);
    lists = cst_pool_state_vols_holders(pool, listed, BUSY_VOLUMES, NULL, NULL);
    assert_non_null(lists);
    assert_int_equal(point_passed("file.users.search"), 2);
    points_clear();
    for (guint i = 0; i < BUSY_VOLUMES; i++)
        assert_int_equal(only_holder(lists->pdata[i])->pid, child);
}

static void list_without_busy_volumes_costs_no_search(void **unused)
{
    const char *const one[] = {"disk"};
    g_autoptr(GPtrArray) idle = NULL, busy = NULL;

    point_watch("file.users.search");
    idle = cst_pool_state_vols_holders(pool, one, 1, NULL, NULL);
    assert_non_null(idle);
    assert_int_equal(point_passed("file.users.search"), 0);
    busy = cst_pool_state_vols_holders(pool, listed, 1, NULL, NULL);
    assert_int_equal(point_passed("file.users.search"), 1);
    points_clear();
}

static void busy_volumes_of_a_list_are_unknown_if_the_index_is_full(void **unused)
{
    const char *const two[] = {"disk", "busy00", "busy01"};
    g_autoptr(GPtrArray) lists = NULL;
    g_autoptr(GError) error = NULL;

    child_start();
    limited = TRUE;
    lists = cst_pool_state_vols_holders(pool, two, 3, NULL, &error);
    assert_non_null(lists);
    assert_int_equal(((const GPtrArray *)lists->pdata[0])->len, 0);
    assert_null(lists->pdata[1]);
    assert_null(lists->pdata[2]);
}

static void cancel_task(gpointer task)
{
    cst_task_cancel(task);
}

static void list_that_is_cancelled_before_the_search_fails(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GPtrArray) lists = NULL;
    g_autoptr(GError) error = NULL;

    point_run("dir.holders.asked", cancel_task, task);
    lists = cst_pool_state_vols_holders(pool, listed, BUSY_VOLUMES, task, &error);
    assert_null(lists);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
    points_clear();
}

static void list_of_an_exchanged_directory_fails(void **unused)
{
    g_autoptr(GPtrArray) lists = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *from = at("pool"), *to = at("away");

    assert_int_equal(rename(from, to), 0);
    lists = cst_pool_state_vols_holders(pool, listed, 1, NULL, &error);
    assert_null(lists);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND));
    assert_non_null(strstr(error->message, "pool"));
}

/* --- one volume ------------------------------------------------------------------------------- */

/* A deletion must not succeed because the user of the volume was not found. */
static void busy_volume_has_an_unnamed_holder_if_the_index_is_full(void **unused)
{
    child_start();
    busy_volumes_close();
    limited = TRUE;
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GPtrArray) holders = cst_pool_state_vol_holders(pool, listed[i], NULL);
        g_autoptr(GPtrArray) lists = cst_pool_state_vols_holders(pool, &listed[i], 1, NULL, NULL);

        assert_int_equal(only_holder(holders)->pid, 0);
        assert_non_null(lists);
        assert_int_equal(only_holder(lists->pdata[0])->pid, 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_search_of_proc_is_for_all_volumes_of_a_list),
        TEST(user_that_appears_after_the_search_has_its_name),
        TEST(list_without_busy_volumes_costs_no_search),
        TEST(busy_volumes_of_a_list_are_unknown_if_the_index_is_full),
        TEST(list_that_is_cancelled_before_the_search_fails),
        TEST(list_of_an_exchanged_directory_fails),
        TEST(busy_volume_has_an_unnamed_holder_if_the_index_is_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
