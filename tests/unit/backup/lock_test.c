/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several programs on one repository. */
#include "scratch.h"

#include <signal.h>
#include <sys/wait.h>

#include "repo.h"

static const uint8_t content[5000] = "content";

static void put_lock(const Scratch *s, const char *text)
{
    g_autofree char *path =
        g_build_filename(s->path, "locks", "00112233445566778899aabbccddeeff", NULL);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void writers_go_together_and_a_prune_waits(void **state)
{
    Scratch *s = *state;
    const CstBackupHow how = {0};
    char ids[2][CST_BACKUP_ID_TEXT];
    CstBackupWriter *writers[2];
    CstRepo *repos[2];
    CstPruneReport report;
    GError *error = NULL;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) three = scratch_open(s);
    for (int i = 0; i < 2; i++) {
        repos[i] = scratch_open(s);
        writers[i] = cst_writer_new(repos[i], &how, NULL);
        assert_non_null(writers[i]);
    }
    for (int i = 0; i < 2; i++) {
        CstBackupVolume volume = scratch_volume(i == 0 ? "a" : "b", sizeof(content));

        assert_true(cst_writer_volume(writers[i], &volume, NULL, NULL));
        assert_true(cst_writer_data(writers[i], content, sizeof(content), NULL));
        assert_true(cst_writer_volume_end(writers[i], NULL));
        assert_true(cst_writer_commit(writers[i], ids[i], NULL));
        cst_writer_free(writers[i]);
    }
    assert_false(cst_repo_prune(three, FALSE, NULL, &report, &error));
    assert_error(error, CST_ERROR_BUSY);
    cst_repo_close(repos[0]);
    assert_false(cst_repo_prune(three, FALSE, NULL, &report, &error));
    assert_error(error, CST_ERROR_BUSY);
    cst_repo_close(repos[1]);
    /* Both have stored the same chunks; one copy stays. */
    report = scratch_prune(three);
    assert_int_equal(report.removed_packs, 1);
    scratch_assert_holds(three, ids[0], "a", content, sizeof(content));
    scratch_assert_holds(three, ids[1], "b", content, sizeof(content));
}

static void second_user_is_refused_during_a_prune(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) one = scratch_open(s);
    g_autoptr(CstRepo) two = scratch_open(s);
    assert_true(repo_lock(one, TRUE, NULL));
    assert_false(scratch_try(two, "v", content, sizeof(content), NULL, NULL, id, &error));
    assert_error(error, CST_ERROR_BUSY);
    assert_false(repo_lock(two, TRUE, &error));
    assert_error(error, CST_ERROR_BUSY);
    repo_unlock(one);
    scratch_backup(two, "v", content, sizeof(content), id);
    /* No lock file is left when both are closed. */
    cst_repo_close(g_steal_pointer(&two));
    scratch_run("test -z \"$(ls '%s/locks')\"", s->path);
}

/* The lock of a killed process does not block. */
static void lock_of_a_killed_process_does_not_block(void **state)
{
    Scratch *s = *state;
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(GPtrArray) locks = NULL;
    int status;
    pid_t child;

    scratch_init(s, TRUE);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        CstRepo *own;

        scratch_child(s);
        own = scratch_open(s);
        _exit(repo_lock(own, TRUE, NULL) ? raise(SIGKILL) : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    repo = scratch_open(s);
    locks = cst_repo_locks(repo, NULL);
    assert_int_equal(locks->len, 1);
    assert_int_equal(((CstRepoLock *)locks->pdata[0])->pid, child);
    assert_true(((CstRepoLock *)locks->pdata[0])->dead);
    assert_true(((CstRepoLock *)locks->pdata[0])->exclusive);
    scratch_prune(repo);
    scratch_run("test -z \"$(ls '%s/locks')\"", s->path);
}

/* Only a forced unlock removes the lock, which forbids a prune. @text is in the refusal. */
static void assert_lock_is_kept(CstRepo *repo, const char *text)
{
    CstPruneReport report;
    GError *error = NULL;
    guint count;

    assert_false(cst_repo_prune(repo, FALSE, NULL, &report, &error));
    assert_non_null(strstr(error->message, text));
    assert_error(error, CST_ERROR_BUSY);
    assert_true(cst_repo_unlock(repo, FALSE, &count, NULL));
    assert_int_equal(count, 0);
    assert_true(cst_repo_unlock(repo, TRUE, &count, NULL));
    assert_int_equal(count, 1);
    scratch_prune(repo);
}

/* This host cannot detect whether a process of another machine is alive. */
static void foreign_lock_is_kept_until_a_forced_unlock(void **state)
{
    Scratch *s = *state;
    static const struct {
        const char *content, *refusal;
    } rows[] = {
        {"1\nshared\n1\n1700000000\nelsewhere abc\n", "by process 1 of host 'elsewhere'"},
        {"garbage", "that cannot be read"},
        {"", "that cannot be read"},
    };

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        put_lock(s, rows[i].content);
        assert_lock_is_kept(repo, rows[i].refusal);
    }
}

/* A user who can write to "locks" could otherwise keep all backups from being made. */
static void lock_that_is_no_file_can_be_removed(void **state)
{
    Scratch *s = *state;
    static const char *const makers[] = {"mkfifo", "ln -s /etc/passwd", "cp /etc/passwd"};

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++) {
        scratch_run("%s '%s/locks/00112233445566778899aabbccddeeff'", makers[i], s->path);
        assert_lock_is_kept(repo, "that cannot be read; if no other process");
    }
}

static void the_living_keep_their_locks(void **state)
{
    Scratch *s = *state;
    guint count;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) one = scratch_open(s);
    g_autoptr(CstRepo) two = scratch_open(s);
    assert_true(repo_lock(one, FALSE, NULL));
    assert_true(cst_repo_unlock(two, TRUE, &count, NULL));
    assert_int_equal(count, 0);
    scratch_run("test -n \"$(ls '%s/locks')\"", s->path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(writers_go_together_and_a_prune_waits),
        scratch_test(second_user_is_refused_during_a_prune),
        scratch_test(lock_of_a_killed_process_does_not_block),
        scratch_test(foreign_lock_is_kept_until_a_forced_unlock),
        scratch_test(lock_that_is_no_file_can_be_removed),
        scratch_test(the_living_keep_their_locks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
