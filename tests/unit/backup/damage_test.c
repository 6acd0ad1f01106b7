/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Repositories that a user or a disk has changed. A read never returns wrong data, and a check
 * reports the damage. */
#include "scratch.h"

#include <stdio.h>

#include "pack.h"

static const uint8_t content[] = "what the volume holds, over and over and over and over and over";

static void make(Scratch *s, gboolean encrypted, char *ret_id)
{
    g_autoptr(CstRepo) repo = NULL;

    scratch_run("rm -rf '%s'", s->path);
    scratch_init(s, encrypted);
    repo = scratch_open(s);
    scratch_backup(repo, "v", content, sizeof(content), ret_id);
}

/* Paths of the files of a repository, but for locks. */
static GStrv files(const Scratch *s)
{
    g_autofree char *command =
        g_strdup_printf("find '%s' -type f -not -path '*/locks/*' | sort", s->path);
    g_autofree char *found = NULL;
    const char *const argv[] = {"sh", "-c", command, NULL};

    assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &found,
                             NULL, NULL, NULL));
    return g_strsplit(g_strchomp(found), "\n", -1);
}

/* Without the sync of g_file_set_contents(). */
static void put(const char *path, const char *bytes, size_t len)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* Whether a check finds a problem. A read returns the stored bytes or an error. */
static gboolean is_found(Scratch *s, const char *id)
{
    const CstRepoOpen how = {.secret = s->encrypted ? &s->secret : NULL};
    g_autoptr(CstRepo) repo = cst_repo_open(s->path, &how, NULL);
    g_autoptr(GError) error = NULL;

    if (!repo)
        return TRUE;
    if (!scratch_holds(repo, id, "v", content, sizeof(content), &error))
        assert_int_not_equal(cst_error_code(error), CST_ERROR_MISMATCH);
    return scratch_problems(repo, TRUE, TRUE) > 0;
}

static void every_flipped_bit_is_found(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];
    unsigned flips = 0;

    for (int encrypted = 0; encrypted < 2; encrypted++) {
        make(s, encrypted, id);
        g_auto(GStrv) paths = files(s);

        assert_int_equal(g_strv_length(paths), 4);
        for (int i = 0; paths[i]; i++) {
            g_autofree char *bytes = NULL;
            size_t len;

            assert_true(g_file_get_contents(paths[i], &bytes, &len, NULL));
            for (size_t at = 0; at < len; at++, flips++) {
                bytes[at] ^= (char)(1 << (at % 8));
                put(paths[i], bytes, len);
                if (!is_found(s, id))
                    fail_msg("%s: nobody has seen byte %zu", paths[i], at);
                bytes[at] ^= (char)(1 << (at % 8));
            }
            put(paths[i], bytes, len);
        }
        assert_false(is_found(s, id));
    }
    assert_in_range(flips, 1000, 10000);
}

static void every_truncation_is_found(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];

    make(s, TRUE, id);
    g_auto(GStrv) paths = files(s);
    for (int i = 0; paths[i]; i++) {
        g_autofree char *bytes = NULL;
        size_t len;

        assert_true(g_file_get_contents(paths[i], &bytes, &len, NULL));
        for (size_t at = 0; at < len; at++) {
            put(paths[i], bytes, at);
            if (!is_found(s, id))
                fail_msg("%s: nobody has seen the end at %zu", paths[i], at);
        }
        put(paths[i], bytes, len);
    }
    assert_false(is_found(s, id));
}

/* A prune of a damaged repository loses no chunk that is readable once the damage is repaired. */
static void prune_of_a_damaged_repository_loses_no_readable_chunk(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];

    make(s, TRUE, id);
    g_auto(GStrv) paths = files(s);
    scratch_run("cp -a '%s' '%s/good'", s->path, s->dir);
    for (int i = 0; paths[i]; i++) {
        g_autofree char *bytes = NULL;
        size_t len;

        assert_true(g_file_get_contents(paths[i], &bytes, &len, NULL));
        for (size_t at = 0; at < len; at += 41) {
            const CstRepoOpen how = {.secret = &s->secret};
            CstPruneReport report;

            bytes[at] ^= 4;
            put(paths[i], bytes, len);
            bytes[at] ^= 4;
            {
                g_autoptr(CstRepo) repo = cst_repo_open(s->path, &how, NULL);

                if (repo)
                    (void)!cst_repo_prune(repo, FALSE, NULL, &report, NULL);
            }
            /* An index that was damaged has been made anew; it is as good as the old one. */
            put(paths[i], bytes, len);
            {
                g_autoptr(CstRepo) repo = scratch_open(s);

                scratch_assert_holds(repo, id, "v", content, sizeof(content));
            }
            scratch_run("rm -r '%s' && cp -a '%s/good' '%s'", s->path, s->dir, s->path);
        }
    }
}

static void missing_pack_is_named(void **state)
{
    Scratch *s = *state;
    const CstRepoCheck how = {0};
    g_auto(CstRepoReport) report = {0};
    GError *error = NULL;
    char id[CST_BACKUP_ID_TEXT];
    CstPruneReport pruned;

    make(s, TRUE, id);
    scratch_run("rm '%s'/packs/*", s->path);
    g_autoptr(CstRepo) repo = scratch_open(s);
    assert_true(cst_repo_check(repo, &how, NULL, &report, &error));
    assert_true(report.problems->len > 0);
    assert_true(g_hash_table_contains(report.broken, id));
    assert_false(scratch_holds(repo, id, "v", content, sizeof(content), &error));
    assert_error(error, CST_ERROR_CORRUPT);
    assert_false(cst_repo_prune(repo, FALSE, NULL, &pruned, &error));
    assert_error(error, CST_ERROR_CORRUPT);
    /* Without the broken backup the repository is sound. */
    assert_true(cst_repo_forget(repo, (const char *const[]){id, NULL}, NULL));
    scratch_prune(repo);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
}

static void indexes_only_save_time(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];

    make(s, TRUE, id);
    scratch_run("rm '%s'/index/*", s->path);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_assert_holds(repo, id, "v", content, sizeof(content));
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
    scratch_prune(repo);
    scratch_run("test -n \"$(ls '%s/index')\"", s->path);
    scratch_assert_holds(repo, id, "v", content, sizeof(content));
}

/* An index that authenticates and is wrong: by a bug, or in a repository whose key is known. */
static void an_index_that_lies_is_found(void **state)
{
    Scratch *s = *state;
    g_autoptr(GByteArray) body = g_byte_array_new();
    char id[CST_BACKUP_ID_TEXT];
    uint32_t count;
    uint64_t size;

    make(s, FALSE, id);
    scratch_run("rm '%s'/index/*", s->path);
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autoptr(GPtrArray) packs = folder_list(&repo->folders, FOLDER_PACKS, NULL, NULL);
    g_autofree ChunkEntry *table = pack_table(repo, packs->pdata[0], &count, &size, NULL);
    uint8_t pack[REPO_ID];

    assert_int_equal(packs->len, 1);
    assert_true(repo_id_parse(packs->pdata[0], pack));
    table[0].hash[5]++;
    repo_index_append(body, pack, table, count);
    assert_true(repo_file_write(repo, REPO_INDEX, body, NULL, NULL));
    /* Also if no backup needs the wrong entries. */
    for (int needed = 1; needed >= 0; needed--) {
        assert_true(scratch_problems(repo, FALSE, TRUE) > 0);
        assert_true(cst_repo_forget(repo, (const char *const[]){id, NULL}, NULL));
    }
}

/*
 * Links are not followed. A link to the correct file and a name that is not a file count as damage.
 */
static void only_files_are_read(void **state)
{
    static const char *const traps[] = {"mv %1$s %1$s.x && ln -s %1$s.x %1$s",
                                        "rm %1$s && mkfifo %1$s", "rm %1$s && mkdir %1$s"};
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];

    for (size_t trap = 0; trap < G_N_ELEMENTS(traps); trap++)
        for (int i = 0; i < 4; i++) {
            make(s, TRUE, id);
            g_auto(GStrv) paths = files(s);
            g_auto(GStrv) words = g_strsplit(traps[trap], "%1$s", -1);
            g_autofree char *command = g_strjoinv(paths[i], words);

            scratch_run("%s", command);
            if (!is_found(s, id))
                fail_msg("nobody has seen: %s", command);
        }
}

/*
 * A file under the name of another one does not authenticate, nor does a file of another
 * repository.
 */
static void files_are_good_at_their_place_only(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT], second[CST_BACKUP_ID_TEXT];
    g_autoptr(CstRepo) repo = NULL;

    make(s, TRUE, id);
    repo = scratch_open(s);
    scratch_backup(repo, "v", content, sizeof(content) - 1, second);
    scratch_run("cp '%s/backups/%s' '%s/backups/%s'", s->path, id, s->path, second);
    assert_int_equal(scratch_problems(repo, TRUE, TRUE), 1);
    scratch_run("rm '%s/backups/%s'", s->path, second);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
    cst_repo_close(g_steal_pointer(&repo));
    scratch_run("cp '%s/backups/%s' '%s/stray'", s->path, id, s->dir);
    make(s, TRUE, second);
    scratch_run("cp '%s/stray' '%s/backups/%s'", s->dir, s->path, id);
    repo = scratch_open(s);
    assert_int_equal(scratch_problems(repo, TRUE, TRUE), 1);
}

static void garbage_is_survived(void **state)
{
    static const char *const folders[] = {"packs", "index", "backups", "locks", "drafts"};
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];

    for (uint32_t round = 0; round < 60; round++) {
        uint8_t bytes[4000], head[REPO_FILE_HEAD];
        size_t len = (round * 131) % sizeof(bytes);
        g_autofree char *name = g_strdup_printf("%032x", round + 1);
        g_autofree char *path =
            g_build_filename(s->path, folders[round % G_N_ELEMENTS(folders)], name, NULL);

        make(s, round & 1, id);
        scratch_fill(bytes, sizeof(bytes), round);
        /* Some begin as they should. */
        repo_head_format((RepoFileKind)(round % 3), bytes, bytes + 16, head);
        memcpy(bytes, head, sizeof(head));
        put(path, (char *)bytes, len);
        g_autoptr(CstRepo) repo = scratch_open(s);
        if (strstr(path, "/packs/") || strstr(path, "/index/") || strstr(path, "/backups/"))
            assert_true(scratch_problems(repo, TRUE, TRUE) > 0);
    }
}

/* A volume with one full list of chunks. The first chunk has data. */
static void backup_full_list(CstRepo *repo, char *ret_id)
{
    const CstBackupHow how = {.host = "host"};
    uint64_t size = (uint64_t)REPO_LIST_IDS * SCRATCH_CHUNK;
    const CstBackupVolume volume = scratch_volume("v", size);
    g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, NULL);
    g_autofree uint8_t *chunk = g_malloc(SCRATCH_CHUNK);

    scratch_fill(chunk, SCRATCH_CHUNK, 1);
    assert_true(cst_writer_volume(writer, &volume, NULL, NULL));
    assert_true(cst_writer_data(writer, chunk, SCRATCH_CHUNK, NULL));
    assert_true(cst_writer_hole(writer, size - SCRATCH_CHUNK, NULL));
    assert_true(cst_writer_volume_end(writer, NULL));
    assert_true(cst_writer_commit(writer, ret_id, NULL));
}

/* The check reads a list once, also if several backups have it. */
static void lost_chunk_is_found_in_each_backup_with_the_same_list(void **state)
{
    const CstRepoCheck how = {.read_data = TRUE};
    Scratch *s = *state;
    g_auto(CstRepoReport) report = {0};
    char ids[2][CST_BACKUP_ID_TEXT];
    g_autoptr(CstRepo) repo = NULL;

    scratch_init(s, FALSE);
    repo = scratch_open(s);
    for (int i = 0; i < 2; i++)
        backup_full_list(repo, ids[i]);
    scratch_run("for pack in '%s'/packs/*; do printf damage |"
                " dd of=\"$pack\" bs=1 seek=%u conv=notrunc status=none; done",
                s->path, REPO_FILE_HEAD + 100);
    assert_true(cst_repo_check(repo, &how, NULL, &report, NULL));
    for (int i = 0; i < 2; i++)
        assert_true(g_hash_table_contains(report.broken, ids[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(every_flipped_bit_is_found),
        scratch_test(lost_chunk_is_found_in_each_backup_with_the_same_list),
        scratch_test(every_truncation_is_found),
        scratch_test(prune_of_a_damaged_repository_loses_no_readable_chunk),
        scratch_test(missing_pack_is_named),
        scratch_test(indexes_only_save_time),
        scratch_test(an_index_that_lies_is_found),
        scratch_test(only_files_are_read),
        scratch_test(files_are_good_at_their_place_only),
        scratch_test(garbage_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
