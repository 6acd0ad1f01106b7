/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subordinate uids of a user count for the user: which account each uid has, by files of the
 * test's own, and the limits of the server for clients of such uids.
 */
#include "probe.h"

#include <sys/stat.h>

#include <glib/gstdio.h>

#include "subuid.h"

enum { ALICE = 5001, BOB = 5002, DAEMON = 5003 };

typedef struct {
    Bench *bench;
    char *etc;
    SubuidTable *table;
} Fixture;

static const char passwd[] = "root:x:0:0::/root:/bin/sh\n"
                             "daemon:x:5003:5003::/:/bin/sh\n"
                             "alice:x:5001:5001:Alice:/home/alice:/bin/sh\n"
                             "bob:x:5002:5002::/home/bob:/bin/sh\n"
                             "broken line\n";

static void write_file(const Fixture *fixture, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(fixture->etc, name, NULL);

    g_unlink(path);
    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static int fixture_setup(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    void *bench;

    bench_setup(&bench);
    fixture->bench = bench;
    fixture->etc = g_dir_make_tmp("subuid-XXXXXX", NULL);
    assert_non_null(fixture->etc);
    write_file(fixture, "passwd", passwd);
    fixture->table = subuid_table_new(fixture->etc, DAEMON);
    *state = fixture;
    return 0;
}

static int fixture_teardown(void **state)
{
    Fixture *fixture = *state;
    void *bench = fixture->bench;

    for (const char *const *name = (const char *const[]){"subuid", "passwd", NULL}; *name; name++) {
        g_autofree char *path = g_build_filename(fixture->etc, *name, NULL);

        g_unlink(path);
    }
    g_rmdir(fixture->etc);
    subuid_table_free(fixture->table);
    g_free(fixture->etc);
    g_free(fixture);
    return bench_teardown(&bench);
}

/* --- accounts --------------------------------------------------------------------------------- */

typedef struct {
    const char *subuid;
    uid_t uid, account;
} Row;

static void subuid_account_of_each_kind_of_range(void **state)
{
    static const Row rows[] = {
        {"alice:100000:65536", 100000, ALICE},
        {"alice:100000:65536\n", 165535, ALICE},
        {"alice:100000:65536\n", 165536, 165536},
        {"alice:100000:65536\n", 99999, 99999},
        {"5001:100000:65536\n", 100001, ALICE},
        {"alice:200000:10\nalice:100000:10\nbob:300000:10\n", 200005, ALICE},
        {"alice:200000:10\nalice:100000:10\nbob:300000:10\n", 100009, ALICE},
        {"alice:200000:10\nalice:100000:10\nbob:300000:10\n", 300000, BOB},
        /* Ranges of one user may overlap. */
        {"alice:100000:20\nalice:100010:20\n", 100025, ALICE},
        /* Ranges of two users have an account of their own, wherever they overlap. */
        {"alice:100000:20\nbob:100010:20\n", 100005, 100000},
        {"alice:100000:20\nbob:100010:20\n", 100029, 100000},
        {"alice:100000:100\nalice:100010:10\nbob:100050:1\n", 100090, 100000},
        /* So have ranges of root, of the daemon's user, and of a user that passwd does not have. */
        {"root:100000:65536\n", 100007, 100000},
        {"0:100000:65536\n", 100007, 100000},
        {"daemon:100000:65536\n", 100007, 100000},
        {"carol:100000:65536\n", 100007, 100000},
        /* A user's own id is in no range, and a range never grants the rights of root. */
        {"alice:5000:100\n", BOB, BOB},
        {"alice:0:100000\n", 0, 0},
        {"alice:0:100000\n", DAEMON, DAEMON},
        {"alice:0:100000\n", 77, ALICE},
        /* Lines that are wrong are passed over. */
        {"alice\nalice:\nalice:x:1\nalice:1:-1\n:::\nalice:100000:0\n\nbob:100000:9\n", 100000,
         BOB},
        {"alice:4294967290:4294967295\n", 4294967294, ALICE},
        {"alice:4294967295:1\n", 4294967294, 4294967294},
        {"", 100000, 100000},
    };
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        write_file(fixture, "subuid", rows[i].subuid);
        if (subuid_account(fixture->table, rows[i].uid) != rows[i].account)
            fail_msg("uid %u of '%s'", (unsigned)rows[i].uid, rows[i].subuid);
    }
}

static void subuid_account_without_files_is_the_uid(void **state)
{
    g_autoptr(SubuidTable) none = subuid_table_new(NULL, 0);
    g_autoptr(SubuidTable) missing = subuid_table_new("/nonexistent", 0);

    assert_int_equal(subuid_account(none, 100000), 100000);
    assert_int_equal(subuid_account(missing, 100000), 100000);
}

static void subuid_account_follows_changes_of_either_file(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(subuid_account(fixture->table, 100000), 100000);
    write_file(fixture, "subuid", "carol:100000:10\nalice:200000:10\n");
    assert_int_equal(subuid_account(fixture->table, 100003), 100000);
    write_file(fixture, "passwd", "carol:x:5004:5004::/:/bin/sh\n");
    assert_int_equal(subuid_account(fixture->table, 100003), 5004);
    assert_int_equal(subuid_account(fixture->table, 200003), 200000);
}

/* A file that another user could have written moves no uid to another account. */
static void subuid_account_keeps_ranges_when_the_file_cannot_be_trusted(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *path = g_build_filename(fixture->etc, "subuid", NULL);

    write_file(fixture, "subuid", "alice:100000:10\n");
    assert_int_equal(subuid_account(fixture->table, 100003), ALICE);
    write_file(fixture, "subuid", "bob:100000:10\n");
    assert_int_equal(g_chmod(path, 0666), 0);
    assert_int_equal(subuid_account(fixture->table, 100003), ALICE);
    assert_int_equal(g_chmod(path, 0644), 0);
    assert_int_equal(subuid_account(fixture->table, 100003), BOB);
}

static void subuid_account_keeps_ranges_when_the_file_is_too_long(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *path = g_build_filename(fixture->etc, "subuid", NULL);

    write_file(fixture, "subuid", "alice:100000:10\n");
    assert_int_equal(subuid_account(fixture->table, 100003), ALICE);
    assert_int_equal(truncate(path, 64 << 20), 0);
    assert_int_equal(subuid_account(fixture->table, 100003), ALICE);
}

/* --- clients ---------------------------------------------------------------------------------- */

static Probe open_uid(Fixture *fixture, uid_t uid)
{
    char text[] = "storage:///system", *name = text;
    wire_open_args args = {.name = &name};
    Probe probe = probe_connect_uid(fixture->bench, uid);

    probe_call(&probe, WIRE_PROC_CONNECT_OPEN, XDR_OF(open_args), &args, NULL, NULL);
    return probe;
}

static void subordinate_uids_share_the_connections_of_their_user(void **state)
{
    Fixture *fixture = *state;
    Probe first, second, other;

    write_file(fixture, "subuid", "alice:100000:65536\nbob:200000:65536\n");
    fixture->bench->options.max_user_clients = 2;
    fixture->bench->options.etc_dir = fixture->etc;
    bench_restart(fixture->bench);
    first = open_uid(fixture, ALICE);
    second = open_uid(fixture, 100001);
    for (uid_t uid = 100002; uid < 100012; uid++) {
        Probe refused = probe_connect_uid(fixture->bench, uid);

        probe_assert_dropped(&refused);
        probe_close(&refused);
    }
    other = open_uid(fixture, 200001);
    probe_close(&other);
    probe_close(&second);
    probe_close(&first);
}

int main(void)
{
#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(subuid_account_of_each_kind_of_range),
        FIXTURE_TEST(subuid_account_without_files_is_the_uid),
        FIXTURE_TEST(subuid_account_follows_changes_of_either_file),
        FIXTURE_TEST(subuid_account_keeps_ranges_when_the_file_cannot_be_trusted),
        FIXTURE_TEST(subuid_account_keeps_ranges_when_the_file_is_too_long),
        FIXTURE_TEST(subordinate_uids_share_the_connections_of_their_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
