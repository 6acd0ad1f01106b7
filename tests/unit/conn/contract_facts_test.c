/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Like contract_test.c, for facts about pools and volumes outside their XML, for declarations, for
 * dry runs, and for events of secrets.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>

#include "side.h"

#define UUID_B "11111111-2222-3333-4444-666666666666"

static CstVolRef *make_volume(Side *side, const CstPoolRef *pool, const char *name,
                              const char *format)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>1048576</capacity><allocation>0"
                        "</allocation><target><format type='%s'/></target></volume>",
                        name, format);
    CstVolRef *vol = cst_conn_vol_create(side->conn, pool, xml, 0, NULL, &side->error);

    outcome(side, name, vol != NULL);
    return vol;
}

/* In place, because a temporary file would be listed as a volume. */
static void put(const Side *side, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(side->root, name, NULL);

    assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

/*
 * --- holders and other facts ---------------------------------------------------------------------
 */

static void note_holders(Side *side, const CstVolRef *vol)
{
    g_autoptr(GPtrArray) holders = cst_conn_vol_holders(side->conn, vol, &side->error);

    outcome(side, "holders", holders != NULL);
    for (guint i = 0; holders && i < holders->len; i++) {
        const CstVolHolder *holder = g_ptr_array_index(holders, i);

        note(side, "- %s, reads only %d",
             g_str_has_prefix(holder->what, "process ") ? "a process" : holder->what,
             holder->reads_only);
    }
    note(side, "%u", holders ? holders->len : 99);
}

/*
 * Sets locks as QEMU does: bytes from 100 on for permissions in use, from 200 on for unshared ones.
 */
static void lock_as_qemu(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};

    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0)
        _exit(1);
    lock.l_start = 201;
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
        _exit(1);
}

/* Starts another process that runs @act on the volume, and has it open until let_go(). */
static pid_t hold_by(const Side *side, const char *name, void (*act)(const char *path))
{
    g_autofree char *path = g_build_filename(side->root, "images", name, NULL);
    int ready[2];
    pid_t pid;
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        act(path);
        if (write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static pid_t hold(const Side *side, const char *name)
{
    return hold_by(side, name, lock_as_qemu);
}

static void open_for_writing(const char *path)
{
    if (open(path, O_RDWR | O_CLOEXEC) < 0)
        _exit(1);
}

static pid_t write_without_lock(const Side *side, const char *name)
{
    return hold_by(side, name, open_for_writing);
}

static void let_go(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void play_holders(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) vol = make_volume(side, pool, "v", "raw");
    pid_t holder;

    note_holders(side, vol);
    holder = hold(side, "v");
    note_holders(side, vol);
    let_go(holder);
    outcome(side, "delete", cst_conn_vol_delete(side->conn, vol, 0, NULL, &side->error));
    note_holders(side, vol);
}

static void note_more(Side *side, const CstPoolRef *pool, unsigned wants)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(side->conn, pool, FALSE, &side->error);
    g_autoptr(GPtrArray) more = NULL;

    assert_non_null(rows);
    more = cst_conn_vol_list_more(side->conn, pool, rows, wants, &side->error);
    outcome(side, "more", more != NULL);
    for (guint i = 0; more && i < more->len; i++) {
        const CstVolMore *one = g_ptr_array_index(more, i);

        note(side, "- %s: on %s, %d snapshots, %d holders",
             ((const CstVolRow *)rows->pdata[i])->name, one->backing ? one->backing : "nothing",
             (int)one->snapshots, one->holders ? (int)one->holders->len : -1);
    }
}

static void assert_same_holders(const GPtrArray *a, const GPtrArray *b)
{
    assert_int_equal(a != NULL, b != NULL);
    assert_int_equal(a ? a->len : 0, b ? b->len : 0);
    for (guint i = 0; a && i < a->len; i++) {
        const CstVolHolder *one = a->pdata[i], *other = b->pdata[i];

        assert_string_equal(one->what, other->what);
        assert_int_equal(one->reads_only, other->reads_only);
    }
}

/* The list answers as the calls for each volume do. One name is of no volume. */
static void assert_list_equals_single_calls(Side *side, const CstPoolRef *pool)
{
    const unsigned all = CST_VOL_MORE_BACKING | CST_VOL_MORE_SNAPSHOTS | CST_VOL_MORE_HOLDERS;
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(side->conn, pool, FALSE, &side->error);
    CstVolRow missing = {.name = (char *)"missing", .key = (char *)"missing"};
    g_autoptr(GPtrArray) asked = g_ptr_array_new(), more = NULL;

    assert_non_null(rows);
    for (guint i = 0; i < rows->len; i++)
        g_ptr_array_add(asked, rows->pdata[i]);
    g_ptr_array_insert(asked, 3, &missing);
    more = cst_conn_vol_list_more(side->conn, pool, asked, all, &side->error);
    assert_non_null(more);
    assert_int_equal(more->len, asked->len);
    for (guint i = 0; i < asked->len; i++) {
        const CstVolRow *row = asked->pdata[i];
        const CstVolRef vol = {pool->name, row->name, row->key};
        const CstVolMore *one = more->pdata[i];
        g_autoptr(GPtrArray) holders = cst_conn_vol_holders(side->conn, &vol, NULL);
        g_autoptr(GPtrArray) snapshots = cst_conn_snapshot_list(side->conn, &vol, NULL);
        g_autofree char *xml = cst_conn_vol_xml(side->conn, &vol, 0, NULL);
        g_autoptr(CstVolDef) def = xml ? cst_vol_def_parse(xml, CST_POOL_DIR, 0, NULL) : NULL;

        assert_same_holders(one->holders, holders);
        assert_int_equal(one->snapshots, snapshots ? (int)snapshots->len : -1);
        assert_int_equal(g_strcmp0(one->backing, def && def->backing ? def->backing->path : NULL),
                         0);
    }
}

/* More volumes than one batch holds. The facts of one volume are unknown. */
static void play_more(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) base = make_volume(side, pool, "a-base", "qcow2");
    g_autofree char *xml = g_strdup_printf(
        "<volume><name>b-top</name><capacity>1048576</capacity>"
        "<target><format type='qcow2'/></target><backingStore><path>%s/images/a-base</path>"
        "<format type='qcow2'/></backingStore></volume>",
        side->root);
    g_autoptr(CstVolRef) top = cst_conn_vol_create(side->conn, pool, xml, 0, NULL, &side->error);
    g_autoptr(CstVolRef) gone = make_volume(side, pool, "c-gone", "qcow2");
    pid_t holder = hold(side, "a-base"), writer;

    assert_non_null(top);
    for (int i = 0; i < 260; i++) {
        g_autofree char *name = g_strdup_printf("v%03d", i);
        g_autoptr(CstVolRef) vol = make_volume(side, pool, name, "raw");
    }
    note_more(side, pool, 0);
    note_more(side, pool, CST_VOL_MORE_BACKING);
    let_go(holder);
    assert_true(cst_conn_snapshot_create(side->conn, base, "one", 0, NULL, NULL));
    holder = hold(side, "a-base");
    put(side, "images/c-gone", "QFI\xfb and no more of it");
    assert_true(cst_conn_pool_refresh(side->conn, pool, 0, NULL));
    note_more(side, pool, CST_VOL_MORE_BACKING | CST_VOL_MORE_SNAPSHOTS | CST_VOL_MORE_HOLDERS);
    writer = write_without_lock(side, "v007");
    assert_list_equals_single_calls(side, pool);
    let_go(writer);
    let_go(holder);
}

static void note_problems(Side *side, const CstVolRef *vol)
{
    g_autoptr(GPtrArray) problems = cst_conn_vol_problems(side->conn, vol, &side->error);

    outcome(side, "problems", problems != NULL);
    for (guint i = 0; problems && i < problems->len; i++)
        note(side, "- %s", (char *)g_ptr_array_index(problems, i));
    note(side, "%u", problems ? problems->len : 99);
}

static void play_problems(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) fine = make_volume(side, pool, "fine", "qcow2");
    g_autoptr(CstVolRef) broken = make_volume(side, pool, "broken", "qcow2");

    put(side, "images/broken", "QFI\xfb and no more of it");
    outcome(side, "refresh", cst_conn_pool_refresh(side->conn, pool, 0, &side->error));
    note_problems(side, fine);
    note_problems(side, broken);
    outcome(side, "delete", cst_conn_vol_delete(side->conn, fine, 0, NULL, &side->error));
    note_problems(side, fine);
}

static void follow(Side *side, const CstPoolRef *pool, const CstFollow *wanted)
{
    CstFollow found = CST_FOLLOW_POOLS;

    outcome(side, "follow", cst_conn_pool_follow(side->conn, pool, wanted, &found, &side->error));
    note(side, "%d", found);
}

static void play_trust(Side *side)
{
    const CstFollow none = CST_FOLLOW_NONE, anywhere = CST_FOLLOW_ANYWHERE;
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) vol = make_volume(side, pool, "v", "qcow2");
    CstPoolRef nobody = {.name = (char *)"nobody"};
    CstVolRef missing = {(char *)"a", (char *)"missing", (char *)""};

    follow(side, pool, NULL);
    follow(side, pool, &none);
    follow(side, pool, NULL);
    follow(side, pool, &anywhere);
    follow(side, pool, NULL);
    follow(side, &nobody, NULL);
    outcome(side, "declare",
            cst_conn_vol_declare(side->conn, vol,
                                 &(CstVolDeclare){.flags = CST_VOL_DECLARE_CONTENT}, NULL,
                                 &side->error));
    outcome(side, "declare a format that it has not",
            cst_conn_vol_declare(side->conn, vol, &(CstVolDeclare){.format = "vmdk"}, NULL,
                                 &side->error));
    outcome(
        side, "declare, flag",
        cst_conn_vol_declare(side->conn, vol, &(CstVolDeclare){.flags = 64}, NULL, &side->error));
    outcome(side, "declare nothing of nobody",
            cst_conn_vol_declare(side->conn, &missing,
                                 &(CstVolDeclare){.flags = CST_VOL_DECLARE_NOTHING}, NULL,
                                 &side->error));
}

static void note_problem_of_pool(Side *side, const CstPoolRef *pool)
{
    g_autofree char *problem = cst_conn_pool_problem(side->conn, pool);

    note(side, "problem of the pool: %s", problem ? problem : "none");
}

static void play_pool(Side *side)
{
    g_autofree char *xml = g_strdup_printf("<pool type='dir'><name>t</name><uuid>" UUID_B
                                           "</uuid><target><path>%s</path>"
                                           "</target></pool>",
                                           side->root);
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstPoolRef) transient = cst_conn_pool_create(side->conn, xml, 0, &side->error);
    g_autoptr(CstPoolRef) again = NULL;
    g_autoptr(GPtrArray) stores = NULL;
    CstPoolRef nobody = {.name = (char *)"nobody"};
    g_auto(CstPoolHealth) health = {0};
    gboolean persistent = TRUE;

    outcome(side, "create", transient != NULL);
    note(side, "%s", transient ? transient->name : "nobody");
    outcome(side, "is_persistent",
            cst_conn_pool_is_persistent(side->conn, transient, &persistent, &side->error));
    note(side, "persistent %d", persistent);
    outcome(side, "create again",
            (again = cst_conn_pool_create(side->conn, xml, 0, &side->error)) != NULL);
    note_problem_of_pool(side, pool);
    note_problem_of_pool(side, &nobody);
    stores = cst_conn_pool_thin(side->conn, pool, &side->error);
    outcome(side, "thin", stores != NULL);
    note(side, "%u", stores ? stores->len : 99);
    g_clear_pointer(&stores, g_ptr_array_unref);
    stores = cst_conn_pool_thin(side->conn, &nobody, &side->error);
    outcome(side, "thin of nobody", stores != NULL);
    outcome(side, "health", cst_conn_pool_health(side->conn, pool, &health, &side->error));
    note(side, "%d %s", health.level, health.state ? health.state : "-");
    outcome(side, "health of nobody",
            cst_conn_pool_health(side->conn, &nobody, &health, &side->error));
}

/* --- dry runs -------------------------------------------------------------------------------- */

static void play_dry_run(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) vol = NULL, made = NULL;

    outcome(side, "dry", cst_conn_set_dry_run(side->conn, TRUE, &side->error));
    assert_true(cst_dry_run());
    vol = make_volume(side, pool, "v", "raw");
    outcome(side, "stop", cst_conn_pool_stop(side->conn, pool, &side->error));
    outcome(side, "still dry", cst_conn_set_dry_run(side->conn, TRUE, &side->error));
    outcome(side, "start", cst_conn_pool_start(side->conn, pool, 0, &side->error));
    outcome(side, "wet", cst_conn_set_dry_run(side->conn, FALSE, &side->error));
    assert_false(cst_dry_run());
    made = make_volume(side, pool, "v", "raw");
    outcome(side, "stop", cst_conn_pool_stop(side->conn, pool, &side->error));
}

/* --- secrets --------------------------------------------------------------------------------- */

static void on_secret(const CstConnEvent *event, gpointer data)
{
    char uuid[CST_UUID_TEXT_LEN];

    note(data, "event %d kind %d of %s", event->type, event->kind,
         cst_uuid_format(&event->uuid, uuid));
}

static CstConnSecret *define_secret(Side *side, const char *uuid)
{
    g_autofree char *xml = g_strdup_printf("<secret ephemeral='no' private='no'><uuid>%s</uuid>"
                                           "<usage type='ceph'><name>key of %s</name></usage>"
                                           "</secret>",
                                           uuid, uuid);
    CstConnSecret *secret = cst_conn_secret_define(side->conn, xml, 0, &side->error);

    outcome(side, "define", secret != NULL);
    return secret;
}

static void deliver(Side *side, guint wanted)
{
    guint delivered = 0;

    for (guint total = 0; total < wanted; total += delivered) {
        assert_true(cst_conn_wait_events(side->conn, 5000, -1, &delivered, NULL));
        if (delivered == 0)
            fail_msg("only %u of %u events", total, wanted);
    }
    assert_true(cst_conn_wait_events(side->conn, 50, -1, &delivered, NULL));
    note(side, "%u more", delivered);
}

static void subscribe(Side *side, CstConnEventType type, const CstUuid *uuid, guint *ret_id)
{
    outcome(side, "subscribe",
            cst_conn_subscribe(side->conn, type, uuid, on_secret, side, ret_id, &side->error));
}

static void play_secret_events(Side *side)
{
    const CstUuid nobody = {{7}};
    g_autoptr(CstConnSecret) a = define_secret(side, UUID_A);
    g_autoptr(CstConnSecret) b = define_secret(side, UUID_B);
    g_autoptr(CstConnSecret) found = NULL, missing = NULL;
    guint all, of_a, values;

    outcome(side, "by uuid",
            (found = cst_conn_secret_by_uuid(side->conn, &b->uuid, &side->error)) != NULL);
    note(side, "%s", found ? found->usage_id : "nobody");
    outcome(side, "by wrong uuid",
            (missing = cst_conn_secret_by_uuid(side->conn, &nobody, &side->error)) != NULL);
    subscribe(side, CST_CONN_EVENT_SECRET_LIFECYCLE, &a->uuid, &of_a);
    /* Only a server verifies that the secret exists. */
    if (!cst_conn_is_embedded(side->conn)) {
        assert_false(cst_conn_subscribe(side->conn, CST_CONN_EVENT_SECRET_LIFECYCLE, &nobody,
                                        on_secret, side, &all, &side->error));
        assert_int_equal(side->error->code, CST_ERROR_NO_SECRET);
        g_clear_error(&side->error);
        assert_false(cst_conn_subscribe(side->conn, CST_CONN_EVENT_POOL_LIFECYCLE, &nobody,
                                        on_secret, side, &all, &side->error));
        assert_int_equal(side->error->code, CST_ERROR_NO_POOL);
        g_clear_error(&side->error);
    }
    outcome(side, "undefine b", cst_conn_secret_undefine(side->conn, b, &side->error));
    outcome(side, "undefine a", cst_conn_secret_undefine(side->conn, a, &side->error));
    deliver(side, 1);
    outcome(side, "unsubscribe", cst_conn_unsubscribe(side->conn, of_a, &side->error));
    subscribe(side, CST_CONN_EVENT_SECRET_LIFECYCLE, NULL, &all);
    subscribe(side, CST_CONN_EVENT_SECRET_VALUE, NULL, &values);
    g_clear_pointer(&b, cst_conn_secret_free);
    b = define_secret(side, UUID_B);
    outcome(side, "set value",
            cst_conn_secret_set_value(side->conn, b, (const uint8_t *)"hush", 4, &side->error));
    outcome(side, "undefine", cst_conn_secret_undefine(side->conn, b, &side->error));
    deliver(side, 3);
}

static void holders_are_the_same(void **state)
{
    const char *const must[] = {"holders: done\n0", "holders: done\n- a process, reads only 0\n1\n",
                                "holders: no-volume", NULL};

    compare(play_holders, must);
}

static void additional_columns_are_equal_over_both_transports(void **state)
{
    const char *const must[] = {
        "more: done\n- a-base: on nothing, -1 snapshots, -1 holders\n",
        "/images/a-base, -1 snapshots, -1 holders\n",
        "- v259: on nothing, -1 snapshots, -1 holders\n",
        "- a-base: on nothing, 1 snapshots, 1 holders\n",
        "- c-gone: on nothing, -1 snapshots, 0 holders\n",
        "- v259: on nothing, 0 snapshots, 0 holders\n",
        NULL,
    };

    compare(play_more, must);
}

static void problems_are_the_same(void **state)
{
    const char *const must[] = {"problems: done\n0\nproblems: done\n- ", "problems: no-volume",
                                NULL};

    compare(play_problems, must);
}

static void trust_is_the_same(void **state)
{
    const char *const must[] = {
        "follow: done\n0\nfollow: done\n1\nfollow: done\n1\nfollow: done\n2\nfollow: done\n2\n",
        "declare: done", "declare nothing of nobody: no-volume", NULL};

    compare(play_trust, must);
}

static void facts_of_pools_are_the_same(void **state)
{
    const char *const must[] = {"persistent 0", "create again: ", "thin: done\n0",
                                "thin of nobody: no-pool", NULL};

    compare(play_pool, must);
}

static void dry_runs_are_the_same(void **state)
{
    const char *const must[] = {"v: dry-run", "stop: dry-run", "start: state",
                                "v: done",    "stop: done",    NULL};

    compare(play_dry_run, must);
}

static void events_of_secrets_are_the_same(void **state)
{
    const char *const must[] = {"key of " UUID_B,
                                "by wrong uuid: no-secret",
                                "event 2 kind 1 of " UUID_A "\n0 more",
                                "event 2 kind 0 of " UUID_B,
                                "event 3 kind 0 of " UUID_B,
                                "event 2 kind 1 of " UUID_B,
                                NULL};

    compare(play_secret_events, must);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holders_are_the_same),
        cmocka_unit_test(additional_columns_are_equal_over_both_transports),
        cmocka_unit_test(problems_are_the_same),
        cmocka_unit_test(trust_is_the_same),
        cmocka_unit_test(facts_of_pools_are_the_same),
        cmocka_unit_test(dry_runs_are_the_same),
        cmocka_unit_test(events_of_secrets_are_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
