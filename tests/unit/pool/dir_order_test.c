/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls of a directory pool, in order, and with each of them failing in turn.
 *
 * Each operation runs once without a fault. Its calls are compared with the expected ones, so that
 * a missing or misplaced sync is detected. Then the operation runs once for each of its calls, with
 * that call failing. Afterwards the pool must have its previous content, and the repeated operation
 * must succeed.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <dir/dir.h>
#include <pool/pool.h>

#include "dir_calls.h"

/* --- the pool --------------------------------------------------------------------------------- */

static CstPoolState *pool, *other; /* directories "pool" and "other" */

static char *output_of(const char *command)
{
    const char *const argv[] = {"sh", "-c", command, NULL};
    char *text = NULL;

    assert_true(g_spawn_sync(root, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text,
                             NULL, NULL, NULL));
    return text;
}

/*
 * Returns every entry of both directories with its mode and link count, and the content of files.
 */
static char *tree(void)
{
    g_autofree char *text =
        output_of("find pool other -type d -printf '%p %m\\n' -o -printf '%p %m %n\\n' | sort;"
                  "find pool other -type f | sort | xargs head -v 2>&1");

    return readable(text);
}

static CstPoolState *open_pool(const char *name)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir'><name>p</name><target><path>%s/%s</path></target></pool>", root, name);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);

    return cst_pool_state_open(def, NULL, NULL);
}

static void put_with_mode(const char *name, const char *text)
{
    g_autofree char *path = at(name);

    put(name, text);
    assert_int_equal(chmod(path, 0640), 0);
}

static void add_snapshot(void)
{
    make_dir("pool/.cistern-snapshots", 0700);
    make_dir("pool/.cistern-snapshots/disk", 0700);
    put_with_mode("pool/.cistern-snapshots/disk/old", "old");
}

static void fill(gboolean with_snapshot)
{
    g_free(output_of("rm -rf pool other"));
    make_dir("pool", 0700);
    make_dir("other", 0700);
    put_with_mode("pool/disk", "now");
    if (with_snapshot)
        add_snapshot();
}

static int set_up(void **unused)
{
    root = g_dir_make_tmp("cistern-order-XXXXXX", NULL);
    fill(FALSE);
    pool = open_pool("pool");
    other = open_pool("other");
    fault_at = 0;
    on_mkdir = NULL;
    return 0;
}

static int tear_down(void **unused)
{
    cst_pool_state_unref(pool);
    cst_pool_state_unref(other);
    remove_tree();
    return 0;
}

/* --- operations ------------------------------------------------------------------------------- */

/*
 * @snapshot: the draft gets a snapshot before its commit. A failed draft is abandoned, as the core
 * does.
 */
static gboolean make(CstVolType type, gboolean snapshot, GError **error)
{
    g_auto(CstVolDraft) draft = {.token = g_strdup("0-0")};
    g_autoptr(CstVolDef) def = cst_vol_def_new();

    def->name = g_strdup("new");
    def->type = type;
    def->perms = (CstPerms){.mode = 0640, .uid = geteuid(), .gid = getegid()};
    if (cst_pool_state_reserve(pool, def, &draft, error) &&
        (!snapshot || cst_pool_state_snapshot_create(pool, draft.name, "s", &(CstSnapshotCreate){0},
                                                     NULL, error)) &&
        cst_pool_state_commit(pool, &draft, def, error))
        return TRUE;
    cst_vol_draft_clear(&draft);
    fault_at = 0;
    assert_true(cst_pool_state_abandon(pool, "0-0", NULL));
    return FALSE;
}

static gboolean make_file(GError **error)
{
    return make(CST_VOL_FILE, FALSE, error);
}

static gboolean make_directory(GError **error)
{
    return make(CST_VOL_DIR, FALSE, error);
}

static gboolean make_with_snapshot(GError **error)
{
    return make(CST_VOL_FILE, TRUE, error);
}

static gboolean delete_volume(GError **error)
{
    return cst_pool_state_delete(pool, "disk", 0, error);
}

static gboolean rename_volume(GError **error)
{
    return cst_pool_state_rename(pool, "disk", "new", error);
}

/* Completes the rename of a killed process that has renamed the volume but not its snapshots. */
static gboolean complete_rename(GError **error)
{
    g_autofree char *from = at("pool/disk"), *to = at("pool/new");

    if (access(to, F_OK) < 0)
        assert_int_equal(rename(from, to), 0);
    return cst_pool_state_rename(pool, "disk", "new", error);
}

/* Abandons a draft whose snapshots had the volume's name when its maker was killed. */
static gboolean abandon_marked(GError **error)
{
    g_autofree char *from = at("pool/.cistern-0-0.part");
    g_autofree char *to = at("pool/.cistern-snapshots/disk/.cistern-0-0.part");

    if (access(from, F_OK) < 0) {
        put("pool/.cistern-0-0.part", "draft");
        assert_int_equal(link(from, to), 0);
    }
    return cst_pool_state_abandon(pool, "0-0", error);
}

static gboolean link_volume(GError **error)
{
    return cst_pool_state_link(pool, "disk", "new", error);
}

/* Removes the first of two names. The first call of a round makes the second name. */
static gboolean drop_old_name(GError **error)
{
    g_autofree char *from = at("pool/disk"), *to = at("pool/new");

    if (access(to, F_OK) < 0)
        assert_int_equal(link(from, to), 0);
    return cst_pool_state_rename(pool, "disk", "new", error);
}

static gboolean take_from_other_pool(GError **error)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(pool, "disk", FALSE, NULL);

    return cst_pool_state_take(other, pool, "disk", blob, "new", error);
}

static gboolean snapshot(GError **error)
{
    return cst_pool_state_snapshot_create(pool, "disk", "new", &(CstSnapshotCreate){0}, NULL,
                                          error);
}

static gboolean snapshot_in_steps(GError **error)
{
    CstSnapshotDraft *draft = cst_pool_state_snapshot_draft_begin(pool, "disk", "new", error);
    gboolean done =
        draft && cst_pool_state_snapshot_draft_update(pool, draft, error) &&
        cst_pool_state_snapshot_draft_commit(pool, draft, &(CstSnapshotCreate){0}, error);

    fault_at = 0;
    cst_pool_state_snapshot_draft_end(pool, draft);
    return done;
}

static gboolean revert(GError **error)
{
    return cst_pool_state_snapshot_revert(pool, "disk", "old", NULL, NULL, error);
}

static gboolean remove_snapshot(GError **error)
{
    return cst_pool_state_snapshot_remove(pool, "disk", "old", NULL, error);
}

static gboolean rename_snapshot(GError **error)
{
    return cst_pool_state_snapshot_rename(pool, "disk", "old", "new", error);
}

typedef struct {
    const char *what;
    gboolean (*call)(GError **error);
    gboolean with_snapshot;
    /* After a failure the state is the old one or, if the change cannot be undone, the new one. */
    gboolean may_be_done;
    const char *calls;
} Operation;

static const Operation operations[] = {
    {"file", make_file, FALSE, FALSE,
     "fchown DRAFT\nfchmod DRAFT\nfsync DRAFT\nrename DRAFT new\nfsync .\n"},
    {"directory", make_directory, FALSE, FALSE,
     "mkdir DRAFT\nmkdir DRAFT\nfchown DRAFT\nfchmod DRAFT\nfsync DRAFT\nrename DRAFT new\n"
     "fsync .\n"},
    {"file with a snapshot", make_with_snapshot, FALSE, FALSE,
     "fchown DRAFT\n"
     "mkdir SNAPS\nmkdir SNAPS/DRAFT\nfsync SNAPS\nfsync .\nshare SNAPS/DRAFT/DRAFT\n"
     "fsync SNAPS/DRAFT/DRAFT\nrename SNAPS/DRAFT/DRAFT SNAPS/DRAFT/s\nfsync SNAPS/DRAFT\n"
     "fchmod DRAFT\nfsync DRAFT\n"
     "link FD SNAPS/DRAFT/DRAFT\nfsync SNAPS/DRAFT\nrename SNAPS/DRAFT SNAPS/new\nfsync SNAPS\n"
     "rename DRAFT new\nfsync .\nunlink SNAPS/new/DRAFT\n"},
    {"delete", delete_volume, FALSE, TRUE, "unlink disk\nfsync .\n"},
    {"rename", rename_volume, FALSE, FALSE, "rename disk new\nfsync .\n"},
    {"rename with a snapshot", rename_volume, TRUE, FALSE,
     "rename disk new\nfsync .\nrename SNAPS/disk SNAPS/new\nfsync SNAPS\n"},
    {"rename after a kill", complete_rename, TRUE, TRUE,
     "fsync .\nrename SNAPS/disk SNAPS/new\nfsync SNAPS\n"},
    {"link", link_volume, FALSE, FALSE, "link disk new\nfsync .\n"},
    {"drop a name", drop_old_name, TRUE, TRUE,
     "rename SNAPS/disk SNAPS/new\nfsync SNAPS\nunlink disk\nfsync .\n"},
    {"take", take_from_other_pool, FALSE, FALSE, "link FD OTHER/new\nfsync OTHER\n"},
    {"first snapshot", snapshot, FALSE, FALSE,
     "mkdir SNAPS\nmkdir SNAPS/disk\nfsync SNAPS\nfsync .\nshare SNAPS/disk/DRAFT\n"
     "fsync SNAPS/disk/DRAFT\nrename SNAPS/disk/DRAFT SNAPS/disk/new\nfsync SNAPS/disk\n"},
    {"another snapshot", snapshot, TRUE, FALSE,
     "mkdir SNAPS\nmkdir SNAPS/disk\nfsync SNAPS\nfsync .\nshare SNAPS/disk/DRAFT\n"
     "fsync SNAPS/disk/DRAFT\nrename SNAPS/disk/DRAFT SNAPS/disk/new\nfsync SNAPS/disk\n"},
    {"snapshot in two steps", snapshot_in_steps, FALSE, FALSE,
     "mkdir SNAPS\nmkdir SNAPS/disk\nfsync SNAPS\nfsync .\nshare SNAPS/disk/DRAFT\n"
     "share SNAPS/disk/DRAFT\n"
     "fsync SNAPS/disk/DRAFT\nrename SNAPS/disk/DRAFT SNAPS/disk/new\nfsync SNAPS/disk\n"},
    {"revert", revert, TRUE, TRUE,
     "share DRAFT\nfchown DRAFT\nfchmod DRAFT\nfsync DRAFT\nreplace DRAFT disk\nfsync .\n"},
    {"remove a snapshot", remove_snapshot, TRUE, TRUE,
     "unlink SNAPS/disk/old\nfsync SNAPS/disk\nrmdir SNAPS/disk\nrmdir SNAPS\n"},
    {"rename a snapshot", rename_snapshot, TRUE, TRUE,
     "rename SNAPS/disk/old SNAPS/disk/new\nfsync SNAPS/disk\n"},
};

/* The mark is removed last, because it shows that the snapshots belong to the draft. */
static void mark_of_a_draft_is_removed_after_its_snapshots(void **unused)
{
    fill(TRUE);
    calls = g_string_new(NULL);
    assert_true(abandon_marked(NULL));
    assert_true(g_str_has_suffix(calls->str, "unlink SNAPS/disk/DRAFT\n"
                                             "rmdir SNAPS/disk\nrmdir SNAPS\nunlink DRAFT\n"));
    assert_non_null(strstr(calls->str, "unlink SNAPS/disk/old\n"));
    g_string_free(g_steal_pointer(&calls), TRUE);
}

/* Runs the operation on a new pool, with call number @fault failing. */
static gboolean play(const Operation *operation, guint fault, GError **error)
{
    gboolean done;

    passed = 0;
    fault_at = fault;
    done = operation->call(error);
    fault_at = 0;
    return done;
}

/*
 * Runs the operation without a fault. Returns the number of its calls, and in *ret_after the
 * resulting state.
 */
static guint play_undisturbed(const Operation *operation, char **ret_after)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *other_path = at("other");
    g_autofree char *text = NULL;
    g_auto(GStrv) parts = NULL;
    guint count;

    fill(operation->with_snapshot);
    calls = g_string_new(NULL);
    if (!play(operation, 0, &error))
        fail_msg("%s: %s", operation->what, error->message);
    count = passed;
    parts = g_strsplit(calls->str, other_path, -1);
    text = g_strjoinv("OTHER", parts);
    g_string_free(g_steal_pointer(&calls), TRUE);
    if (strcmp(text, operation->calls) != 0)
        fail_msg("%s: expected\n%sgot\n%s", operation->what, operation->calls, text);
    *ret_after = tree();
    return count;
}

static void each_operation_syncs_its_names_in_order(void **unused)
{
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        g_autofree char *after = NULL;

        assert_true(play_undisturbed(&operations[i], &after) > 0);
        assert_null(strstr(after, "DRAFT"));
    }
}

/* After a failure: the state is the old or the new one, and the repeated operation succeeds. */
static void check_failed(const Operation *operation, guint fault, const char *before,
                         const char *after)
{
    g_autofree char *now = tree();
    g_autofree char *repeated = NULL;
    g_autoptr(GError) error = NULL;

    if (strcmp(now, before) != 0 && !operation->may_be_done)
        fail_msg("%s, call %u failed: from\n%sto\n%s", operation->what, fault, before, now);
    if (!play(operation, 0, &error) &&
        (!operation->may_be_done || !g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND)))
        fail_msg("%s, call %u failed, and again: %s", operation->what, fault, error->message);
    assert_true(cst_pool_state_settle(pool, NULL));
    repeated = tree();
    if (strcmp(repeated, after) != 0)
        fail_msg("%s, call %u failed, repeated: expected\n%sgot\n%s", operation->what, fault, after,
                 repeated);
}

static void each_failing_call_keeps_the_old_state(void **unused)
{
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        const Operation *operation = &operations[i];
        g_autofree char *after = NULL;
        guint count = play_undisturbed(operation, &after);

        for (guint fault = 1; fault <= count; fault++) {
            g_autofree char *before = NULL, *now = NULL;
            g_autoptr(GError) error = NULL;

            fill(operation->with_snapshot);
            /* This preparation is not part of the operation. */
            if (operation->call == drop_old_name)
                g_free(output_of("ln pool/disk pool/new"));
            if (operation->call == complete_rename)
                g_free(output_of("mv pool/disk pool/new"));
            before = tree();
            if (!play(operation, fault, &error)) {
                /* A file that cannot be linked is copied. */
                if (error->code != CST_ERROR_IO && operation->call != take_from_other_pool)
                    fail_msg("%s, call %u failed: %s", operation->what, fault, error->message);
                check_failed(operation, fault, before, after);
                continue;
            }
            /* The removals at the next start were not needed for the result. */
            assert_true(cst_pool_state_settle(pool, NULL));
            now = tree();
            if (strcmp(now, after) != 0)
                fail_msg("%s, call %u failed, done: expected\n%sgot\n%s", operation->what, fault,
                         after, now);
        }
    }
}

/* --- reverting -------------------------------------------------------------------------------- */

/* Another program renames its own file over the volume, or over the draft of the revert. */
static void put_theirs_over(gpointer pattern)
{
    g_autofree char *command = g_strdup_printf("echo theirs >t; mv t pool/%s", (char *)pattern);

    g_free(output_of(command));
}

static void revert_is_denied_when_a_name_becomes_another_file(void **unused)
{
    static const char *const patterns[] = {"disk", ".cistern-*.part"};

    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *after = NULL;

        fill(TRUE);
        point_run("snapshot.draft.synced", put_theirs_over, (gpointer)patterns[i]);
        assert_false(revert(&error));
        points_clear();
        assert_int_equal(error->code, CST_ERROR_DENIED);
        after = tree();
        assert_int_equal(strstr(after, "now") != NULL, i == 1);
        assert_int_equal(strstr(after, "theirs") != NULL, i == 0);
    }
}

/* The file has the owner and mode of the volume, without set-id bits. */
static void revert_keeps_the_mode_without_set_id_bits(void **unused)
{
    g_autofree char *path = at("pool/disk");
    struct stat st;

    fill(TRUE);
    assert_int_equal(chmod(path, 06750), 0);
    assert_true(revert(NULL));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
}

/* --- the snapshot directory ------------------------------------------------------------------- */

/* Another process removes the last snapshot of another volume, and then the directory. */
static void remove_upper_once(const char *name)
{
    g_autofree char *upper = at("pool/.cistern-snapshots");

    if (strcmp(name, "disk") != 0)
        return;
    on_mkdir = NULL;
    assert_int_equal(rmdir(upper), 0);
}

static void snapshot_directory_removed_during_creation_is_created_again(void **unused)
{
    g_autofree char *path = at("pool/.cistern-snapshots/disk/new");

    on_mkdir = remove_upper_once;
    assert_true(snapshot(NULL));
    assert_null(on_mkdir);
    assert_int_equal(access(path, F_OK), 0);
}

static void drop_drafts(gpointer state)
{
    assert_true(cst_pool_state_settle(state, NULL));
}

/* The start of another process removes the draft of a dead maker before the abandon does. */
static void abandon_succeeds_when_another_process_drops_the_draft_first(void **unused)
{
    g_auto(CstVolDraft) draft = {.token = g_strdup("0-0")};
    g_autoptr(CstVolDef) def = cst_vol_def_new();
    g_autofree char *before = tree(), *after = NULL;

    def->name = g_strdup("new");
    assert_true(cst_pool_state_reserve(pool, def, &draft, NULL));
    assert_true(
        cst_pool_state_snapshot_create(pool, draft.name, "s", &(CstSnapshotCreate){0}, NULL, NULL));
    cst_vol_draft_clear(&draft);
    point_run("dir.abandon", drop_drafts, pool);
    assert_true(cst_pool_state_abandon(pool, "0-0", NULL));
    points_clear();
    after = tree();
    assert_string_equal(after, before);
}

/* The commit of a draft never adopts the snapshots of a deleted volume. */
static void commit_is_refused_while_snapshots_of_a_former_volume_exist(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL, *after = NULL;

    make_dir("pool/.cistern-snapshots", 0700);
    make_dir("pool/.cistern-snapshots/new", 0700);
    put_with_mode("pool/.cistern-snapshots/new/theirs", "theirs");
    before = tree();
    assert_false(make_with_snapshot(&error));
    assert_int_equal(error->code, CST_ERROR_EXISTS);
    after = tree();
    assert_string_equal(after, before);
}

/* --- a directory that cannot be read to its end ----------------------------------------------- */

static gboolean reads_fail;

struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);

struct dirent *__wrap_readdir64(DIR *dir)
{
    if (!reads_fail)
        return __real_readdir64(dir);
    errno = EIO;
    return NULL;
}

/* A short list would let a deletion pass that leaves the snapshots without their volume. */
static void list_of_snapshots_that_is_read_in_part_fails(void **unused)
{
    g_autoptr(GError) no_list = NULL, no_volumes = NULL;
    g_autoptr(GHashTable) volumes = NULL;
    g_autoptr(GPtrArray) list = NULL;

    fill(TRUE);
    reads_fail = TRUE;
    list = cst_pool_state_snapshots(pool, "disk", &no_list);
    cst_pool_state_snapshot_volumes(pool, &volumes, &no_volumes);
    reads_fail = FALSE;
    assert_null(list);
    assert_int_equal(cst_error_code(no_list), CST_ERROR_IO);
    assert_int_equal(cst_error_code(no_volumes), CST_ERROR_IO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_operation_syncs_its_names_in_order),
        TEST(mark_of_a_draft_is_removed_after_its_snapshots),
        TEST(each_failing_call_keeps_the_old_state),
        TEST(revert_is_denied_when_a_name_becomes_another_file),
        TEST(revert_keeps_the_mode_without_set_id_bits),
        TEST(snapshot_directory_removed_during_creation_is_created_again),
        TEST(list_of_snapshots_that_is_read_in_part_fails),
        TEST(abandon_succeeds_when_another_process_drops_the_draft_first),
        TEST(commit_is_refused_while_snapshots_of_a_former_volume_exist),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
