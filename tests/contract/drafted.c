/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Snapshots in two steps, and the recorded consistency of snapshots. The calls are those of the
 * pool, on a state of their own. The service makes, writes and reads the volumes.
 */

#define BLOCKS ((guint)(VOLUME_SIZE / TAG_BLOCK))

static const CstSnapshotCreate plain; /* no record */

/* --- records ---------------------------------------------------------------------------------- */

static void take_snapshot(CstPoolState *state, const char *volume, const char *name,
                          const CstSnapshotCreate *how)
{
    g_autoptr(GError) error = NULL;

    cst_pool_state_snapshot_create(state, volume, name, how, NULL, &error);
    assert_no_error(error);
}

/* @reason NULL: no reason. */
static void assert_record(CstPoolState *state, const char *volume, const char *name,
                          CstConsistency consistency, const char *reason)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(state, volume, NULL);
    const CstSnapshot *found = NULL;

    for (guint i = 0; list && i < list->len; i++)
        if (strcmp(((const CstSnapshot *)list->pdata[i])->name, name) == 0)
            found = list->pdata[i];
    assert_non_null(found);
    if (found &&
        (found->consistency != consistency || g_strcmp0(found->consistency_reason, reason) != 0))
        fail_msg("'%s' of '%s': %d '%s' instead of %d '%s'", name, volume, found->consistency,
                 found->consistency_reason, consistency, reason);
}

static void clone_of(Site *site, const char *snapshot, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_snapshot_clone(site->pool, "v", snapshot, name, NULL, &error);
    assert_no_error(error);
}

static void revert_to(Site *site, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_snapshot_revert(site->pool, "v", name, NULL, NULL, &error);
    assert_no_error(error);
}

/* Images keep their snapshots without a record. */
static void record_stays_with_its_snapshot(Site *site)
{
    static const char reason[] = "the guest's agent did not answer: 100 %, \xc3\xa4=#@/\\'\"";
    const CstSnapshotCreate crash = {.consistency = CST_CONSISTENCY_CRASH,
                                     .consistency_reason = reason};
    g_autoptr(CstPoolState) state = site_open_state(site);

    if (site_has(site, GROUND_SNAPSHOTS_INSIDE))
        return;
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    take_snapshot(state, "v", "s", &crash);
    assert_record(state, "v", "s", CST_CONSISTENCY_CRASH, reason);
    assert_true(cst_vol_snapshot_rename(site->pool, "v", "s", "t", NULL, NULL));
    assert_record(state, "v", "t", CST_CONSISTENCY_CRASH, reason);
    take_snapshot(state, "v", "s", &plain);
    assert_record(state, "v", "s", CST_CONSISTENCY_UNKNOWN, NULL);
    assert_true(cst_vol_snapshot_delete(site->pool, "v", "s", NULL, NULL));
    revert_to(site, "t");
    content_assert_all(site, "v", 1);
    assert_record(state, "v", "t", CST_CONSISTENCY_CRASH, reason);
    take_snapshot(state, "v", "after", &plain);
    assert_record(state, "v", "after", CST_CONSISTENCY_UNKNOWN, NULL);
    clone_of(site, "t", "w");
    take_snapshot(state, "w", "of-clone", &plain);
    assert_record(state, "w", "of-clone", CST_CONSISTENCY_UNKNOWN, NULL);
    assert_record(state, "v", "t", CST_CONSISTENCY_CRASH, reason);
}

static void move_volume(CstPool *from, CstPool *to)
{
    const CstVolMove how = {0};
    g_autoptr(GError) error = NULL;

    cst_vol_move(from, "v", to, &how, NULL, &error);
    assert_no_error(error);
}

/* To a pool of the same kind, and back. */
static void record_moves_with_its_snapshot(Site *site)
{
    const CstSnapshotCreate frozen = {.consistency = CST_CONSISTENCY_FILESYSTEM,
                                      .consistency_reason = "no hooks"};
    g_autoptr(CstPoolState) state = site_open_state(site), after = NULL;
    g_autoptr(CstPool) other = NULL;

    if (site_has(site, GROUND_SNAPSHOTS_INSIDE))
        return;
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    take_snapshot(state, "v", "s", &frozen);
    take_snapshot(state, "v", "t", &plain);
    other = site_make_pool(site, "q");
    move_volume(site->pool, other);
    move_volume(other, site->pool);
    after = site_open_state(site);
    assert_record(after, "v", "s", CST_CONSISTENCY_FILESYSTEM, "no hooks");
    assert_record(after, "v", "t", CST_CONSISTENCY_UNKNOWN, NULL);
    content_assert_all(site, "v", 1);
}

static void each_level_is_recorded(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);

    if (site_has(site, GROUND_SNAPSHOTS_INSIDE))
        return;
    volume_make(site, "v", VOLUME_SIZE);
    for (int i = CST_CONSISTENCY_CRASH; i < CST_CONSISTENCY_LAST; i++)
        take_snapshot(state, "v", cst_consistency_word(i), &(CstSnapshotCreate){.consistency = i});
    for (int i = CST_CONSISTENCY_CRASH; i < CST_CONSISTENCY_LAST; i++)
        assert_record(state, "v", cst_consistency_word(i), i, NULL);
}

/* --- drafts ----------------------------------------------------------------------------------- */

static CstSnapshotDraft *begin_draft(CstPoolState *state, const char *name)
{
    g_autoptr(GError) error = NULL;
    CstSnapshotDraft *draft = cst_pool_state_snapshot_draft_begin(state, "v", name, &error);

    assert_no_error(error);
    return draft;
}

static void update_draft(CstPoolState *state, CstSnapshotDraft *draft)
{
    g_autoptr(GError) error = NULL;

    cst_pool_state_snapshot_draft_update(state, draft, &error);
    assert_no_error(error);
}

/* Commits and ends the draft. */
static void commit_draft(CstPoolState *state, CstSnapshotDraft *draft, const CstSnapshotCreate *how)
{
    g_autoptr(GError) error = NULL;

    cst_pool_state_snapshot_draft_commit(state, draft, how, &error);
    assert_no_error(error);
    cst_pool_state_snapshot_draft_end(state, draft);
}

static void assert_names(Site *site, const char *expected)
{
    g_autofree char *names = snapshot_names(site, "v");

    assert_string_equal(names, expected);
}

static void draft_is_refused(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autoptr(GError) error = NULL;

    if (site_has(site, GROUND_SNAPSHOTS_INSIDE))
        return;
    volume_make(site, "v", VOLUME_SIZE);
    assert_null(cst_pool_state_snapshot_draft_begin(state, "v", "s", &error));
    if (!cst_pool_state_has_snapshots(state))
        assert_error_says(&error, CST_ERROR_NO_SUPPORT, "no snapshots of its own");
    else
        assert_error(&error, CST_ERROR_UNSUPPORTED);
    assert_true(cst_vol_delete(site->pool, "v", 0, NULL, NULL));
}

static void draft_has_the_content_of_its_last_update(Site *site)
{
    const CstSnapshotCreate how = {.consistency = CST_CONSISTENCY_FILESYSTEM,
                                   .consistency_reason = "no hooks"};
    g_autoptr(CstPoolState) state = site_open_state(site);
    CstSnapshotDraft *draft;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    draft = begin_draft(state, "s");
    content_write(site, "v", 0, BLOCKS / 2, 2);
    update_draft(state, draft);
    content_write(site, "v", 0, BLOCKS, 3);
    update_draft(state, draft);
    assert_names(site, "");
    content_write(site, "v", BLOCKS / 2, 1, 4);
    commit_draft(state, draft, &how);
    assert_names(site, "s");
    assert_record(state, "v", "s", CST_CONSISTENCY_FILESYSTEM, "no hooks");
    revert_to(site, "s");
    content_assert_all(site, "v", 3);
}

static void draft_without_an_update_has_the_content_of_its_begin(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    CstSnapshotDraft *draft;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    draft = begin_draft(state, "s");
    content_write(site, "v", 0, BLOCKS, 2);
    commit_draft(state, draft, &plain);
    content_assert_all(site, "v", 2);
    revert_to(site, "s");
    content_assert_all(site, "v", 1);
}

/* No file and no directory of snapshots is left. */
static void assert_only_volume(Site *site, CstPoolState *state)
{
    g_autofree char *native = site_native(site, "p");
    g_autoptr(GHashTable) names = NULL;

    assert_string_equal(native, "v");
    assert_true(cst_pool_state_snapshot_volumes(state, &names, NULL));
    assert_int_equal(names ? g_hash_table_size(names) : 0, 0);
}

static void ended_draft_leaves_nothing(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    CstSnapshotDraft *draft;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    draft = begin_draft(state, "s");
    update_draft(state, draft);
    cst_pool_state_snapshot_draft_end(state, draft);
    assert_only_volume(site, state);
    content_assert_all(site, "v", 1);
}

static void second_of_two_drafts_of_a_name_fails(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    CstSnapshotDraft *first, *second;
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    first = begin_draft(state, "s");
    second = begin_draft(state, "s");
    content_write(site, "v", 0, BLOCKS, 2);
    update_draft(state, second);
    commit_draft(state, first, &plain);
    assert_false(cst_pool_state_snapshot_draft_commit(state, second, &plain, &error));
    assert_error_says(&error, CST_ERROR_EXISTS, "has a snapshot 's' already");
    cst_pool_state_snapshot_draft_end(state, second);
    assert_null(cst_pool_state_snapshot_draft_begin(state, "v", "s", &error));
    assert_error_says(&error, CST_ERROR_EXISTS, "has a snapshot 's' already");
    assert_names(site, "s");
    revert_to(site, "s");
    content_assert_all(site, "v", 1);
    assert_true(cst_vol_snapshot_delete(site->pool, "v", "s", NULL, NULL));
    assert_only_volume(site, state);
}

/* Begins a draft in another process, and returns when it exists. */
static pid_t begin_elsewhere(CstPoolState *state)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!cst_pool_state_snapshot_draft_begin(state, "v", "s", NULL) ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void draft_is_dropped_only_after_its_process(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autofree char *with_draft = NULL, *meanwhile = NULL;
    gboolean settled;
    pid_t pid;

    volume_make(site, "v", VOLUME_SIZE);
    site_stop_service(site);
    pid = begin_elsewhere(state);
    with_draft = site_native(site, "p");
    settled = cst_pool_state_settle(state, NULL);
    meanwhile = site_native(site, "p");
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_string_not_equal(with_draft, "v");
    assert_true(settled);
    assert_string_equal(meanwhile, with_draft);
    assert_true(cst_pool_state_settle(state, NULL));
    assert_only_volume(site, state);
    site_start_service(site);
}

static void update_of_a_replaced_volume_is_refused(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autoptr(GError) error = NULL;
    CstSnapshotDraft *draft;

    volume_make(site, "v", VOLUME_SIZE);
    draft = begin_draft(state, "s");
    site->ground->native_delete("p", "v");
    assert_false(cst_pool_state_snapshot_draft_update(state, draft, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "'v'");
    site->ground->native_create("p", "v", VOLUME_SIZE);
    assert_false(cst_pool_state_snapshot_draft_update(state, draft, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "'v'");
    cst_pool_state_snapshot_draft_end(state, draft);
    assert_only_volume(site, state);
}

/* One size is no multiple of the file system's block size. */
static void draft_has_the_size_of_its_last_update(Site *site)
{
    static const uint64_t sizes[] = {VOLUME_SIZE / 2, VOLUME_SIZE / 4 + 512, 2 * VOLUME_SIZE, 512,
                                     VOLUME_SIZE};
    g_autoptr(CstPoolState) state = site_open_state(site);

    uint64_t size = VOLUME_SIZE;

    volume_make(site, "v", size);
    content_write(site, "v", 0, BLOCKS, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *name = g_strdup_printf("s%zu", i);
        CstSnapshotDraft *draft = begin_draft(state, name);
        g_autoptr(GByteArray) now = NULL, then = NULL;
        g_autoptr(GError) error = NULL;

        cst_vol_resize(site->pool, "v", sizes[i], sizes[i] < size ? CST_VOL_RESIZE_SHRINK : 0, NULL,
                       &error);
        assert_no_error(error);
        size = sizes[i];
        update_draft(state, draft);
        commit_draft(state, draft, &plain);
        now = content_sent(site, "v", NULL);
        then = content_sent(site, "v", name);
        assert_int_equal(then->len, size);
        assert_int_equal(now->len, then->len);
        assert_memory_equal(now->data, then->data, now->len);
    }
}

const ContractTest drafted_tests[] = {
    {"the record of a snapshot stays with it", record_stays_with_its_snapshot, GROUND_SNAPSHOTS,
     NULL},
    {"the record of a snapshot moves with it", record_moves_with_its_snapshot, GROUND_SNAPSHOTS,
     NULL},
    {"each level of consistency is recorded with a snapshot", each_level_is_recorded,
     GROUND_SNAPSHOTS, NULL},
    {"a draft of a snapshot has the content of its last update",
     draft_has_the_content_of_its_last_update, GROUND_DRAFTS, draft_is_refused},
    {"a draft of a snapshot without an update has the content of its begin",
     draft_without_an_update_has_the_content_of_its_begin, GROUND_DRAFTS, NULL},
    {"a draft of a snapshot that is ended leaves nothing", ended_draft_leaves_nothing,
     GROUND_DRAFTS, NULL},
    {"the second of two drafts of a snapshot's name fails", second_of_two_drafts_of_a_name_fails,
     GROUND_DRAFTS, NULL},
    {"a draft of a snapshot is dropped only after its process",
     draft_is_dropped_only_after_its_process, GROUND_DRAFTS, NULL},
    {"an update of the draft of a snapshot of a replaced volume is refused",
     update_of_a_replaced_volume_is_refused, GROUND_DRAFTS, NULL},
    {"a draft of a snapshot has the size of its last update", draft_has_the_size_of_its_last_update,
     GROUND_DRAFTS | GROUND_RESIZES, NULL},
    {0},
};
