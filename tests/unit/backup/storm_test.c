/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each change of a repository's files is once the last one: the disk is full, the process is
 * killed, or the power fails. Every earlier backup is intact afterwards, and the next program can
 * work.
 */
#include "scratch.h"

#include <sys/wait.h>

#include "storm.h"

#define SIZE (12 * SCRATCH_CHUNK)

typedef struct {
    Scratch *s;
    uint8_t kept[SIZE], other[SIZE], next[SIZE];
    char kept_id[CST_BACKUP_ID_TEXT], other_id[CST_BACKUP_ID_TEXT];
} Scene;

/*
 * Creates two backups. The tested operations forget the second one. The kept backup shares half of
 * its chunks with it, so that a prune has a pack to thin.
 */
static void prepare(Scene *scene)
{
    Scratch *s = scene->s;

    scratch_fill(scene->kept, SIZE, 1);
    scratch_fill(scene->other, SIZE, 2);
    memcpy(scene->other, scene->kept, SIZE / 2);
    scratch_fill(scene->next, SIZE, 3);
    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_backup(repo, "v", scene->other, SIZE, scene->other_id);
    scratch_backup(repo, "v", scene->kept, SIZE, scene->kept_id);
    scratch_run("cp -a '%s' '%s/good'", s->path, s->dir);
}

typedef gboolean (*Play)(Scene *scene, CstRepo *repo, GError **error);

static gboolean play_create(Scene *scene, CstRepo *repo, GError **error)
{
    char id[CST_BACKUP_ID_TEXT];

    return scratch_try(repo, "v", scene->next, SIZE, NULL, NULL, id, error);
}

static gboolean play_forget(Scene *scene, CstRepo *repo, GError **error)
{
    return cst_repo_forget(repo, (const char *const[]){scene->other_id, NULL}, error);
}

static gboolean play_prune(Scene *scene, CstRepo *repo, GError **error)
{
    CstPruneReport report;

    return play_forget(scene, repo, error) && cst_repo_prune(repo, FALSE, NULL, &report, error);
}

/*
 * Runs @play in a child. Returns TRUE if the storm was reached. The power may also fail after the
 * end.
 */
static gboolean storm(Scene *scene, Play play, StormKind kind, unsigned nth)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        CstRepo *repo;
        gboolean done;
        unsigned calls;

        scratch_child(scene->s);
        repo = scratch_open(scene->s);
        storm_arm(kind, nth, nth);
        done = play(scene, repo, NULL);
        calls = storm_calm();
        _exit(calls >= nth ? (done ? 3 : STORM_STATUS) : done ? 0 : 4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == STORM_STATUS);
    return WEXITSTATUS(status) == STORM_STATUS;
}

/* Verifies the repository, and that the next program can work. */
static void assert_fine(Scene *scene, Play play, gboolean done)
{
    g_autoptr(CstRepo) repo = scratch_open(scene->s);
    g_autoptr(GPtrArray) backups = cst_repo_backups(repo, NULL, NULL);
    GError *error = NULL;

    assert_non_null(backups);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
    scratch_assert_holds(repo, scene->kept_id, "v", scene->kept, SIZE);
    for (guint i = 0; i < backups->len; i++) {
        const CstBackup *backup = backups->pdata[i];
        const uint8_t *content = strcmp(backup->id, scene->kept_id) == 0    ? scene->kept
                                 : strcmp(backup->id, scene->other_id) == 0 ? scene->other
                                                                            : scene->next;

        scratch_assert_holds(repo, backup->id, "v", content, SIZE);
    }
    if (play == play_create)
        assert_in_range(backups->len, done ? 3 : 2, 3);
    else
        assert_in_range(backups->len, 1, done ? 1 : 2);
    if (!play_create(scene, repo, &error) || !play_prune(scene, repo, &error))
        fail_msg("%s", error->message);
    scratch_assert_holds(repo, scene->kept_id, "v", scene->kept, SIZE);
    scratch_assert_holds(repo, "latest", "v", scene->next, SIZE);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
    scratch_run("test -z \"$(ls '%s/drafts')\"", scene->s->path);
}

static void play_all(Scratch *s, Play play)
{
    Scene *scene = g_new0(Scene, 1);

    scene->s = s;
    prepare(scene);
    for (StormKind kind = STORM_FULL; kind <= STORM_POWER; kind++) {
        gboolean met = TRUE;
        unsigned nth;

        for (nth = 1; met; nth++) {
            /* Each power cut several times, for it loses now this and now that. */
            for (unsigned again = 0; again < (kind == STORM_POWER ? 4 : 1); again++) {
                scratch_run("rm -rf '%s' && cp -a '%s/good' '%s'", s->path, s->dir, s->path);
                met = storm(scene, play, kind, nth);
                assert_fine(scene, play, !met);
            }
        }
        assert_in_range(nth, 8, 200);
    }
    g_free(scene);
}

static void creating_a_backup(void **state)
{
    play_all(*state, play_create);
}

static void forgetting_and_pruning(void **state)
{
    play_all(*state, play_prune);
}

/* A repository that was not made whole can be made again. */
static void making_a_repository(void **state)
{
    Scratch *s = *state;
    gboolean met = TRUE;
    unsigned nth;

    for (nth = 1; met; nth++) {
        const CstRepoInit how = {&s->secret, SCRATCH_CHUNK, 1};
        const CstRepoOpen open = {.secret = &s->secret};
        int status;
        pid_t child;

        scratch_run("rm -rf '%s'", s->path);
        child = fork();
        if (child == 0) {
            scratch_child(s);
            storm_arm(STORM_POWER, nth, nth);
            (void)!cst_repo_init(s->path, &how, NULL);
            _exit(storm_calm() >= nth ? STORM_STATUS : 0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        met = WEXITSTATUS(status) == STORM_STATUS;
        g_autoptr(CstRepo) repo = cst_repo_open(s->path, &open, NULL);
        if (!repo) {
            assert_true(met);
            scratch_init(s, TRUE);
        }
    }
    assert_in_range(nth, 4, 40);
}

/* Chunks of an earlier volume may be lost after a failed write. */
static void writer_that_has_failed_cannot_commit(void **state)
{
    Scratch *s = *state;
    const CstBackupHow how = {0};
    CstBackupVolume volume = scratch_volume("a", SIZE), empty = scratch_volume("b", SIZE);
    g_autofree uint8_t *content = g_malloc(SIZE);
    g_autoptr(CstBlob) blob = NULL;
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, NULL);
    scratch_fill(content, SIZE, 1);
    blob = cst_blob_memory_new(content, SIZE);
    storm_arm(STORM_FULL, 4, 1);
    assert_false(cst_writer_blob(writer, &volume, blob, NULL, NULL, NULL, &error));
    assert_error(error, CST_ERROR_NO_SPACE);
    storm_calm();
    assert_true(cst_writer_volume(writer, &empty, NULL, NULL));
    assert_true(cst_writer_hole(writer, SIZE, NULL));
    assert_true(cst_writer_volume_end(writer, NULL));
    assert_false(cst_writer_commit(writer, id, &error));
    assert_error(error, CST_ERROR_STATE);
    cst_writer_free(g_steal_pointer(&writer));
    scratch_backup(repo, "v", content, SIZE, id);
    scratch_assert_holds(repo, id, "v", content, SIZE);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
}

static guint count_entries(const Scratch *s, const char *folder)
{
    g_autofree char *path = g_build_filename(s->path, folder, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;

    assert_non_null(dir);
    while (g_dir_read_name(dir))
        count++;
    return count;
}

/* Runs @play with a removal in @folder that fails, and then again without a fault. */
static void refuse_removal(Scene *scene, CstRepo *repo, const char *folder, Play play)
{
    GError *error = NULL;

    storm_refuse_removal(folder);
    assert_false(play(scene, repo, &error));
    assert_error(error, CST_ERROR_IO);
    assert_true(storm_removal_refused());
    scratch_assert_holds(repo, scene->kept_id, "v", scene->kept, SIZE);
    if (!play(scene, repo, &error))
        fail_msg("%s: %s", folder, error->message);
    scratch_assert_holds(repo, scene->kept_id, "v", scene->kept, SIZE);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
}

static void prune_fails_when_a_file_cannot_be_removed(void **state)
{
    static const char *const folders[] = {"packs", "index", "backups"};
    g_autofree Scene *scene = g_new0(Scene, 1);
    Scratch *s = scene->s = *state;

    prepare(scene);
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
        scratch_run("rm -rf '%s' && cp -a '%s/good' '%s'", s->path, s->dir, s->path);
        g_autoptr(CstRepo) repo = scratch_open(s);

        refuse_removal(scene, repo, folders[i], play_prune);
        assert_int_equal(count_entries(s, "packs"), 1);
        assert_int_equal(count_entries(s, "index"), 1);
    }
}

static gboolean play_repair(Scene *scene, CstRepo *repo, GError **error)
{
    g_auto(CstRepairReport) report = {0};

    return cst_repo_repair(repo, FALSE, NULL, &report, error);
}

/* The first pack, which the kept backup needs, stays sound: another one is damaged. */
static void repair_fails_when_a_pack_cannot_be_removed(void **state)
{
    g_autofree Scene *scene = g_new0(Scene, 1);
    Scratch *s = scene->s = *state;
    GError *error = NULL;
    char id[CST_BACKUP_ID_TEXT];

    prepare(scene);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_run("ls '%s/packs' > '%s/before'", s->path, s->dir);
    scratch_backup(repo, "v", scene->next, SIZE, id);
    /* The backup has several packs if its threads have written at the same time. */
    scratch_run("cd '%s/packs' && ls -S | grep -vxFf '%s/before' | head -n 1 > '%s/damaged' && "
                "printf xxxx | dd of=$(cat '%s/damaged') bs=1 seek=100 conv=notrunc 2>/dev/null",
                s->path, s->dir, s->dir, s->dir);
    storm_refuse_removal("packs");
    assert_false(play_repair(scene, repo, &error));
    assert_error(error, CST_ERROR_IO);
    assert_true(storm_removal_refused());
    assert_true(play_repair(scene, repo, NULL));
    scratch_assert_holds(repo, scene->kept_id, "v", scene->kept, SIZE);
    scratch_run("cd '%s/packs' && test ! -e $(cat '%s/damaged')", s->path, s->dir);
    scratch_run("ls '%s/packs' | grep -qvxFf '%s/before'", s->path, s->dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(creating_a_backup),
        scratch_test(forgetting_and_pruning),
        scratch_test(making_a_repository),
        scratch_test(writer_that_has_failed_cannot_commit),
        scratch_test(prune_fails_when_a_file_cannot_be_removed),
        scratch_test(repair_fails_when_a_pack_cannot_be_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
