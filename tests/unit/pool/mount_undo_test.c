/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unmounting, mounts that change at the same time, and the identity of the file system. */
#include "mount_tools.h"

#include <fcntl.h>
#include <stdio.h>

#include "points.h"

static CstPoolState *pool;

static int set_up_pool(void **state)
{
    set_up(state);
    pool = open_pool(NFS, "", NULL);
    assert_started(pool);
    /* In the next process the mount also belongs to the pool. */
    cst_netfs_backend.close(pool);
    pool = open_pool(NFS, "", NULL);
    put("log", "");
    return 0;
}

static int tear_down_pool(void **state)
{
    cst_netfs_backend.close(pool);
    return tear_down(state);
}

static void assert_stopped(void)
{
    g_autoptr(GError) error = NULL;

    if (!cst_netfs_backend.stop(pool, &error))
        fail_msg("%s", error->message);
    assert_false(is_mounted());
}

static void assert_no_stop(int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_netfs_backend.stop(pool, &error));
    if (!g_error_matches(error, CST_ERROR, code) || !strstr(error->message, words))
        fail_msg("%d: %s", error->code, error->message);
    assert_true(is_mounted());
}

static void assert_log(const char *expected)
{
    g_autofree char *log = get("log");

    assert_string_equal(log, expected);
}

/* Returns the lines "umount -c HOW ROOT/m". */
static char *umounts(const char *how, const char *then)
{
    g_autofree char *second = then ? g_strdup_printf("umount -c%s %s/m\n", then, root) : NULL;

    return g_strdup_printf("umount -c%s %s/m\n%s", how, root, second ? second : "");
}

/* --- mounts that change at the same time ------------------------------------------------------ */

static void mount_another(gpointer unused)
{
    g_autofree char *row =
        g_strdup_printf("999999971 1 0:51 / %s/m rw - nfs srv:/other rw\n", root);

    put("mountinfo", row);
}

static void unmount_elsewhere(gpointer unused)
{
    put("mountinfo", "");
}

/* Another program has unmounted it, and mounted another file system there. */
static void mount_replaced_during_a_stop_is_kept(void **state)
{
    for (int is_silent = FALSE; is_silent <= TRUE; is_silent++) {
        silent = is_silent;
        point_run("mount.undo", mount_another, NULL);
        assert_true(cst_netfs_backend.stop(pool, NULL));
        points_clear();
        assert_true(is_mounted());
        assert_log("");
        put("mountinfo", "");
        silent = FALSE;
        assert_started(pool);
        cst_netfs_backend.close(pool);
        pool = open_pool(NFS, "", NULL);
        put("log", "");
    }
}

static void mount_removed_during_a_stop_is_success(void **state)
{
    point_run("mount.undo", unmount_elsewhere, NULL);
    assert_stopped();
    points_clear();
    assert_log("");
}

/* A mount found by a start stays. A mount made by a later start of the same state is unmounted. */
static void mount_of_a_later_start_is_the_pools(void **state)
{
    assert_started(pool);
    assert_true(cst_netfs_backend.stop(pool, NULL));
    assert_true(is_mounted());
    unmount_elsewhere(NULL);
    assert_started(pool);
    assert_stopped();
}

/* --- each step fails -------------------------------------------------------------------------- */

static void fall_silent(gpointer unused)
{
    silent = TRUE;
}

static void server_that_falls_silent_is_cut_off(void **state)
{
    g_autofree char *forced = umounts(" -i -f", NULL);

    point_run("mount.undo", fall_silent, NULL);
    assert_stopped();
    points_clear();
    assert_log(forced);
}

/* A failed forced unmount is followed by a lazy one, whose failure is the error. */
static void cut_off_that_fails_is_reported_and_may_be_repeated(void **state)
{
    g_autofree char *both = umounts(" -i -f", " -i -l");

    silent = TRUE;
    make_tool("umount", "echo it exploded >&2; exit 1");
    assert_no_stop(CST_ERROR_FAILED, "it exploded");
    assert_log(both);
    make_tool("umount", "exit 0");
    assert_no_stop(CST_ERROR_FAILED, "'umount' claims success");
    make_tool("umount", UNMOUNTS);
    assert_stopped();
}

static void failure_that_is_no_time_out_is_not_forced(void **state)
{
    g_autofree char *once = umounts("", NULL);

    make_tool("umount", "echo it exploded >&2; exit 1");
    assert_no_stop(CST_ERROR_FAILED, "it exploded");
    assert_log(once);
    make_tool("umount", UNMOUNTS);
    assert_stopped();
}

/* The storage answers again; it was too slow only once. */
static void time_out_is_followed_by_force(void **state)
{
    g_autofree char *both = umounts("", " -i -f");

    mount_times.umount_network_s = 1;
    make_tool("umount", "[ \"$2\" = -i ] || exec sleep infinity\n" UNMOUNTS);
    assert_stopped();
    assert_log(both);
}

/* Another mount below keeps it in use. The error names it, and no force is used. */
static void mount_in_use_is_refused_with_its_users(void **state)
{
    g_autofree char *once = umounts("", NULL);
    g_autofree char *table = g_strdup_printf("999999970 1 0:50 / %s/m rw - nfs srv:/x rw\n"
                                             "72 70 0:52 / %s/m/below rw - tmpfs none rw\n",
                                             root, root);

    put("mountinfo", table);
    make_tool("umount", "echo umount: target is busy. >&2; exit 32");
    assert_no_stop(CST_ERROR_BUSY, "mounted on '");
    assert_log(once);
}

/* --- identity of the file system -------------------------------------------------------------- */

/* Writes a mount table in which the mount has the kernel's id of the directory. */
static void put_mounted(const char *fsid)
{
    g_autofree char *dir = at("m");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autofree char *info = g_strdup_printf("/proc/self/fdinfo/%d", fd);
    g_autofree char *text = NULL, *row = NULL, *volumes = NULL;
    const char *id;

    assert_true(fd >= 0 && g_file_get_contents(info, &text, NULL, NULL));
    close(fd);
    id = text ? strstr(text, "mnt_id:") : NULL;
    if (!id)
        fail_msg("no mnt_id in %s", info);
    else
        row = g_strdup_printf("%d 1 0:50 / %s/m rw - nfs srv:/x rw\n", atoi(id + strlen("mnt_id:")),
                              root);
    volumes = g_strdup_printf("NV SERVER PORT DEV FSID FSC\nv4 0a000002 801 0:50 %s no\n", fsid);
    put("mountinfo", row);
    put("volumes", volumes);
}

static void assert_no_identity(CstPoolState *state, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_netfs_backend.identity(state, &error));
    if (!g_error_matches(error, CST_ERROR, CST_ERROR_STATE) || !strstr(error->message, words))
        fail_msg("%d: %s", error->code, error->message);
}

static void another_file_system_than_was_recorded_is_refused(void **state)
{
    CstPoolState *next = open_pool(NFS, "", NULL);
    g_autofree char *identity = NULL, *again = NULL;

    put_mounted("a:b");
    identity = cst_netfs_backend.identity(pool, NULL);
    assert_string_equal(identity, "source=srv:/x fsid=a:b\n");
    put_mounted("c:d");
    assert_true(cst_netfs_backend.expect(next, identity, FALSE, NULL));
    assert_no_identity(next, "another file system is mounted on");
    put_mounted("a:b");
    again = cst_netfs_backend.identity(next, NULL);
    assert_string_equal(again, identity);
    cst_netfs_backend.close(next);
}

/* Without a record, the file system that is seen first is expected from then on. */
static void file_system_that_was_seen_first_is_expected(void **state)
{
    CstPoolState *next = open_pool(NFS, "", NULL);
    g_autofree char *dir = at("m"), *aside = at("aside"), *identity = NULL;

    put_mounted("a:b");
    assert_true(cst_netfs_backend.expect(next, NULL, FALSE, NULL));
    identity = cst_netfs_backend.identity(next, NULL);
    assert_non_null(identity);
    /* A new directory there is checked again. */
    assert_int_equal(rename(dir, aside), 0);
    make_dir("m", 0700);
    put_mounted("c:d");
    assert_no_identity(next, "another file system is mounted on");
    cst_netfs_backend.close(next);
}

/* A mount of another source, and a mount in which the target is only a directory. */
static void target_in_another_mount_is_refused(void **state)
{
    static const char *const rows[][2] = {{"/m", "srv:/other"}, {"", "srv:/x"}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *right = NULL, *wrong = NULL;

        put_mounted("a:b");
        right = get("mountinfo");
        wrong = g_strdup_printf("%d 1 0:50 / %s%s rw - nfs %s rw\n", atoi(right), root, rows[i][0],
                                rows[i][1]);
        put("mountinfo", wrong);
        assert_no_identity(pool, "is not mounted on");
    }
}

static void later_expectation_replaces_the_earlier_one(void **state)
{
    g_autofree char *identity = NULL;

    put_mounted("a:b");
    assert_true(cst_netfs_backend.expect(pool, "source=srv:/x fsid=c:d\n", FALSE, NULL));
    assert_no_identity(pool, "another file system is mounted on");
    assert_true(cst_netfs_backend.expect(pool, NULL, FALSE, NULL));
    identity = cst_netfs_backend.identity(pool, NULL);
    assert_string_equal(identity, "source=srv:/x fsid=a:b\n");
}

/* A successful start adopts the mount that it found. */
static void mount_that_a_start_has_accepted_is_the_pools(void **state)
{
    put_mounted("a:b");
    assert_started(pool);
    assert_true(cst_netfs_backend.expect(pool, NULL, TRUE, NULL));
    assert_stopped();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_pool, tear_down_pool)
    const struct CMUnitTest tests[] = {
        TEST(mount_replaced_during_a_stop_is_kept),
        TEST(mount_removed_during_a_stop_is_success),
        TEST(mount_of_a_later_start_is_the_pools),
        TEST(server_that_falls_silent_is_cut_off),
        TEST(cut_off_that_fails_is_reported_and_may_be_repeated),
        TEST(failure_that_is_no_time_out_is_not_forced),
        TEST(time_out_is_followed_by_force),
        TEST(mount_in_use_is_refused_with_its_users),
        TEST(another_file_system_than_was_recorded_is_refused),
        TEST(file_system_that_was_seen_first_is_expected),
        TEST(target_in_another_mount_is_refused),
        TEST(later_expectation_replaces_the_earlier_one),
        TEST(mount_that_a_start_has_accepted_is_the_pools),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
