/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Directories with failing system calls, or with concurrent changes by another program. A failed
 * call reports the error and leaves no files. System calls fail on request, and extents are shared
 * by copying, so that every file system can be used.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <dir/dir.h>
#include <pool/pool.h>

#include "tree.h"

/* --- system calls ----------------------------------------------------------------------------- */

/* These functions are wrapped with --wrap. Call number @fault_at of @fault fails with EIO. */
static const char *fault;
static int fault_at;
static gboolean no_flags; /* renameat2() supports no flags, as on some network file systems */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __real_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __real_renameat(int from, const char *old, int to, const char *new);
int __wrap_renameat(int from, const char *old, int to, const char *new);
int __real_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __wrap_ioctl(int fd, unsigned long request, int from);
char *__real_cst_kernel_read(const char *path);
char *__wrap_cst_kernel_read(const char *path);

static gboolean strikes(const char *call)
{
    if (g_strcmp0(fault, call) != 0 || --fault_at != 0)
        return FALSE;
    errno = EIO;
    return TRUE;
}

char *__wrap_cst_kernel_read(const char *path)
{
    return strikes("cst_kernel_read") ? NULL : __real_cst_kernel_read(path);
}

int __wrap_fsync(int fd)
{
    return strikes("fsync") ? -1 : __real_fsync(fd);
}

int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
    return strikes("fchown") ? -1 : __real_fchown(fd, uid, gid);
}

int __wrap_fchmod(int fd, mode_t mode)
{
    return strikes("fchmod") ? -1 : __real_fchmod(fd, mode);
}

int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    if (no_flags && flags) {
        errno = EINVAL;
        return -1;
    }
    return strikes("rename") ? -1 : __real_renameat2(from, old, to, new, flags);
}

int __wrap_renameat(int from, const char *old, int to, const char *new)
{
    return strikes("rename") ? -1 : __real_renameat(from, old, to, new);
}

int __wrap_unlinkat(int fd, const char *name, int flags)
{
    return strikes("unlinkat") ? -1 : __real_unlinkat(fd, name, flags);
}

/* The content is short. */
int __wrap_ioctl(int fd, unsigned long request, int from)
{
    char content[64];
    ssize_t len;

    if (request != FICLONE) {
        errno = ENOTTY;
        return -1;
    }
    if (strikes("ioctl"))
        return -1;
    len = pread(from, content, sizeof(content), 0);
    return len >= 0 && pwrite(fd, content, (size_t)len, 0) == len ? 0 : -1;
}

/* --- the pool --------------------------------------------------------------------------------- */

static CstPoolState *pool;

static void put_writable(const char *name, const char *text)
{
    g_autofree char *path = at(name);

    put(name, text);
    assert_int_equal(chmod(path, 0666), 0);
}

/* Returns the output of @command, run by the shell in the parent directory of the pool. */
static char *output_of(const char *command)
{
    const char *const argv[] = {"sh", "-c", command, NULL};
    char *text = NULL;

    assert_true(g_spawn_sync(root, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text,
                             NULL, NULL, NULL));
    return text;
}

/* Returns every entry below the pool with its mode, and the content of files. */
static char *tree(void)
{
    return output_of("find pool -printf '%p %m\\n' | sort; find pool -type f | sort | xargs cat");
}

static CstPoolState *open_pool(const char *permissions)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='dir'><name>p</name><target><path>%s/pool</path>%s</target>"
                        "</pool>",
                        root, permissions);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);

    return cst_pool_state_open(def, NULL, NULL);
}

static int set_up(void **unused)
{
    root = g_dir_make_tmp("cistern-dir-XXXXXX", NULL);
    make_dir("pool", 0700);
    put_writable("pool/disk", "now");
    pool = open_pool("");
    fault = NULL;
    no_flags = FALSE;
    return 0;
}

static int tear_down(void **unused)
{
    g_free(output_of("rm -rf pool"));
    cst_pool_state_unref(pool);
    assert_int_equal(rmdir(root), 0);
    g_free(root);
    return 0;
}

static void assert_error(const GError *error, CstErrorCode code, const char *words)
{
    assert_non_null(error);
    if (error->code != (int)code || !strstr(error->message, words))
        fail_msg("%d %s", error->code, error->message);
}

/* --- calls that fail -------------------------------------------------------------------------- */

static gboolean make(CstVolType type, GError **error)
{
    g_auto(CstVolDraft) draft = {.token = g_strdup("token")};
    g_autoptr(CstVolDef) def = cst_vol_def_new();

    def->name = g_strdup("new");
    def->type = type;
    def->perms = (CstPerms){.mode = 0640, .uid = geteuid(), .gid = getegid()};
    if (cst_pool_state_reserve(pool, def, &draft, error) &&
        cst_pool_state_commit(pool, &draft, def, error))
        return TRUE;
    assert_true(cst_pool_state_abandon(pool, "token", NULL));
    return FALSE;
}

static gboolean make_file(GError **error)
{
    return make(CST_VOL_FILE, error);
}

static gboolean make_directory(GError **error)
{
    return make(CST_VOL_DIR, error);
}

static gboolean take(GError **error)
{
    return cst_pool_state_snapshot_create(pool, "disk", "new", &(CstSnapshotCreate){0}, NULL,
                                          error);
}

static gboolean revert(GError **error)
{
    return cst_pool_state_snapshot_revert(pool, "disk", "old", NULL, NULL, error);
}

static gboolean drop(GError **error)
{
    return cst_pool_state_snapshot_remove(pool, "disk", "old", NULL, error);
}

static gboolean rename_it(GError **error)
{
    return cst_pool_state_snapshot_rename(pool, "disk", "old", "new", error);
}

static gboolean build(GError **error)
{
    g_autoptr(CstPoolState) other =
        open_pool("<permissions><mode>0700</mode><owner>0</owner><group>0</group></permissions>");

    return cst_pool_state_build(other, 0, error);
}

static void plant_snapshot(void)
{
    make_dir("pool/.cistern-snapshots", 0700);
    make_dir("pool/.cistern-snapshots/disk", 0700);
    put_writable("pool/.cistern-snapshots/disk/old", "old");
}

/* @changed: the change has been made, but may be lost in a power failure. */
static void failed_call_leaves_no_residue(void **unused)
{
    static const struct {
        const char *what;
        gboolean (*call)(GError **error);
        const char *fault;
        int at;
        gboolean changed;
    } rows[] = {
        {"file: owner", make_file, "fchown", 1, FALSE},
        {"file: mode", make_file, "fchmod", 1, FALSE},
        {"file: content", make_file, "fsync", 1, FALSE},
        {"file: name", make_file, "rename", 1, FALSE},
        {"file: directory", make_file, "fsync", 2, FALSE},
        {"directory: owner", make_directory, "fchown", 1, FALSE},
        {"directory: mode", make_directory, "fchmod", 1, FALSE},
        {"directory: content", make_directory, "fsync", 1, FALSE},
        {"directory: name", make_directory, "rename", 1, FALSE},
        {"snapshot: directories", take, "fsync", 1, TRUE},
        {"snapshot: share", take, "ioctl", 1, FALSE},
        {"snapshot: content", take, "fsync", 3, FALSE},
        {"snapshot: name", take, "rename", 1, FALSE},
        {"snapshot: directory", take, "fsync", 4, FALSE},
        {"revert: share", revert, "ioctl", 1, FALSE},
        {"revert: owner", revert, "fchown", 1, FALSE},
        {"revert: mode", revert, "fchmod", 1, FALSE},
        {"revert: content", revert, "fsync", 1, FALSE},
        {"revert: name", revert, "rename", 1, FALSE},
        {"revert: directory", revert, "fsync", 2, TRUE},
        {"remove", drop, "unlinkat", 1, FALSE},
        {"remove: directory", drop, "fsync", 1, TRUE},
        {"rename", rename_it, "rename", 1, FALSE},
        {"rename: directory", rename_it, "fsync", 1, TRUE},
        {"build: owner", build, "fchown", 1, FALSE},
        {"build: mode", build, "fchmod", 1, FALSE},
        {"build: directory", build, "fsync", 1, FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        gboolean has_snapshot = rows[i].call != take;
        g_autofree char *before = NULL, *after = NULL;
        g_autoptr(GError) error = NULL;

        g_free(output_of("rm -rf pool/.cistern-snapshots"));
        put_writable("pool/disk", "now");
        if (has_snapshot)
            plant_snapshot();
        before = tree();
        fault = rows[i].fault;
        fault_at = rows[i].at;
        if (rows[i].call(&error) || !g_error_matches(error, CST_ERROR, CST_ERROR_IO))
            fail_msg("%s: %s", rows[i].what, error ? error->message : "it works");
        fault = NULL;
        after = tree();
        if (!rows[i].changed && strcmp(before, after) != 0)
            fail_msg("%s: from\n%sto\n%s", rows[i].what, before, after);
    }
}

/* --- concurrent changes ----------------------------------------------------------------------- */

static void name_used_during_a_commit_keeps_the_other_file(void **unused)
{
    static const CstVolType types[] = {CST_VOL_FILE, CST_VOL_DIR};

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_auto(CstVolDraft) draft = {.token = g_strdup("token")};
        g_autoptr(CstVolDef) def = cst_vol_def_new();
        g_autofree char *path = at("pool/new"), *before = NULL, *after = NULL;
        g_autoptr(GError) error = NULL;

        def->name = g_strdup("new");
        def->type = types[i];
        assert_true(cst_pool_state_reserve(pool, def, &draft, NULL));
        put_writable("pool/new", "theirs");
        assert_false(cst_pool_state_commit(pool, &draft, def, &error));
        assert_error(error, CST_ERROR_VOL_EXISTS, "'new'");
        assert_true(cst_pool_state_abandon(pool, "token", NULL));
        before = tree();
        assert_null(strstr(before, ".cistern-"));
        assert_non_null(strstr(before, "theirs"));
        g_clear_error(&error);
        assert_false(make(types[i], &error));
        assert_error(error, CST_ERROR_VOL_EXISTS, "'new'");
        after = tree();
        assert_string_equal(after, before);
        assert_int_equal(unlink(path), 0);
    }
}

/* The file is then linked and unlinked, which does not replace a file either. */
static void names_are_given_without_flags_of_renaming(void **unused)
{
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;

    no_flags = TRUE;
    assert_true(make(CST_VOL_FILE, NULL));
    plant_snapshot();
    put_writable("pool/.cistern-snapshots/disk/other", "other");
    assert_false(cst_pool_state_snapshot_rename(pool, "disk", "old", "other", &error));
    assert_error(error, CST_ERROR_EXISTS, "has a snapshot 'other' already");
    assert_true(cst_pool_state_snapshot_rename(pool, "disk", "old", "newer", NULL));
    after = tree();
    assert_string_equal(after, "pool 700\n"
                               "pool/.cistern-snapshots 700\n"
                               "pool/.cistern-snapshots/disk 700\n"
                               "pool/.cistern-snapshots/disk/newer 666\n"
                               "pool/.cistern-snapshots/disk/other 666\n"
                               "pool/disk 666\n"
                               "pool/new 640\n"
                               "oldothernow");
}

/*
 * Lost content cannot be restored. An empty directory can be made again, because another process
 * may have removed it.
 */
static void missing_draft_is_not_a_volume(void **unused)
{
    static const CstVolType types[] = {CST_VOL_FILE, CST_VOL_DIR};

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_auto(CstVolDraft) draft = {.token = g_strdup("token")};
        g_autoptr(CstVolDef) def = cst_vol_def_new();
        g_autofree char *path = at("pool/new");

        def->name = g_strdup("new");
        def->type = types[i];
        assert_true(cst_pool_state_reserve(pool, def, &draft, NULL));
        assert_true(cst_pool_state_abandon(pool, "token", NULL));
        assert_true(cst_pool_state_abandon(pool, "token", NULL));
        assert_int_equal(cst_pool_state_commit(pool, &draft, def, NULL), types[i] == CST_VOL_DIR);
        assert_int_equal(access(path, F_OK), types[i] == CST_VOL_DIR ? 0 : -1);
    }
}

static void missing_backing_store_is_refused(void **unused)
{
    g_auto(CstVolDraft) draft = {.token = g_strdup("token")};
    g_autoptr(CstVolDef) def = cst_vol_def_new();
    g_autofree char *path = at("pool/none"), *before = tree(), *after = NULL;
    g_autoptr(GError) error = NULL;

    def->name = g_strdup("new");
    def->backing = cst_backing_def_new(path, NULL);
    assert_false(cst_pool_state_reserve(pool, def, &draft, &error));
    assert_error(error, CST_ERROR_NOT_FOUND, "inaccessible backing store volume");
    after = tree();
    assert_string_equal(after, before);
}

/* --- snapshots -------------------------------------------------------------------------------- */

static void missing_snapshot_is_reported(void **unused)
{
    const CstSnapshotCreate limited = {.limit = 1};
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL, *after = NULL;

    plant_snapshot();
    put_writable("pool/.cistern-snapshots/disk/other", "other");
    before = tree();
    assert_false(cst_pool_state_snapshot_remove(pool, "disk", "none", NULL, &error));
    assert_error(error, CST_ERROR_NOT_FOUND, "has no snapshot 'none'");
    g_clear_error(&error);
    assert_false(cst_pool_state_snapshot_rename(pool, "disk", "none", "new", &error));
    assert_error(error, CST_ERROR_NOT_FOUND, "has no snapshot 'none'");
    g_clear_error(&error);
    assert_false(cst_pool_state_snapshot_rename(pool, "disk", "old", "other", &error));
    assert_error(error, CST_ERROR_EXISTS, "has a snapshot 'other' already");
    g_clear_error(&error);
    assert_false(
        cst_pool_state_snapshot_create(pool, "disk", "old", &(CstSnapshotCreate){0}, NULL, &error));
    assert_error(error, CST_ERROR_EXISTS, "has a snapshot 'old' already");
    g_clear_error(&error);
    assert_false(cst_pool_state_snapshot_create(pool, "disk", "new", &limited, NULL, &error));
    assert_error(error, CST_ERROR_ARGUMENT_UNSUPPORTED, "no size of their own");
    g_clear_error(&error);
    assert_null(cst_pool_state_snapshot_open(pool, "none", "old", &error));
    assert_error(error, CST_ERROR_NOT_FOUND, "volume 'none' has no snapshot 'old'");
    after = tree();
    assert_string_equal(after, before);
}

/* Drafts of living processes and snapshots stay; empty directories are removed. */
static void drafts_of_the_dead_are_dropped_among_snapshots(void **unused)
{
    g_autofree char *path = at("pool/.cistern-snapshots/disk"), *after = NULL;
    g_auto(CstDirHandle) dir = CST_DIR_HANDLE_NONE;
    g_auto(CstFd) live = -1;

    plant_snapshot();
    put_writable("pool/.cistern-snapshots/disk/.cistern-dead.part", "dead");
    assert_true(cst_handle_open(path, &dir, NULL));
    live = cst_dir_create_draft(&dir, ".cistern-live.part");
    assert_true(live >= 0);
    make_dir("pool/.cistern-snapshots/gone", 0700);
    put_writable("pool/.cistern-snapshots/gone/.cistern-dead.part", "dead");
    assert_true(cst_pool_state_settle(pool, NULL));
    after = tree();
    assert_null(strstr(after, "dead"));
    assert_null(strstr(after, "gone"));
    assert_non_null(strstr(after, ".cistern-live.part"));
    assert_non_null(strstr(after, "/old"));
}

static void add_name(const char *name, const char *new_name)
{
    g_autofree char *from = at(name), *to = at(new_name);

    assert_int_equal(link(from, to), 0);
}

/*
 * Snapshots marked with a second name of a dead maker's draft are removed with the draft. A file
 * that another user gives that name is not the draft, and neither is the file that has become the
 * volume.
 */
static void marked_snapshots_go_with_their_draft_alone(void **unused)
{
    static const char mark[] = "pool/.cistern-snapshots/disk/.cistern-a.part";
    g_autofree char *after = NULL;

    for (int planted = 0; planted < 2; planted++) {
        if (planted == 0)
            plant_snapshot();
        add_name("pool/disk", mark);
        if (planted)
            put_writable("pool/.cistern-a.part", "a stranger's");
        else
            add_name("pool/disk", "pool/.cistern-a.part");
        assert_true(cst_pool_state_settle(pool, NULL));
    }
    make_dir("pool/.cistern-snapshots/half", 0700);
    put_writable("pool/.cistern-snapshots/half/one", "one");
    put_writable("pool/.cistern-b.part", "a draft");
    add_name("pool/.cistern-b.part", "pool/.cistern-snapshots/half/.cistern-b.part");
    make_dir("pool/.cistern-snapshots/.cistern-c.part", 0700);
    put_writable("pool/.cistern-snapshots/.cistern-c.part/one", "one");
    assert_true(cst_pool_state_settle(pool, NULL));
    after = tree();
    assert_non_null(strstr(after, "disk/old"));
    assert_null(strstr(after, ".part"));
    assert_null(strstr(after, "/half"));
}

/* --- building and deleting -------------------------------------------------------------------- */

static void a_directory_is_deleted_when_it_is_empty(void **unused)
{
    g_autofree char *path = at("pool/disk"), *target = at("pool");
    g_autoptr(GError) error = NULL;

    for (int dry = 0; dry < 2; dry++) {
        cst_dry_run_set(dry);
        assert_false(cst_pool_state_destroy(pool, 0, &error));
        assert_error(error, CST_ERROR_IO, "failed to remove pool");
        assert_non_null(strstr(error->message, "not empty"));
        g_clear_error(&error);
    }
    assert_int_equal(unlink(path), 0);
    assert_false(cst_pool_state_destroy(pool, 0, &error));
    assert_error(error, CST_ERROR_DRY_RUN, "");
    g_clear_error(&error);
    assert_int_equal(access(target, F_OK), 0);
    cst_dry_run_set(FALSE);
    fault = "fsync";
    fault_at = 1;
    assert_false(cst_pool_state_destroy(pool, 0, &error));
    assert_error(error, CST_ERROR_IO, "");
    g_clear_error(&error);
    make_dir("pool", 0700);
    assert_true(cst_pool_state_destroy(pool, 0, NULL));
    assert_int_equal(access(target, F_OK), -1);
}

/* With and without a dry run: existing entries must be suitable, and missing ones would be made. */
static void obstacle_to_building_is_reported(void **unused)
{
    g_autofree char *target = at("pool");
    g_autoptr(GError) error = NULL;

    cst_dry_run_set(TRUE);
    assert_false(cst_pool_state_build(pool, 0, &error));
    assert_error(error, CST_ERROR_DRY_RUN, "");
    g_clear_error(&error);
    g_free(output_of("rm -rf pool"));
    assert_false(cst_pool_state_build(pool, 0, &error));
    assert_error(error, CST_ERROR_DRY_RUN, "");
    g_clear_error(&error);
    assert_int_equal(access(target, F_OK), -1);
    put_writable("pool", "a file");
    for (int dry = 1; dry >= 0; dry--) {
        cst_dry_run_set(dry);
        assert_false(cst_pool_state_build(pool, 0, &error));
        assert_error(error, CST_ERROR_IO, "/pool': Not a directory");
        g_clear_error(&error);
    }
    assert_int_equal(unlink(target), 0);
    assert_true(cst_pool_state_build(pool, 0, NULL));
    assert_int_equal(access(target, F_OK), 0);
}

/* Two boots with unknown ids are not equal. */
static void an_unknown_boot_is_no_known_one(void **unused)
{
    g_autofree char *line = NULL;
    CstPoolUsage usage;

    fault = "cst_kernel_read";
    fault_at = 1;
    line = cst_pool_state_identity(pool, NULL);
    assert_true(g_str_has_suffix(line, " boot=\n"));
    fault_at = 1;
    assert_true(
        cst_pool_state_expect(pool, "mounted=0 type=1 inode=2 device=3 boot=\n", FALSE, NULL));
    fault = NULL;
    assert_int_equal(fault_at, 0);
    assert_true(cst_pool_state_usage(pool, &usage, NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(failed_call_leaves_no_residue),
        TEST(name_used_during_a_commit_keeps_the_other_file),
        TEST(names_are_given_without_flags_of_renaming),
        TEST(missing_draft_is_not_a_volume),
        TEST(missing_backing_store_is_refused),
        TEST(missing_snapshot_is_reported),
        TEST(drafts_of_the_dead_are_dropped_among_snapshots),
        TEST(marked_snapshots_go_with_their_draft_alone),
        TEST(a_directory_is_deleted_when_it_is_empty),
        TEST(obstacle_to_building_is_reported),
        TEST(an_unknown_boot_is_no_known_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
