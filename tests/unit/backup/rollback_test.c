/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A repository that was restored to an earlier state, and legitimate changes that look similar. */
#include "scratch.h"

#include "format.h"
#include "repo.h"

enum { BYTES = 1000 };

static void add_backup(Scratch *s, uint32_t seed, char ret_id[CST_BACKUP_ID_TEXT])
{
    g_autoptr(CstRepo) repo = scratch_open(s);
    uint8_t content[BYTES];

    scratch_fill(content, BYTES, seed);
    scratch_backup(repo, "v", content, BYTES, ret_id);
}

static CstBackupMark newest_of(Scratch *s)
{
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autoptr(GPtrArray) backups = cst_repo_backups(repo, NULL, NULL);

    return cst_backups_newest(backups);
}

static gboolean check_seen(Scratch *s, const CstBackupMark *seen, GError **error)
{
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autoptr(GPtrArray) backups = cst_repo_backups(repo, damaged, NULL);

    return cst_repo_check_seen(repo, backups, seen, error);
}

static void forget(Scratch *s, const char *id)
{
    const char *const ids[] = {id, NULL};
    g_autoptr(CstRepo) repo = scratch_open(s);

    assert_true(cst_repo_forget(repo, ids, NULL));
}

static void keep_copy(Scratch *s)
{
    scratch_run("rm -rf '%s/copy' && cp -a '%s' '%s/copy'", s->dir, s->path, s->dir);
}

static void put_copy_back(Scratch *s)
{
    scratch_run("rm -rf '%s' && cp -a '%s/copy' '%s'", s->path, s->dir, s->path);
}

static void test_each_backup_names_the_one_before(void **state)
{
    Scratch *s = *state;
    char ids[3][CST_BACKUP_ID_TEXT];
    g_autoptr(GPtrArray) backups = NULL;
    g_autoptr(CstRepo) repo = NULL;

    scratch_init(s, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
        add_backup(s, i, ids[i]);
    repo = scratch_open(s);
    backups = cst_repo_backups(repo, NULL, NULL);
    assert_int_equal(backups->len, 3);
    for (guint i = 0; i < backups->len; i++) {
        const CstBackup *backup = backups->pdata[i], *before = i ? backups->pdata[i - 1] : NULL;

        assert_string_equal(backup->id, ids[i]);
        assert_int_equal(backup->number, i + 1);
        assert_string_equal(backup->predecessor.id, before ? before->id : "");
        if (before)
            assert_memory_equal(backup->predecessor.digest, before->digest, CST_BACKUP_DIGEST);
    }
}

static void test_repository_put_back_is_noticed(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;
    CstBackupMark seen;

    scratch_init(s, TRUE);
    add_backup(s, 1, id);
    keep_copy(s);
    add_backup(s, 2, id);
    seen = newest_of(s);
    assert_true(check_seen(s, &seen, &error));
    put_copy_back(s);
    assert_false(check_seen(s, &seen, &error));
    assert_error(error, CST_ERROR_STATE);
}

static void test_repository_put_back_and_appended_to_is_noticed(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;
    CstBackupMark seen;

    scratch_init(s, TRUE);
    add_backup(s, 1, id);
    keep_copy(s);
    add_backup(s, 2, id);
    seen = newest_of(s);
    put_copy_back(s);
    /* A backup of the same number, then one with the next number. */
    for (uint32_t i = 3; i < 6; i++) {
        add_backup(s, i, id);
        assert_false(check_seen(s, &seen, &error));
        assert_error(error, CST_ERROR_STATE);
    }
}

static void test_empty_repository_in_place_is_noticed(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;
    CstBackupMark seen;

    scratch_init(s, TRUE);
    keep_copy(s);
    add_backup(s, 1, id);
    seen = newest_of(s);
    put_copy_back(s);
    assert_false(check_seen(s, &seen, &error));
    assert_error(error, CST_ERROR_STATE);
}

static void test_backup_forgotten_after_later_ones_is_no_rollback(void **state)
{
    Scratch *s = *state;
    char ids[4][CST_BACKUP_ID_TEXT];
    GError *error = NULL;
    CstBackupMark seen;

    scratch_init(s, TRUE);
    add_backup(s, 1, ids[0]);
    seen = newest_of(s);
    for (guint i = 1; i < G_N_ELEMENTS(ids); i++)
        add_backup(s, i + 1, ids[i]);
    /* The next one names it; once that is forgotten as well, the chain is open. */
    for (guint i = 0; i + 1 < G_N_ELEMENTS(ids); i++) {
        forget(s, ids[i]);
        if (!check_seen(s, &seen, &error))
            fail_msg("%u forgotten: %s", i + 1, error->message);
    }
}

static void test_damaged_manifest_is_no_rollback(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;
    CstBackupMark seen;

    scratch_init(s, TRUE);
    add_backup(s, 1, id);
    seen = newest_of(s);
    scratch_run("printf x | dd of='%s/backups/%s' bs=1 seek=60 conv=notrunc 2>/dev/null", s->path,
                id);
    assert_true(check_seen(s, &seen, &error));
    forget(s, id);
    assert_false(check_seen(s, &seen, &error));
    assert_error(error, CST_ERROR_STATE);
}

static void test_manifest_with_another_digest_is_noticed(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;
    CstBackupMark seen;

    scratch_init(s, FALSE);
    add_backup(s, 1, id);
    seen = newest_of(s);
    seen.digest[7] ^= 1;
    assert_false(check_seen(s, &seen, &error));
    assert_error(error, CST_ERROR_STATE);
}

/* The body of a manifest ends after the volumes, as older versions have written it. */
static void make_old(Scratch *s, const char *id)
{
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autoptr(CstBackup) backup = cst_repo_backup(repo, id, NULL);
    g_autoptr(GByteArray) body = NULL;

    backup->number = 0;
    body = repo_manifest_format(backup);
    assert_true(repo_file_write(repo, REPO_MANIFEST, body, NULL, NULL));
    forget(s, id);
}

static void test_manifests_without_numbers_are_read_and_followed(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];
    CstBackupMark old, seen;
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(CstBackup) next = NULL;
    GError *error = NULL;

    scratch_init(s, TRUE);
    add_backup(s, 1, id);
    make_old(s, id);
    old = newest_of(s);
    assert_int_equal(old.number, 0);
    assert_true(check_seen(s, &old, &error));
    add_backup(s, 2, id);
    repo = scratch_open(s);
    next = cst_repo_backup(repo, id, NULL);
    assert_int_equal(next->number, 1);
    assert_string_equal(next->predecessor.id, old.id);
    seen = newest_of(s);
    assert_string_equal(seen.id, id);
    /* A missing backup without a number may have been forgotten. */
    forget(s, old.id);
    assert_true(check_seen(s, &old, &error));
    assert_true(check_seen(s, &seen, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(test_each_backup_names_the_one_before),
        scratch_test(test_repository_put_back_is_noticed),
        scratch_test(test_repository_put_back_and_appended_to_is_noticed),
        scratch_test(test_empty_repository_in_place_is_noticed),
        scratch_test(test_backup_forgotten_after_later_ones_is_no_rollback),
        scratch_test(test_damaged_manifest_is_no_rollback),
        scratch_test(test_manifest_with_another_digest_is_noticed),
        scratch_test(test_manifests_without_numbers_are_read_and_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
