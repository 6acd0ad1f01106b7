/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that change a repository's files, in their order: each file is synced before it gets
 * its name, each directory afterwards, packs before their index, and both before the manifest. Each
 * of the calls fails in turn, alone: the failure is reported, and leaves no draft and no lock.
 */
#include "scratch.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>

#include "pack.h"

#define SIZE (6 * SCRATCH_CHUNK)

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
int __real_renameat(int olddir, const char *old, int newdir, const char *new);
int __real_unlinkat(int dir, const char *name, int flags);
int __real_flock(int fd, int operation);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
int __wrap_fsync(int fd);
int __wrap_renameat(int olddir, const char *old, int newdir, const char *new);
int __wrap_unlinkat(int dir, const char *name, int flags);
int __wrap_flock(int fd, int operation);

static const char *root;    /* of the repository; NULL: calls are not recorded */
static GString *calls;      /* "write drafts; sync drafts; …", runs of one kind once */
static char last[64];       /* the last of them */
static ino_t dirty;         /* inode of the file that was written to since its sync */
static unsigned made, fail; /* calls so far; the number of the failing call */
static char failed[64];     /* that one */

/* "packs" for a file in or the directory "packs", "." for the repository; NULL: elsewhere. */
static char *folder_of_fd(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = g_file_read_link(link, NULL);
    g_auto(GStrv) parts = NULL;

    if (!root || !path || !g_str_has_prefix(path, root))
        return NULL;
    parts = g_strsplit(path + strlen(root), "/", 3);
    return g_strdup(parts[0] && parts[1] ? parts[1] : ".");
}

static ino_t inode_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

/* Records a call on a file in the folder of @fd. Returns FALSE if this call fails. */
static gboolean record(const char *verb, int fd)
{
    g_autofree char *folder = folder_of_fd(fd);
    char call[64];

    if (!folder)
        return TRUE;
    g_snprintf(call, sizeof(call), "%s %s", verb, folder);
    if (strcmp(call, last) != 0)
        g_string_append_printf(calls, "%s%s", calls->len ? "; " : "", call);
    g_strlcpy(last, call, sizeof(last));
    if (++made != fail)
        return TRUE;
    g_strlcpy(failed, call, sizeof(failed));
    errno = EIO;
    return FALSE;
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    if (!record("write", fd))
        return -1;
    dirty = inode_of(fd);
    return __real_pwrite64(fd, buf, len, offset);
}

/* Tests do not wait for a real disk. */
int __wrap_fsync(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    if (!record(S_ISDIR(st.st_mode) ? "sync directory" : "sync", fd))
        return -1;
    if (st.st_ino == dirty)
        dirty = 0;
    return 0;
}

int __wrap_renameat(int olddir, const char *old, int newdir, const char *new)
{
    struct stat st;

    if (fstatat(olddir, old, &st, 0) == 0 && st.st_ino == dirty)
        (void)record("UNSYNCED", newdir);
    return record("rename to", newdir) ? __real_renameat(olddir, old, newdir, new) : -1;
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
    return record("unlink", dir) ? __real_unlinkat(dir, name, flags) : -1;
}

int __wrap_flock(int fd, int operation)
{
    return record("lock", fd) ? __real_flock(fd, operation) : -1;
}

/* Starts recording. The @nth call fails (0: no call). */
static void recording_start(const Scratch *s, unsigned nth)
{
    if (calls)
        g_string_free(calls, TRUE);
    calls = g_string_new(NULL);
    last[0] = failed[0] = '\0';
    dirty = 0;
    made = 0;
    fail = nth;
    root = s->path;
}

static void recording_stop(void)
{
    root = NULL;
}

/* --- operations ------------------------------------------------------------------------------- */

typedef struct {
    Scratch *s;
    uint8_t kept[SIZE], other[SIZE], next[SIZE];
    char kept_id[CST_BACKUP_ID_TEXT], other_id[CST_BACKUP_ID_TEXT];
} Scene;

static Scene *scene_new(Scratch *s)
{
    Scene *scene = g_new0(Scene, 1);
    g_autoptr(CstRepo) repo = NULL;

    scene->s = s;
    scratch_fill(scene->kept, SIZE, 1);
    scratch_fill(scene->other, SIZE, 2);
    memcpy(scene->other, scene->kept, SIZE / 2);
    scratch_fill(scene->next, SIZE, 3);
    scratch_init(s, FALSE);
    repo = scratch_open(s);
    scratch_backup(repo, "v", scene->other, SIZE, scene->other_id);
    scratch_backup(repo, "v", scene->kept, SIZE, scene->kept_id);
    cst_repo_close(g_steal_pointer(&repo));
    scratch_run("cp -a '%s' '%s/good'", s->path, s->dir);
    return scene;
}

typedef gboolean (*Operation)(Scene *scene, CstRepo *repo, GError **error);

static gboolean create(Scene *scene, CstRepo *repo, GError **error)
{
    char id[CST_BACKUP_ID_TEXT];

    return scratch_try(repo, "v", scene->next, SIZE, NULL, NULL, id, error);
}

static gboolean forget(Scene *scene, CstRepo *repo, GError **error)
{
    return cst_repo_forget(repo, (const char *const[]){scene->other_id, NULL}, error);
}

static gboolean prune(Scene *scene, CstRepo *repo, GError **error)
{
    CstPruneReport report;

    return cst_repo_prune(repo, FALSE, NULL, &report, error);
}

/* --- the order -------------------------------------------------------------------------------- */

#define LOCKED "write drafts; lock drafts; sync drafts; rename to locks; sync directory locks; "
#define PUBLISHED(folder) \
    "write drafts; sync drafts; rename to " folder "; sync directory " folder "; "

static void assert_calls(Scene *scene, Operation operation, const char *expected)
{
    g_autoptr(CstRepo) repo = scratch_open(scene->s);
    GError *error = NULL;

    recording_start(scene->s, 0);
    if (!operation(scene, repo, &error))
        fail_msg("%s", error->message);
    cst_repo_close(g_steal_pointer(&repo));
    recording_stop();
    assert_string_equal(calls->str, expected);
}

static void file_is_durable_before_its_dependents(void **state)
{
    g_autofree Scene *scene = scene_new(*state);

    assert_calls(scene, create,
                 LOCKED PUBLISHED("packs") PUBLISHED("index") PUBLISHED("backups") "unlink locks");
    assert_calls(scene, forget, LOCKED "unlink backups; sync directory backups; unlink locks");
    assert_calls(
        scene, prune,
        LOCKED PUBLISHED("packs") PUBLISHED(
            "index") "unlink packs; sync directory packs; unlink index; sync directory index; "
                     "unlink locks");
}

static void repository_is_one_when_its_directories_are_durable(void **state)
{
    Scratch *s = *state;

    recording_start(s, 0);
    scratch_init(s, FALSE);
    recording_stop();
    assert_string_equal(calls->str, "sync directory .; write drafts; sync drafts; rename to .; "
                                    "sync directory .");
}

/* --- failures --------------------------------------------------------------------------------- */

/* A failure of these calls changes no result for the caller. */
static gboolean may_be_ignored(void)
{
    return strcmp(failed, "unlink locks") == 0 || strcmp(failed, "unlink drafts") == 0 ||
           failed[0] == '\0';
}

static void assert_nothing_left(const Scratch *s, const char *folder)
{
    scratch_run("test -z \"$(ls '%s/%s')\" || { echo '%s after %s'; exit 1; }", s->path, folder,
                folder, failed);
}

/*
 * Asserts that all earlier content is present and that the operation succeeds when it is repeated.
 */
static void assert_sound(Scene *scene, Operation operation)
{
    g_autoptr(CstRepo) repo = scratch_open(scene->s);
    GError *error = NULL;

    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
    scratch_assert_holds(repo, scene->kept_id, "v", scene->kept, SIZE);
    if (operation == create)
        scratch_assert_holds(repo, scene->other_id, "v", scene->other, SIZE);
    if (!operation(scene, repo, &error))
        fail_msg("after %s: %s", failed, error->message);
    if (operation == create)
        scratch_assert_holds(repo, "latest", "v", scene->next, SIZE);
    scratch_assert_holds(repo, scene->kept_id, "v", scene->kept, SIZE);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
}

static void fail_each_call(Scratch *s, Operation operation, unsigned least)
{
    g_autofree Scene *scene = scene_new(s);
    unsigned nth = 1;

    for (gboolean met = TRUE; met; nth++) {
        g_autoptr(CstRepo) repo = NULL;
        GError *error = NULL;
        gboolean done;

        scratch_run("rm -rf '%s' && cp -a '%s/good' '%s'", s->path, s->dir, s->path);
        repo = scratch_open(s);
        if (operation == prune)
            assert_true(forget(scene, repo, NULL));
        cst_repo_close(g_steal_pointer(&repo));
        repo = scratch_open(s);
        recording_start(s, nth);
        done = operation(scene, repo, &error);
        cst_repo_close(g_steal_pointer(&repo));
        recording_stop();
        met = failed[0] != '\0';
        if (done != may_be_ignored())
            fail_msg("call %u (%s): %s", nth, failed, error ? error->message : "not reported");
        if (error && cst_error_code(error) != CST_ERROR_IO)
            fail_msg("call %u (%s): other error: %s", nth, failed, error->message);
        g_clear_error(&error);
        if (strcmp(failed, "unlink drafts") != 0)
            assert_nothing_left(s, "drafts");
        if (strcmp(failed, "unlink locks") != 0)
            assert_nothing_left(s, "locks");
        assert_sound(scene, operation);
    }
    assert_in_range(nth, least, 200);
}

static void each_failure_of_a_creation_is_reported_and_leaves_no_draft(void **state)
{
    fail_each_call(*state, create, 20);
}

static void each_failure_of_a_forget_is_reported_and_leaves_no_draft(void **state)
{
    fail_each_call(*state, forget, 7);
}

static void each_failure_of_a_prune_is_reported_and_leaves_no_draft(void **state)
{
    fail_each_call(*state, prune, 16);
}

static void each_failure_of_making_a_repository_leaves_no_draft(void **state)
{
    Scratch *s = *state;
    const CstRepoInit how = {NULL, SCRATCH_CHUNK, 1};
    unsigned nth = 1;

    for (gboolean met = TRUE; met; nth++) {
        GError *error = NULL;
        gboolean done;

        scratch_run("rm -rf '%s'", s->path);
        recording_start(s, nth);
        done = cst_repo_init(s->path, &how, &error);
        recording_stop();
        met = failed[0] != '\0';
        assert_true(done != met);
        if (met)
            assert_error(error, CST_ERROR_IO);
        scratch_run("test -z \"$(ls '%s/drafts' 2>/dev/null)\"", s->path);
    }
    assert_in_range(nth, 6, 20);
}

/* Chunks of an abandoned draft are unknown afterwards. */
static void abandoned_writer_leaves_no_draft_and_no_chunk(void **state)
{
    g_autofree Scene *scene = scene_new(*state);
    const CstBackupHow how = {0};
    CstBackupVolume volume = scratch_volume("v", SIZE);
    g_autoptr(CstRepo) repo = scratch_open(scene->s);
    char id[CST_BACKUP_ID_TEXT];

    for (int i = 0; i < 2; i++) {
        g_autoptr(CstBlob) blob = cst_blob_memory_new(scene->next, SIZE);
        g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, NULL);

        assert_true(cst_writer_blob(writer, &volume, blob, NULL, NULL, NULL, NULL));
        scratch_run("test -n \"$(ls '%s/drafts')\"", scene->s->path);
    }
    assert_nothing_left(scene->s, "drafts");
    scratch_backup(repo, "v", scene->next, SIZE, id);
    scratch_assert_holds(repo, id, "v", scene->next, SIZE);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
}

static off_t size_of(const Scratch *s, const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(s->path, folder, name, NULL);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* An index that is full is written, and the next one begins empty. */
static void full_index_is_written_once(void **state)
{
    const uint32_t many = REPO_INDEX_MAX / 2 / REPO_ENTRY + 1;
    g_autofree ChunkEntry *entries = g_new0(ChunkEntry, many);
    const uint8_t first[REPO_ID] = {1}, second[REPO_ID] = {2};
    Scratch *s = *state;
    PackWriter writer;
    off_t sizes[2];

    scratch_init(s, FALSE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    assert_true(pack_writer_init(&writer, repo, NULL));
    assert_true(pack_writer_describe(&writer, first, entries, many, NULL));
    assert_true(pack_writer_describe(&writer, second, entries, 1, NULL));
    assert_true(pack_writer_finish(&writer, NULL));
    assert_true(pack_writer_finish(&writer, NULL));
    pack_writer_clear(&writer);
    g_autoptr(GPtrArray) names = folder_list(&repo->folders, FOLDER_INDEX, NULL, NULL);
    assert_int_equal(names->len, 2);
    for (int i = 0; i < 2; i++)
        sizes[i] = size_of(s, "index", names->pdata[i]);
    assert_int_equal(MIN(sizes[0], sizes[1]), REPO_FILE_HEAD + REPO_ID + 4 + REPO_ENTRY + REPO_TAG);
    assert_true(MAX(sizes[0], sizes[1]) > REPO_INDEX_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(file_is_durable_before_its_dependents),
        scratch_test(repository_is_one_when_its_directories_are_durable),
        scratch_test(each_failure_of_a_creation_is_reported_and_leaves_no_draft),
        scratch_test(each_failure_of_a_forget_is_reported_and_leaves_no_draft),
        scratch_test(each_failure_of_a_prune_is_reported_and_leaves_no_draft),
        scratch_test(each_failure_of_making_a_repository_leaves_no_draft),
        scratch_test(abandoned_writer_leaves_no_draft_and_no_chunk),
        scratch_test(full_index_is_written_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
