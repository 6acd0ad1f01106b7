/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Repair of a damaged repository. Sound content is kept, and lost ranges are reported. The next
 * backup replaces lost chunks. A repair that is killed at any step loses no chunk.
 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <points.h>
#include <sys/wait.h>

#include "pack.h"
#include "storm.h"

#define CHUNKS 6
#define SIZE   ((uint64_t)CHUNKS * SCRATCH_CHUNK)

typedef struct {
    uint8_t a[CHUNKS * SCRATCH_CHUNK], b[CHUNKS * SCRATCH_CHUNK];
    char id_a[CST_BACKUP_ID_TEXT], id_b[CST_BACKUP_ID_TEXT];
} Content;

/* Two volumes in two packs. */
static Content *make(Scratch *s)
{
    Content *content = g_new0(Content, 1);
    g_autoptr(CstRepo) repo = NULL;

    scratch_fill(content->a, SIZE, 1);
    scratch_fill(content->b, SIZE, 2);
    scratch_init(s, TRUE);
    repo = scratch_open(s);
    scratch_backup(repo, "a", content->a, SIZE, content->id_a);
    scratch_backup(repo, "b", content->b, SIZE, content->id_b);
    return content;
}

/* Flips a byte of the chunk with this content, in the pack that the index knows. */
static void damage_content(Scratch *s, const uint8_t *chunk)
{
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autofree char *path = NULL;
    uint8_t hash[REPO_HASH], byte;
    const IndexEntry *entry;
    char id[REPO_ID_TEXT];
    int fd;

    assert_true(repo_index_load(repo, NULL, NULL));
    assert_true(repo_chunk_name(&repo->keys, CHUNK_DATA, chunk, SCRATCH_CHUNK, hash, NULL));
    entry = repo_index_find(&repo->index, hash, CHUNK_DATA);
    assert_non_null(entry);
    path = g_build_filename(s->path, "packs",
                            repo_id_format(repo_index_pack_at(&repo->index, entry->pack)->id, id),
                            NULL);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, entry->chunk.offset + 9), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, entry->chunk.offset + 9), 1);
    close(fd);
}

/* Flips a byte of the third chunk of "a". */
static void damage_chunk(Scratch *s, const Content *content)
{
    damage_content(s, content->a + 2 * SCRATCH_CHUNK);
}

static void repair(Scratch *s, gboolean only_plan, CstRepairReport *report)
{
    g_autoptr(CstRepo) repo = scratch_open(s);
    GError *error = NULL;

    if (!cst_repo_repair(repo, only_plan, NULL, report, &error))
        fail_msg("%s", error->message);
}

static void assert_third_chunk_is_lost(const CstRepairReport *report, const Content *content)
{
    const CstRepairLoss *loss;

    assert_int_equal(report->losses->len, 1);
    loss = report->losses->pdata[0];
    assert_string_equal(loss->backup, content->id_a);
    assert_string_equal(loss->volume, "a");
    assert_int_equal(loss->offset, 2 * SCRATCH_CHUNK);
    assert_int_equal(loss->length, SCRATCH_CHUNK);
}

/* The next backup of the volume makes the earlier one whole again. */
static void assert_heals(Scratch *s, const Content *content)
{
    g_autoptr(CstRepo) repo = scratch_open(s);
    char id[CST_BACKUP_ID_TEXT];

    scratch_assert_holds(repo, content->id_b, "b", content->b, SIZE);
    scratch_backup(repo, "a", content->a, SIZE, id);
    scratch_assert_holds(repo, content->id_a, "a", content->a, SIZE);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
    scratch_prune(repo);
    scratch_assert_holds(repo, content->id_a, "a", content->a, SIZE);
}

static void damaged_chunk_is_dropped_reported_and_healed(void **state)
{
    Scratch *s = *state;
    g_autofree Content *content = make(s);
    g_auto(CstRepairReport) plan = {0}, report = {0}, again = {0};

    damage_chunk(s, content);
    repair(s, TRUE, &plan);
    assert_third_chunk_is_lost(&plan, content);
    repair(s, FALSE, &report);
    assert_int_equal(report.chunks, 1);
    assert_int_equal(report.packs, 1);
    assert_third_chunk_is_lost(&report, content);
    /* No damage is left. The lost range is still reported. */
    repair(s, FALSE, &again);
    assert_int_equal(again.chunks, 0);
    assert_int_equal(again.packs, 0);
    assert_third_chunk_is_lost(&again, content);
    assert_heals(s, content);
}

/*
 * Two backups at the same time store "a" twice: in its own pack, and in that of "b". One chunk of
 * "b" is damaged, too, so that both packs are replaced.
 */
static void damaged_chunk_with_a_sound_copy_is_not_lost(void **state)
{
    Scratch *s = *state;
    g_autofree Content *content = g_new0(Content, 1);
    const CstBackupHow how = {.host = "h"};
    CstRepo *repos[2];
    CstBackupWriter *writers[2];
    g_autofree uint8_t *lost = g_malloc(2 * SCRATCH_CHUNK);
    g_auto(CstRepairReport) report = {0};
    const CstRepairLoss *loss;

    scratch_fill(content->a, SIZE, 1);
    memcpy(content->b, content->a, SIZE);
    scratch_fill(content->b + 5 * SCRATCH_CHUNK, SCRATCH_CHUNK, 2);
    scratch_init(s, TRUE);
    for (guint i = 0; i < 2; i++) {
        repos[i] = scratch_open(s);
        writers[i] = cst_writer_new(repos[i], &how, NULL);
        assert_non_null(writers[i]);
    }
    for (guint i = 0; i < 2; i++) {
        CstBackupVolume volume = scratch_volume(i ? "b" : "a", SIZE);
        g_autoptr(CstBlob) blob = cst_blob_memory_new(i ? content->b : content->a, SIZE);

        assert_true(cst_writer_blob(writers[i], &volume, blob, NULL, NULL, NULL, NULL));
        assert_true(cst_writer_commit(writers[i], i ? content->id_b : content->id_a, NULL));
        cst_writer_free(writers[i]);
        cst_repo_close(repos[i]);
    }
    damage_chunk(s, content);
    damage_content(s, content->b + 5 * SCRATCH_CHUNK);
    damage_content(s, content->a + 5 * SCRATCH_CHUNK);
    repair(s, FALSE, &report);
    assert_int_equal(report.packs, 2);
    assert_int_equal(report.chunks, 3);
    assert_int_equal(report.losses->len, 2);
    for (guint i = 0; i < 2; i++) {
        loss = report.losses->pdata[i];
        assert_int_equal(loss->offset, 5 * SCRATCH_CHUNK);
        assert_int_equal(loss->length, SCRATCH_CHUNK);
    }
    /* A backup of the lost chunks alone makes both backups whole again. */
    memcpy(lost, content->a + 5 * SCRATCH_CHUNK, SCRATCH_CHUNK);
    memcpy(lost + SCRATCH_CHUNK, content->b + 5 * SCRATCH_CHUNK, SCRATCH_CHUNK);
    {
        g_autoptr(CstRepo) repo = scratch_open(s);
        char id[CST_BACKUP_ID_TEXT];

        scratch_backup(repo, "c", lost, 2 * SCRATCH_CHUNK, id);
    }
    assert_heals(s, content);
}

static void damaged_table_costs_its_pack_alone(void **state)
{
    Scratch *s = *state;
    g_autofree Content *content = make(s);
    g_auto(CstRepairReport) report = {0};

    /* Without an index, a pack with a truncated table is lost. */
    scratch_run("rm '%s'/index/*; cd '%s/packs'; truncate -s -3 \"$(ls -tr | head -1)\"", s->path,
                s->path);
    repair(s, FALSE, &report);
    assert_int_equal(report.packs, 1);
    assert_true(report.losses->len > 0);
    {
        g_autoptr(CstRepo) repo = scratch_open(s);

        scratch_backup(repo, "b", content->b, SIZE, content->id_b);
        scratch_backup(repo, "a", content->a, SIZE, content->id_a);
        scratch_assert_holds(repo, content->id_b, "b", content->b, SIZE);
    }
    assert_heals(s, content);
}

static void damaged_manifest_is_removed(void **state)
{
    Scratch *s = *state;
    g_autofree Content *content = make(s);
    g_auto(CstRepairReport) report = {0};
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(GPtrArray) backups = NULL;

    scratch_run("truncate -s -3 '%s/backups/%s'", s->path, content->id_b);
    repair(s, FALSE, &report);
    assert_int_equal(report.manifests->len, 1);
    assert_string_equal(report.manifests->pdata[0], content->id_b);
    repo = scratch_open(s);
    backups = cst_repo_backups(repo, NULL, NULL);
    assert_int_equal(backups->len, 1);
    scratch_assert_holds(repo, content->id_a, "a", content->a, SIZE);
}

/* Counts down to the call that fails with EIO. 0: no call fails. */
static guint failing_call;

static gboolean call_fails(void)
{
    if (failing_call == 0 || --failing_call > 0)
        return FALSE;
    errno = EIO;
    return TRUE;
}

int __real_openat64(int dirfd, const char *path, int flags, ...);
int __wrap_openat64(int dirfd, const char *path, int flags, ...);
ssize_t __real_pread64(int fd, void *data, size_t len, off64_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t len, off64_t offset);

int __wrap_openat64(int dirfd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    va_start(args, flags);
    if (flags & O_CREAT)
        mode = va_arg(args, mode_t);
    va_end(args);
    return call_fails() ? -1 : __real_openat64(dirfd, path, flags, mode);
}

ssize_t __wrap_pread64(int fd, void *data, size_t len, off64_t offset)
{
    return call_fails() ? -1 : __real_pread64(fd, data, len, offset);
}

/* The repository is sound. An open or a read that fails is not damage. */
static void file_that_cannot_be_read_is_not_removed(void **state)
{
    Scratch *s = *state;
    g_autofree Content *content = make(s);
    gboolean met = TRUE;
    guint nth;

    for (nth = 1; met; nth++) {
        g_auto(CstRepairReport) report = {0};
        g_autoptr(GError) error = NULL;
        {
            g_autoptr(CstRepo) repo = scratch_open(s);

            failing_call = nth;
            cst_repo_repair(repo, FALSE, NULL, &report, &error);
            met = failing_call == 0;
            failing_call = 0;
        }
        if (!error) {
            assert_int_equal(report.chunks + report.packs, 0);
            assert_int_equal(report.manifests->len + report.losses->len, 0);
        }
        {
            g_autoptr(CstRepo) repo = scratch_open(s);

            scratch_assert_holds(repo, content->id_a, "a", content->a, SIZE);
            scratch_assert_holds(repo, content->id_b, "b", content->b, SIZE);
        }
    }
    assert_in_range(nth, 20, 500);
}

static void die(gpointer data)
{
    _exit(0);
}

static void killed_repair_loses_no_chunk_and_can_be_repeated(void **state)
{
    Scratch *s = *state;

    for (guint i = 0; i < 4; i++) {
        g_autofree Content *content = NULL;
        g_auto(CstRepairReport) report = {0};
        int status;
        pid_t pid;

        scratch_run("rm -rf '%s'", s->path);
        content = make(s);
        damage_chunk(s, content);
        pid = fork();
        if (pid == 0) {
            scratch_child(s);
            if (i == 0)
                point_run("folder.publish.synced", die, NULL);
            else if (i == 1)
                point_run("folder.publish.renamed", die, NULL);
            else if (i == 2)
                point_run("repair.packs.written", die, NULL);
            else
                point_run("repair.packs.removed", die, NULL);
            repair(s, FALSE, &report);
            _exit(1); /* it has not passed the point */
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        repair(s, FALSE, &report);
        assert_third_chunk_is_lost(&report, content);
        assert_heals(s, content);
    }
}

/*
 * Repairs in a child whose @nth change of a file fails. Returns TRUE if the repair reached that
 * change.
 */
static gboolean repair_in_storm(Scratch *s, StormKind kind, unsigned nth)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        g_auto(CstRepairReport) report = {0};
        CstRepo *repo;
        gboolean done;

        scratch_child(s);
        repo = scratch_open(s);
        storm_arm(kind, nth, nth);
        done = cst_repo_repair(repo, FALSE, NULL, &report, NULL);
        if (storm_calm() >= nth)
            _exit(STORM_STATUS);
        _exit(done ? 0 : 4);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        fail_msg("storm %d at change %u: signal %d", (int)kind, nth, WTERMSIG(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == STORM_STATUS);
    return WEXITSTATUS(status) == STORM_STATUS;
}

static void repair_that_fails_at_any_change_loses_no_chunk_and_can_be_repeated(void **state)
{
    Scratch *s = *state;
    g_autofree Content *content = make(s);

    damage_chunk(s, content);
    scratch_run("cp -a '%s' '%s/damaged'", s->path, s->dir);
    for (StormKind kind = STORM_FULL; kind <= STORM_POWER; kind++) {
        gboolean met = TRUE;
        unsigned nth;

        for (nth = 1; met; nth++) {
            g_auto(CstRepairReport) report = {0};

            scratch_run("rm -rf '%s' && cp -a '%s/damaged' '%s'", s->path, s->dir, s->path);
            met = repair_in_storm(s, kind, nth);
            repair(s, FALSE, &report);
            assert_third_chunk_is_lost(&report, content);
            assert_heals(s, content);
        }
        assert_in_range(nth, 8, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(damaged_chunk_is_dropped_reported_and_healed),
        scratch_test(damaged_chunk_with_a_sound_copy_is_not_lost),
        scratch_test(damaged_table_costs_its_pack_alone),
        scratch_test(damaged_manifest_is_removed),
        scratch_test(file_that_cannot_be_read_is_not_removed),
        scratch_test(killed_repair_loses_no_chunk_and_can_be_repeated),
        scratch_test(repair_that_fails_at_any_change_loses_no_chunk_and_can_be_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
