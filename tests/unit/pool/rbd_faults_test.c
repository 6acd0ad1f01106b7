/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd_site.h"

#include <errno.h>
#include <string.h>

#include <blob/ceph.h>
#include <model/flags.h>

#include "no_memory.h"

/*
 * Each call of Ceph fails once, or cannot allocate memory for its result. The operation then
 * reports an error or completes its work. After a restart of the pool the operation is repeated,
 * and the state is that of a run without a fault.
 */

#define SIZE (8 * CST_MIB)

static const char *const functions[] = {
#define NAME(function) #function,
    CST_CEPH_FUNCTIONS(NAME)
#undef NAME
        "OSD",
    "read", "write", "flush", NULL};

typedef struct {
    const char *name;
    void (*prepare)(CstPoolState *state);
    gboolean (*run)(CstPoolState *state, GError **error);
    const char *token; /* of the draft that a failure leaves, for the service to abandon */
    int again;         /* error of a repetition; 0: success */
} Operation;

/* --- operations ------------------------------------------------------------------------------- */

static void nothing(CstPoolState *state)
{
}

static void a_volume(CstPoolState *state)
{
    assert_true(site_make(state, "v", SIZE, "", NULL));
    site_write(state, "v", "now");
}

static void with_a_snapshot(CstPoolState *state)
{
    a_volume(state);
    site_snap(state, "v", "s");
    site_write(state, "v", "new");
}

static void with_a_clone(CstPoolState *state)
{
    a_volume(state);
    assert_true(site_clone(state, "c", SIZE, "v", NULL, NULL));
}

/* A clone whose last step failed: the draft, its helper snapshot, and the note exist. */
static void with_a_failed_clone(CstPoolState *state)
{
    a_volume(state);
    fake_ceph_fail("rbd_pool_metadata_remove", 0, 1, -EIO);
    assert_false(site_clone(state, "c", SIZE, "v", NULL, NULL));
}

/* The state after crashes: a noted but unfinished revert, and an origin that was not released. */
static void with_notes(CstPoolState *state)
{
    with_a_snapshot(state);
    assert_true(site_clone(state, "c", SIZE, "v", NULL, NULL));
    fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
    assert_false(cst_pool_state_snapshot_revert(state, "v", "s", NULL, NULL, NULL));
    fake_ceph_fail("rbd_pool_metadata_remove", 0, 1, -EIO);
    assert_true(cst_pool_state_delete(state, "c", 0, NULL));
    fake_ceph_fail("rbd_pool_metadata_remove", 0, 0, 0); /* a helper in the trash has no note */
}

static void with_a_clone_of_a_snapshot(CstPoolState *state)
{
    with_a_snapshot(state);
    assert_true(site_clone(state, "c", SIZE, "v", "s", NULL));
}

static gboolean make(CstPoolState *state, GError **error)
{
    return site_make(state, "new", SIZE, "", error);
}

static gboolean clone_now(CstPoolState *state, GError **error)
{
    return site_clone(state, "new", SIZE, "v", NULL, error);
}

static gboolean clone_larger(CstPoolState *state, GError **error)
{
    return site_clone(state, "new", SIZE + 1, "v", NULL, error);
}

static gboolean clone_snapshot(CstPoolState *state, GError **error)
{
    return site_clone(state, "new", SIZE, "v", "s", error);
}

static gboolean delete_volume(CstPoolState *state, GError **error)
{
    return cst_pool_state_delete(state, "v", CST_VOL_DELETE_WITH_SNAPSHOTS, error);
}

static gboolean delete_clone(CstPoolState *state, GError **error)
{
    return cst_pool_state_delete(state, "c", 0, error);
}

static gboolean resize(CstPoolState *state, GError **error)
{
    return cst_pool_state_vol_resize(state, "v", SIZE / 2, NULL, error);
}

static gboolean flatten(CstPoolState *state, GError **error)
{
    return cst_pool_state_vol_flatten(state, "c", NULL, error);
}

static gboolean snap(CstPoolState *state, GError **error)
{
    CstSnapshotCreate how = {0};

    return cst_pool_state_snapshot_create(state, "v", "new", &how, NULL, error);
}

static gboolean remove_snap(CstPoolState *state, GError **error)
{
    return cst_pool_state_snapshot_remove(state, "v", "s", NULL, error);
}

static gboolean rename_snap(CstPoolState *state, GError **error)
{
    return cst_pool_state_snapshot_rename(state, "v", "s", "t", error);
}

static gboolean revert(CstPoolState *state, GError **error)
{
    return cst_pool_state_snapshot_revert(state, "v", "s", NULL, NULL, error);
}

static gboolean abandon(CstPoolState *state, GError **error)
{
    return cst_pool_state_abandon(state, "c", error);
}

static gboolean settle(CstPoolState *state, GError **error)
{
    return cst_pool_state_settle(state, error);
}

static gboolean rename_volume(CstPoolState *state, GError **error)
{
    return cst_pool_state_rename(state, "v", "w", error);
}

/* Queries do not change the cluster. Their results must be complete. */

static gboolean ask_holders(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) holders = cst_pool_state_vol_holders(state, "v", error);

    assert_true(!holders || holders->len == 0);
    return holders != NULL;
}

static gboolean ask_children(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) children = cst_pool_state_vol_children(state, "v", error);

    assert_true(!children || children->len == 1);
    return children != NULL;
}

static gboolean ask_snapshots(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(state, "v", error);

    return list != NULL;
}

static gboolean read_snapshot(CstPoolState *state, GError **error)
{
    g_autoptr(CstBlob) blob = cst_pool_state_snapshot_open(state, "v", "s", error);
    char buf[4] = "";

    if (!blob || !cst_blob_pread(blob, buf, 3, 0, error))
        return FALSE;
    assert_string_equal(buf, "now");
    return TRUE;
}

static gboolean ask_usage(CstPoolState *state, GError **error)
{
    CstPoolUsage usage = {0};

    if (!cst_pool_state_usage(state, &usage, error))
        return FALSE;
    assert_int_equal(usage.capacity, 1000 * 1024);
    assert_int_equal(usage.available, 600 * 1024);
    assert_int_equal(usage.allocation, 12345);
    return TRUE;
}

static gboolean ask_for_one(CstPoolState *state, GError **error)
{
    g_autofree char *line = site_scan_one(state, "c", error);

    if (line)
        assert_string_equal(line, "c 8388608 0 libvirt/v -\n");
    return line != NULL;
}

/* If a property of a volume cannot be read, the listing reports this. */
static gboolean ask_for_all(CstPoolState *state, GError **error)
{
    g_autofree char *lines = site_scan(state, error);

    if (lines)
        assert_true(g_str_has_prefix(lines, "c 8388608 ") && strstr(lines, "\nv 8388608 "));
    return lines != NULL;
}

static const Operation operations[] = {
    {"make", nothing, make, "new", CST_ERROR_VOL_EXISTS},
    {"clone", a_volume, clone_now, "new", CST_ERROR_VOL_EXISTS},
    {"clone, larger", a_volume, clone_larger, "new", CST_ERROR_VOL_EXISTS},
    {"clone a snapshot", with_a_snapshot, clone_snapshot, "new", CST_ERROR_VOL_EXISTS},
    {"delete", with_a_snapshot, delete_volume, NULL, CST_ERROR_NO_VOL},
    {"delete a clone", with_a_clone, delete_clone, NULL, CST_ERROR_NO_VOL},
    {"delete a snapshot's clone", with_a_clone_of_a_snapshot, delete_clone, NULL, CST_ERROR_NO_VOL},
    {"resize", a_volume, resize, NULL, 0},
    {"flatten", with_a_clone, flatten, NULL, CST_ERROR_STATE},
    {"flatten a snapshot's clone", with_a_clone_of_a_snapshot, flatten, NULL, CST_ERROR_STATE},
    {"snapshot", a_volume, snap, NULL, CST_ERROR_EXISTS},
    {"remove a snapshot", with_a_snapshot, remove_snap, NULL, CST_ERROR_NOT_FOUND},
    {"rename a snapshot", with_a_snapshot, rename_snap, NULL, CST_ERROR_NOT_FOUND},
    {"revert", with_a_snapshot, revert, NULL, 0},
    {"abandon a clone", with_a_failed_clone, abandon, NULL, 0},
    {"settle", with_notes, settle, NULL, 0},
    {"rename", a_volume, rename_volume, NULL, 0},
    {"holders", a_volume, ask_holders, NULL, 0},
    {"children", with_a_clone, ask_children, NULL, 0},
    {"snapshots", with_a_snapshot, ask_snapshots, NULL, 0},
    {"read a snapshot", with_a_snapshot, read_snapshot, NULL, 0},
    {"usage", nothing, ask_usage, NULL, 0},
    {"one volume", with_a_clone, ask_for_one, NULL, 0},
    {"all volumes", with_a_clone, ask_for_all, NULL, 0},
};

/* --- running them ----------------------------------------------------------------------------- */

static int release; /* minimum client release of the cluster */

static CstPoolState *begin(const Operation *operation)
{
    CstPoolState *state;

    fake_ceph_reset();
    fake_ceph_require_release(release);
    state = site_open("");
    assert_true(cst_pool_state_start(state, NULL));
    operation->prepare(state);
    ceph_await_quiet();
    return state;
}

static void assert_dump(const char *expected, const Operation *operation, const char *function,
                        guint skipped)
{
    g_autofree char *found = fake_ceph_dump("libvirt", "");

    if (strcmp(found, expected) != 0)
        fail_msg("%s, call %u of %s failed:\n%sinstead of\n%s", operation->name, skipped, function,
                 found, expected);
}

/*
 * Runs the service's actions after a failure, then the actions of the pool's next start, and
 * repeats both.
 */
static void recover(CstPoolState *state, const Operation *operation, gboolean done)
{
    g_autoptr(GError) error = NULL;

    if (!done && operation->token)
        assert_true(cst_pool_state_abandon(state, operation->token, NULL));
    assert_true(cst_pool_state_stop(state, NULL));
    assert_true(cst_pool_state_start(state, NULL));
    assert_true(cst_pool_state_settle(state, NULL));
    if (!done && !operation->run(state, &error) && error->code != operation->again)
        fail_msg("%s, again: %s", operation->name, error->message);
    assert_true(cst_pool_state_settle(state, NULL));
}

static void play(const Operation *operation, const char *function, guint skip, const char *good)
{
    g_autoptr(CstPoolState) state = begin(operation);
    g_autoptr(GError) error = NULL;
    gboolean done;

    fake_ceph_fail(function, skip, 1, -EIO);
    done = operation->run(state, &error);
    /* A revert that cannot be finished now is left for later, like that of a volume in use. */
    if (!done && error->code != CST_ERROR_IO && error->code != CST_ERROR_UNSUPPORTED &&
        (operation->run != settle || error->code != CST_ERROR_BUSY))
        fail_msg("%s, call %u of %s failed: %s", operation->name, skip, function, error->message);
    fake_ceph_fail(function, 0, 0, 0);
    ceph_await_quiet();
    recover(state, operation, done);
    assert_dump(good, operation, function, skip);
    ceph_await_quiet();
}

/* Returns whether the selected allocation existed. */
static gboolean play_no_memory(const Operation *operation, guint nth, const char *good)
{
    g_autoptr(CstPoolState) state = begin(operation);
    g_autoptr(GError) error = NULL;
    gboolean done, struck;

    no_memory_arm(nth);
    done = operation->run(state, &error);
    struck = no_memory_struck();
    no_memory_arm(0);
    if (!done && error->code != CST_ERROR_NO_MEMORY)
        fail_msg("%s, allocation %u: %s", operation->name, nth, error->message);
    ceph_await_quiet();
    recover(state, operation, done);
    assert_dump(good, operation, "no memory", nth);
    ceph_await_quiet();
    return struck;
}

/*
 * Completions never fail, and a failed close still closes. If the minimum client release is
 * unknown, version 1 of clones is used, which all clients support.
 */
static gboolean can_fail(const char *function)
{
    static const char *const others[] = {"rados_aio_create_completion2", "rbd_close",
                                         "rados_get_min_compatible_client", NULL};

    return !g_strv_contains(others, function);
}

static void play_with_each_fault(const Operation *operation)
{
    g_autofree char *good = NULL;
    guint before[G_N_ELEMENTS(functions)], after[G_N_ELEMENTS(functions)];
    CstPoolState *state = begin(operation);
    g_autoptr(GError) error = NULL;
    guint nth = 1;

    for (size_t i = 0; functions[i]; i++)
        before[i] = fake_ceph_calls(functions[i]);
    if (!operation->run(state, &error))
        fail_msg("%s: %s", operation->name, error->message);
    for (size_t i = 0; functions[i]; i++)
        after[i] = fake_ceph_calls(functions[i]);
    good = fake_ceph_dump("libvirt", "");
    cst_pool_state_unref(state);
    for (size_t i = 0; functions[i]; i++)
        for (guint skip = 0; can_fail(functions[i]) && skip < after[i] - before[i]; skip++)
            play(operation, functions[i], skip, good);
    while (play_no_memory(operation, nth, good))
        nth++;
}

static void failed_call_leaves_no_half_done_change(void **state)
{
    for (release = 12; release <= 13; release++)
        for (size_t i = 0; i < G_N_ELEMENTS(operations); i++)
            play_with_each_fault(&operations[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_call_leaves_no_half_done_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
