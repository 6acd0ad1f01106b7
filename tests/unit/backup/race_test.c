/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A second process at exact places of an operation: while it locks, reads, writes, and prunes. */
#include "points.h"
#include "scratch.h"

#include "pack.h"
#include "repo.h"

int __wrap_fsync(int fd);

/* Tests do not wait for a real disk. */
int __wrap_fsync(int fd)
{
    return 0;
}

#define CHUNKS 20
#define SIZE   (CHUNKS * SCRATCH_CHUNK)

typedef void (*Act)(gpointer data);
typedef void (*Place)(Act act, gpointer data);

/* The second process: a repository object of its own on the same directory. */
typedef struct {
    Scratch *s;
    CstRepo *repo;
    uint8_t content[SIZE];
    char id[CST_BACKUP_ID_TEXT];
    unsigned acted, refused;
} Second;

static Second *second_new(Scratch *s)
{
    Second *second = g_new0(Second, 1);

    second->s = s;
    second->repo = scratch_open(s);
    scratch_fill(second->content, SIZE, 77);
    return second;
}

static void second_free(Second *second)
{
    cst_repo_close(second->repo);
    g_free(second);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Second, second_free)

static void count_refusal(Second *second, gboolean done, GError *error)
{
    second->acted++;
    if (done)
        return;
    assert_error(error, CST_ERROR_BUSY);
    second->refused++;
}

static void lock_exclusively(gpointer data)
{
    Second *second = data;
    GError *error = NULL;
    gboolean done = repo_lock(second->repo, TRUE, &error);

    count_refusal(second, done, error);
}

static void lock_shared(gpointer data)
{
    Second *second = data;
    GError *error = NULL;
    gboolean done = repo_lock(second->repo, FALSE, &error);

    count_refusal(second, done, error);
}

static void write_backup(gpointer data)
{
    Second *second = data;
    GError *error = NULL;
    gboolean done =
        scratch_try(second->repo, "w", second->content, SIZE, NULL, NULL, second->id, &error);

    count_refusal(second, done, error);
}

static void prune_all(gpointer data)
{
    Second *second = data;
    CstPruneReport report;
    GError *error = NULL;
    gboolean done = cst_repo_prune(second->repo, FALSE, NULL, &report, &error);

    count_refusal(second, done, error);
}

static void forget_written(gpointer data)
{
    Second *second = data;

    assert_true(cst_repo_forget(second->repo, (const char *const[]){second->id, NULL}, NULL));
    second->acted++;
}

/* --- places at which the second process acts, once -------------------------------------------- */

static void at_index_load(Act act, gpointer data)
{
    point_run("repo_index.load.listed", act, data);
}

static void at_backups(Act act, gpointer data)
{
    point_run("repo.backups.listed", act, data);
}

static void at_plan(Act act, gpointer data)
{
    point_run("prune.plan.made", act, data);
}

static void at_packs_written(Act act, gpointer data)
{
    point_run("prune.packs.written", act, data);
}

static void at_packs_removed(Act act, gpointer data)
{
    point_run("prune.packs.removed", act, data);
}

static void at_sync(Act act, gpointer data)
{
    point_run("folder.publish.synced", act, data);
}

static void at_rename(Act act, gpointer data)
{
    point_run("folder.publish.renamed", act, data);
}

static void assert_no_locks(const Scratch *s)
{
    scratch_run("test -z \"$(ls '%s/locks')\"", s->path);
}

/* --- locks ------------------------------------------------------------------------------------ */

/* The file is written first, so that a process that comes now sees it and gives way. */
static void lock_file_is_visible_before_its_owner_has_checked_for_conflicts(void **state)
{
    static const Act others[] = {lock_exclusively, lock_shared, lock_exclusively};
    Scratch *s = *state;

    scratch_init(s, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autoptr(CstRepo) one = scratch_open(s);
        g_autoptr(Second) second = second_new(s);

        point_run("repo.lock.written", others[i], second);
        assert_true(repo_lock(one, i != 2, NULL));
        assert_int_equal(second->acted, 1);
        assert_int_equal(second->refused, 1);
        points_clear();
        repo_unlock(one);
        /* The one that gave way left no file. */
        assert_no_locks(s);
    }
}

typedef struct {
    CstRepo *repo;
    gboolean exclusive, locked;
} Locking;

static gpointer try_lock(gpointer data)
{
    Locking *locking = data;

    locking->locked = repo_lock(locking->repo, locking->exclusive, NULL);
    return NULL;
}

/* Both have written their file before either checks. */
static void two_that_lock_at_once_never_both_hold_an_exclusive_lock(void **state)
{
    Scratch *s = *state;

    scratch_init(s, TRUE);
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        g_autoptr(CstRepo) one = scratch_open(s);
        g_autoptr(CstRepo) two = scratch_open(s);
        Locking first = {.repo = one, .exclusive = TRUE};
        Locking second = {.repo = two, .exclusive = exclusive};
        GThread *threads[2];

        point_hold("repo.lock.written");
        threads[0] = g_thread_new("first", try_lock, &first);
        threads[1] = g_thread_new("second", try_lock, &second);
        point_await("repo.lock.written", 2);
        point_release("repo.lock.written");
        g_thread_join(threads[0]);
        g_thread_join(threads[1]);
        assert_false(first.locked && second.locked);
        points_clear();
        repo_unlock(one);
        repo_unlock(two);
        assert_no_locks(s);
        assert_true(repo_lock(one, TRUE, NULL));
    }
}

/* Shared locks are compatible at any interleaving. */
static void shared_lock_is_granted_while_another_one_is_written(void **state)
{
    Scratch *s = *state;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) one = scratch_open(s);
    g_autoptr(Second) second = second_new(s);
    point_run("repo.lock.written", lock_shared, second);
    assert_true(repo_lock(one, FALSE, NULL));
    assert_int_equal(second->acted, 1);
    assert_int_equal(second->refused, 0);
    points_clear();
}

/* A refused prune has released its shared lock, so its index may be out of date afterwards. */
static void index_of_an_earlier_lock_is_not_used_after_the_next(void **state)
{
    Scratch *s = *state;
    g_autofree uint8_t *kept = g_malloc(SIZE), *other = g_malloc(SIZE);
    char kept_id[CST_BACKUP_ID_TEXT], other_id[CST_BACKUP_ID_TEXT];
    CstPruneReport report;
    GError *error = NULL;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) one = scratch_open(s);
    g_autoptr(CstRepo) two = scratch_open(s);
    scratch_fill(kept, SIZE, 1);
    scratch_fill(other, SIZE, 2);
    memcpy(other, kept, SIZE / 4);
    scratch_backup(one, "v", other, SIZE, other_id);
    scratch_backup(one, "v", kept, SIZE, kept_id);
    scratch_assert_holds(one, kept_id, "v", kept, SIZE);
    assert_true(repo_lock(two, FALSE, NULL));
    assert_false(cst_repo_prune(one, FALSE, NULL, &report, &error));
    assert_error(error, CST_ERROR_BUSY);
    assert_true(cst_repo_forget(two, (const char *const[]){other_id, NULL}, NULL));
    assert_true(scratch_prune(two).repacked > 0);
    cst_repo_close(g_steal_pointer(&two));
    scratch_assert_holds(one, kept_id, "v", kept, SIZE);
    /* A writer with the old index would omit chunks that have been removed. */
    scratch_backup(one, "w", other, SIZE, other_id);
    g_autoptr(CstRepo) fresh = scratch_open(s);
    scratch_assert_holds(fresh, other_id, "w", other, SIZE);
}

static void lock_that_is_held_is_kept_when_it_is_asked_for_again(void **state)
{
    Scratch *s = *state;
    CstPruneReport report;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) one = scratch_open(s);
    g_autoptr(Second) second = second_new(s);
    assert_true(repo_lock(one, TRUE, NULL));
    point_watch("repo.lock.written");
    assert_true(repo_lock(one, FALSE, NULL));
    assert_int_equal(point_passed("repo.lock.written"), 0);
    lock_shared(second);
    assert_int_equal(second->refused, 1);
    /* A plan needs no more than the shared lock, and does not give the exclusive one up. */
    assert_true(cst_repo_prune(one, TRUE, NULL, &report, NULL));
    lock_shared(second);
    assert_int_equal(second->refused, 2);
    points_clear();
}

/* --- another process publishes, or forgets ---------------------------------------------------- */

/* The backup appears after the packs were listed: it is judged whole, or not at all. */
static void backup_that_is_published_during_a_check_is_not_broken(void **state)
{
    Scratch *s = *state;
    const CstRepoCheck how = {.read_data = TRUE};
    uint8_t bytes[1000] = "some";
    char id[CST_BACKUP_ID_TEXT];

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) one = scratch_open(s);
    g_autoptr(Second) second = second_new(s);
    scratch_backup(one, "v", bytes, sizeof(bytes), id);
    for (int i = 0; i < 2; i++) {
        g_auto(CstRepoReport) report = {0};

        (i == 0 ? at_index_load : at_backups)(write_backup, second);
        assert_true(cst_repo_check(one, &how, NULL, &report, NULL));
        assert_int_equal(second->acted, i + 1);
        assert_int_equal(report.problems->len, 0);
        assert_int_equal(g_hash_table_size(report.broken), 0);
        points_clear();
        scratch_fill(second->content, SIZE, 78);
    }
    scratch_assert_holds(second->repo, id, "v", bytes, sizeof(bytes));
    assert_int_equal(scratch_problems(one, TRUE, FALSE), 0);
}

static void backup_that_is_published_during_a_plan_does_not_lack_content(void **state)
{
    Scratch *s = *state;
    uint8_t bytes[1000] = "some";
    char id[CST_BACKUP_ID_TEXT];
    CstPruneReport report;
    GError *error = NULL;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) one = scratch_open(s);
    g_autoptr(Second) second = second_new(s);
    scratch_backup(one, "v", bytes, sizeof(bytes), id);
    point_run("repo_index.load.listed", write_backup, second);
    if (!cst_repo_prune(one, TRUE, NULL, &report, &error))
        fail_msg("%s", error->message);
    assert_int_equal(second->acted, 1);
    points_clear();
    /* The next plan counts it, although this lock was held all the time. */
    assert_true(cst_repo_prune(one, TRUE, NULL, &report, NULL));
    assert_int_equal(report.packs, 2);
    assert_int_equal(report.removed_packs, 0);
    assert_int_equal(scratch_problems(one, TRUE, FALSE), 0);
}

static void backup_that_is_forgotten_while_backups_are_read_is_left_out(void **state)
{
    Scratch *s = *state;
    uint8_t bytes[1000] = "some";
    char id[CST_BACKUP_ID_TEXT];

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) one = scratch_open(s);
    g_autoptr(Second) second = second_new(s);
    scratch_backup(one, "v", bytes, sizeof(bytes), id);
    write_backup(second);
    point_run("repo.backups.listed", forget_written, second);
    g_autoptr(GPtrArray) backups = cst_repo_backups(one, NULL, NULL);
    assert_int_equal(second->acted, 2);
    assert_non_null(backups);
    assert_int_equal(backups->len, 1);
    assert_string_equal(((CstBackup *)backups->pdata[0])->id, id);
    points_clear();
}

/* A check skips damaged packs. No other user may treat its index as complete. */
static void index_of_a_check_that_has_skipped_a_pack_is_not_used(void **state)
{
    Scratch *s = *state;
    g_autofree uint8_t *content = g_malloc(SIZE);
    const CstBackupHow how = {0};
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_fill(content, SIZE, 1);
    scratch_backup(repo, "v", content, SIZE, id);
    /* Without an index, and with a wrong trailer. */
    scratch_run("rm '%s'/index/* && truncate -s -8 '%s'/packs/*", s->path, s->path);
    assert_true(scratch_problems(repo, FALSE, TRUE) > 0);
    assert_null(cst_writer_new(repo, &how, &error));
    assert_error(error, CST_ERROR_CORRUPT);
}

/*
 * --- a prune together with readers and writers ---------------------------------------------------
 */

/* Half of the kept backup's chunks are in a pack that is thinned. */
static void prepare_prune(CstRepo *repo, uint8_t *kept, char *ret_kept)
{
    g_autofree uint8_t *other = g_malloc(SIZE);
    char other_id[CST_BACKUP_ID_TEXT];

    scratch_fill(kept, SIZE, 1);
    scratch_fill(other, SIZE, 2);
    memcpy(other, kept, SIZE / 2);
    scratch_backup(repo, "v", other, SIZE, other_id);
    scratch_backup(repo, "v", kept, SIZE, ret_kept);
    assert_true(cst_repo_forget(repo, (const char *const[]){other_id, NULL}, NULL));
}

static void prune_holds_its_lock_at_every_step(void **state)
{
    static const Place steps[] = {at_plan, at_packs_written, at_packs_removed, at_sync, at_rename};
    static const Act others[] = {write_backup, lock_shared, prune_all};
    Scratch *s = *state;
    g_autofree uint8_t *kept = g_malloc(SIZE);
    char id[CST_BACKUP_ID_TEXT];

    for (guint step = 0; step < G_N_ELEMENTS(steps); step++)
        for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
            g_autoptr(CstRepo) one = NULL;
            g_autoptr(Second) second = NULL;

            scratch_run("rm -rf '%s'", s->path);
            scratch_init(s, FALSE);
            one = scratch_open(s);
            prepare_prune(one, kept, id);
            cst_repo_close(g_steal_pointer(&one));
            one = scratch_open(s);
            second = second_new(s);
            /* The lock is its own: its publication is the first pass of the two latter. */
            assert_true(repo_lock(one, TRUE, NULL));
            steps[step](others[i], second);
            assert_true(scratch_prune(one).repacked > 0);
            points_clear();
            assert_int_equal(second->acted, 1);
            assert_int_equal(second->refused, 1);
            /* It is free afterwards. */
            others[i](second);
            assert_int_equal(second->refused, 1);
            scratch_assert_holds(second->repo, id, "v", kept, SIZE);
            assert_int_equal(scratch_problems(second->repo, TRUE, FALSE), 0);
        }
}

/* A prune may not come between the packs of a backup and its manifest, nor while one is read. */
static void prune_is_refused_at_every_step_of_a_writer_and_a_reader(void **state)
{
    static const Place steps[] = {at_sync, at_rename, at_index_load};
    Scratch *s = *state;
    g_autofree uint8_t *content = g_malloc(SIZE);
    char id[CST_BACKUP_ID_TEXT];

    scratch_fill(content, SIZE, 1);
    for (guint step = 0; step < G_N_ELEMENTS(steps); step++) {
        g_autoptr(CstRepo) one = NULL;
        g_autoptr(Second) second = NULL;

        scratch_run("rm -rf '%s'", s->path);
        scratch_init(s, FALSE);
        one = scratch_open(s);
        second = second_new(s);
        assert_true(repo_lock(one, FALSE, NULL));
        point_run("pack_writer.pack.completed", prune_all, second);
        steps[step](prune_all, second);
        scratch_backup(one, "v", content, SIZE, id);
        assert_int_equal(second->acted, 2);
        assert_int_equal(second->refused, 2);
        points_clear();
        point_run("backup_blob.chunk.read", prune_all, second);
        scratch_assert_holds(one, id, "v", content, SIZE);
        assert_int_equal(second->refused, 3);
        points_clear();
        assert_int_equal(scratch_problems(one, TRUE, FALSE), 0);
    }
}

/* --- users of the shared lock ----------------------------------------------------------------- */

static void prune_is_refused_while_content_is_compared(void **state)
{
    Scratch *s = *state;
    uint8_t content[5000] = "content";
    char id[CST_BACKUP_ID_TEXT];

    scratch_init(s, FALSE);
    g_autoptr(CstRepo) one = scratch_open(s);
    scratch_backup(one, "v", content, sizeof(content), id);
    cst_repo_close(g_steal_pointer(&one));
    one = scratch_open(s);
    g_autoptr(CstBackup) backup = cst_repo_backup(one, id, NULL);
    g_autoptr(CstBackupProof) proof = cst_proof_new(one, backup->volumes->pdata[0], NULL);
    g_autoptr(Second) second = second_new(s);
    assert_non_null(proof);
    prune_all(second);
    assert_int_equal(second->refused, 1);
}

/* A chunk of the previous backup is reused only if it is readable. */
static void unreadable_chunk_of_the_previous_backup_is_not_reused(void **state)
{
    Scratch *s = *state;
    g_autofree uint8_t *content = g_malloc(SIZE);
    const CstBackupHow how = {0};
    CstBackupVolume volume = scratch_volume("v", SIZE);
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;

    scratch_init(s, FALSE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_fill(content, SIZE, 1);
    scratch_backup(repo, "v", content, SIZE, id);
    g_autoptr(CstBackup) backup = cst_repo_backup(repo, id, NULL);
    g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, NULL);
    assert_true(cst_writer_volume(writer, &volume, backup->volumes->pdata[0], NULL));
    assert_true(cst_writer_same(writer, SCRATCH_CHUNK, NULL));
    for (guint i = 0; i < repo->index.packs->len; i++)
        repo_index_pack_at(&repo->index, i)->present = FALSE;
    assert_false(cst_writer_same(writer, SCRATCH_CHUNK, &error));
    assert_error(error, CST_ERROR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(lock_file_is_visible_before_its_owner_has_checked_for_conflicts),
        scratch_test(two_that_lock_at_once_never_both_hold_an_exclusive_lock),
        scratch_test(shared_lock_is_granted_while_another_one_is_written),
        scratch_test(index_of_an_earlier_lock_is_not_used_after_the_next),
        scratch_test(lock_that_is_held_is_kept_when_it_is_asked_for_again),
        scratch_test(backup_that_is_published_during_a_check_is_not_broken),
        scratch_test(backup_that_is_published_during_a_plan_does_not_lack_content),
        scratch_test(backup_that_is_forgotten_while_backups_are_read_is_left_out),
        scratch_test(index_of_a_check_that_has_skipped_a_pack_is_not_used),
        scratch_test(prune_holds_its_lock_at_every_step),
        scratch_test(prune_is_refused_at_every_step_of_a_writer_and_a_reader),
        scratch_test(prune_is_refused_while_content_is_compared),
        scratch_test(unreadable_chunk_of_the_previous_backup_is_not_reused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
