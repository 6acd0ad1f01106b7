/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Use of repositories: content, its forms, and access. */
#include "scratch.h"

#include <base/dry_run.h>

#include "format.h"

#define KIB 1024u

/* --- making and opening ----------------------------------------------------------------------- */

static void a_repository_is_private_and_needs_its_secret(void **state)
{
    Scratch *s = *state;
    g_auto(CstSecretBytes) other = {0};
    CstRepoOpen how = {0};
    GError *error = NULL;
    struct stat st;

    scratch_init(s, TRUE);
    assert_int_equal(stat(s->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_null(cst_repo_open(s->path, &how, &error));
    assert_error(error, CST_ERROR_INVALID_SECRET);
    assert_true(cst_secret_bytes_copy(&other, "another", 7, NULL));
    how.secret = &other;
    assert_null(cst_repo_open(s->path, &how, &error));
    assert_error(error, CST_ERROR_INVALID_SECRET);
    {
        g_autoptr(CstRepo) repo = scratch_open(s);

        assert_true(cst_repo_is_encrypted(repo));
        assert_int_equal(strlen(cst_repo_id(repo)), 32);
        assert_int_equal(cst_repo_chunk(repo), SCRATCH_CHUNK);
    }
    /* A replaced config must not make the next backup unencrypted. */
    scratch_run("rm -r '%s'", s->path);
    scratch_init(s, FALSE);
    how.secret = &s->secret;
    assert_null(cst_repo_open(s->path, &how, &error));
    assert_error(error, CST_ERROR_INVALID_SECRET);
}

static void directory_that_is_not_empty_is_refused(void **state)
{
    Scratch *s = *state;
    const CstRepoInit how = {.iterations = 1};
    const CstRepoInit odd = {.chunk = 100 * KIB};
    const CstRepoOpen none = {0};
    GError *error = NULL;

    scratch_run("mkdir -p '%s' && touch '%s/file'", s->path, s->path);
    assert_false(cst_repo_init(s->path, &how, &error));
    assert_error(error, CST_ERROR_EXISTS);
    assert_null(cst_repo_open(s->path, &none, &error));
    assert_error(error, CST_ERROR_NOT_FOUND);
    scratch_run("rm '%s/file'", s->path);
    assert_false(cst_repo_init(s->path, &odd, &error));
    assert_error(error, CST_ERROR_INVALID);
    cst_dry_run_set(TRUE);
    assert_false(cst_repo_init(s->path, &how, &error));
    cst_dry_run_set(FALSE);
    assert_error(error, CST_ERROR_DRY_RUN);
    scratch_run("rmdir '%s'", s->path);
    scratch_init(s, FALSE);
    assert_false(cst_repo_init(s->path, &how, &error));
    assert_error(error, CST_ERROR_EXISTS);
}

static void world_writable_repository_needs_consent(void **state)
{
    Scratch *s = *state;
    CstRepoOpen how = {.secret = &s->secret};
    g_autoptr(CstRepo) repo = NULL;
    GError *error = NULL;

    scratch_init(s, TRUE);
    scratch_run("chmod 0770 '%s/packs'", s->path);
    assert_null(cst_repo_open(s->path, &how, &error));
    assert_error(error, CST_ERROR_DENIED);
    scratch_run("chmod 0700 '%s/packs' && chmod 0777 '%s'", s->path, s->path);
    assert_null(cst_repo_open(s->path, &how, &error));
    assert_error(error, CST_ERROR_DENIED);
    how.shared_ok = TRUE;
    repo = cst_repo_open(s->path, &how, &error);
    assert_non_null(repo);
}

/* --- content ---------------------------------------------------------------------------------- */

/* Sizes around the chunk size. Each content is read back whole, in parts, and across boundaries. */
static void content_comes_back(void **state)
{
    static const uint32_t sizes[] = {
        0, 1, 512, SCRATCH_CHUNK - 1, SCRATCH_CHUNK, SCRATCH_CHUNK + 1, 5 * SCRATCH_CHUNK + 777};
    Scratch *s = *state;
    g_autofree uint8_t *content = g_malloc(6 * SCRATCH_CHUNK);

    for (int encrypted = 0; encrypted < 2; encrypted++) {
        g_autoptr(CstRepo) repo = NULL;

        scratch_run("rm -rf '%s'", s->path);
        scratch_init(s, encrypted);
        repo = scratch_open(s);
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
            char id[CST_BACKUP_ID_TEXT];
            g_autoptr(CstBackup) backup = NULL;
            g_autoptr(CstBlob) blob = NULL;
            uint8_t part[300];

            scratch_fill(content, sizes[i], (uint32_t)i);
            scratch_backup(repo, "v", content, sizes[i], id);
            scratch_assert_holds(repo, id, "v", content, sizes[i]);
            backup = cst_repo_backup(repo, id, NULL);
            blob = cst_backup_open(repo, backup->volumes->pdata[0], NULL);
            for (uint32_t at = 0; at + sizeof(part) < sizes[i]; at += 7001) {
                assert_true(cst_blob_pread(blob, part, sizeof(part), at, NULL));
                assert_memory_equal(part, content + at, sizeof(part));
            }
        }
        assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
    }
}

/* An encrypted repository shows no content, no names and no documents. */
static void encrypted_repository_shows_no_plain_text(void **state)
{
    Scratch *s = *state;
    char id[CST_BACKUP_ID_TEXT];
    g_autofree char *content = g_malloc0(2 * SCRATCH_CHUNK);
    g_autofree char *find =
        g_strdup_printf("grep -raqE 'KNOWNTEXT|volumename|<volume/>' '%s'", s->path);

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_fill((uint8_t *)content, 2 * SCRATCH_CHUNK, 1);
    memcpy(content + 100, "KNOWNTEXT", 9);
    scratch_backup(repo, "volumename", (uint8_t *)content, 2 * SCRATCH_CHUNK, id);
    assert_int_not_equal(system(find), 0);
    scratch_run("echo volumename > '%s/packs/x'", s->path);
    assert_int_equal(system(find), 0);
}

static uint64_t stored_bytes(CstRepo *repo)
{
    const CstRepoCheck how = {0};
    g_auto(CstRepoReport) report = {0};

    assert_true(cst_repo_check(repo, &how, NULL, &report, NULL));
    return report.bytes;
}

static void the_same_content_is_stored_once(void **state)
{
    Scratch *s = *state;
    const uint64_t size = 40 * SCRATCH_CHUNK;
    g_autofree uint8_t *content = g_malloc(size);
    g_autoptr(CstRepo) repo = NULL;
    char first[CST_BACKUP_ID_TEXT], second[CST_BACKUP_ID_TEXT];
    uint64_t before;

    scratch_init(s, TRUE);
    repo = scratch_open(s);
    /* Twice the same half, in one backup. */
    scratch_fill(content, size / 2, 1);
    memcpy(content + size / 2, content, size / 2);
    scratch_backup(repo, "v", content, size, first);
    before = stored_bytes(repo);
    assert_in_range(before, size / 2, size / 2 + size / 8);
    cst_repo_close(g_steal_pointer(&repo));
    repo = scratch_open(s);
    scratch_backup(repo, "w", content, size, second);
    assert_int_equal(stored_bytes(repo), before);
    content[5 * SCRATCH_CHUNK]++;
    scratch_backup(repo, "v", content, size, second);
    assert_in_range(stored_bytes(repo) - before, SCRATCH_CHUNK, 2 * SCRATCH_CHUNK);
    scratch_assert_holds(repo, second, "v", content, size);
    content[5 * SCRATCH_CHUNK]--;
    scratch_assert_holds(repo, first, "v", content, size);
}

/* Each pack has a table of its own chunks, and begins anew. */
static void content_of_several_packs_comes_back(void **state)
{
    Scratch *s = *state;
    const uint64_t size = 2 * REPO_PACK_TARGET + 5 * SCRATCH_CHUNK;
    g_autofree uint8_t *content = g_malloc(size);
    const CstRepoCheck how = {.read_data = TRUE};
    g_auto(CstRepoReport) report = {0};
    char id[CST_BACKUP_ID_TEXT];

    scratch_init(s, FALSE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_fill(content, size, 1);
    scratch_backup(repo, "v", content, size, id);
    cst_repo_close(g_steal_pointer(&repo));
    repo = scratch_open(s);
    scratch_assert_holds(repo, id, "v", content, size);
    assert_true(cst_repo_check(repo, &how, NULL, &report, NULL));
    assert_int_equal(report.problems->len, 0);
    assert_int_equal(report.packs, 3);
    /* The chunks, and their one list. */
    assert_int_equal(report.chunks, size / SCRATCH_CHUNK + 1);
    scratch_run("rm '%s'/index/*", s->path);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
}

/* 3 lists of names, the middle one of zeroes only. */
static void holes_cost_no_space(void **state)
{
    Scratch *s = *state;
    const uint64_t list = (uint64_t)REPO_LIST_IDS * SCRATCH_CHUNK, size = 2 * list + 3000;
    const CstBackupHow how = {0};
    CstBackupVolume volume = scratch_volume("v", size);
    uint8_t bytes[1000];
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;
    CstExtent extent;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, NULL);
    scratch_fill(bytes, sizeof(bytes), 3);
    assert_true(cst_writer_volume(writer, &volume, NULL, NULL));
    assert_true(cst_writer_hole(writer, 1000, NULL));
    assert_true(cst_writer_data(writer, bytes, sizeof(bytes), NULL));
    assert_true(cst_writer_hole(writer, size - 3000, NULL));
    assert_true(cst_writer_data(writer, bytes, sizeof(bytes), NULL));
    assert_true(cst_writer_volume_end(writer, NULL));
    assert_true(cst_writer_commit(writer, id, NULL));

    g_autoptr(CstBackup) backup = cst_repo_backup(repo, "latest", NULL);
    const CstBackupVolume *kept = cst_backup_volume(backup, NULL, NULL);
    g_autoptr(CstBlob) blob = cst_backup_open(repo, kept, NULL);
    assert_int_equal(kept->n_lists, 3);
    assert_int_equal(kept->data, SCRATCH_CHUNK + 3000);
    assert_int_equal(kept->read, 2000);
    assert_true(stored_bytes(repo) < 10 * KIB);
    if (!cst_blob_extent(blob, 0, size, &extent, &error))
        fail_msg("%s", error->message);
    assert_int_equal(extent.length, SCRATCH_CHUNK);
    assert_int_equal(extent.flags, CST_EXTENT_DATA);
    assert_true(cst_blob_extent(blob, SCRATCH_CHUNK, size - SCRATCH_CHUNK, &extent, NULL));
    assert_int_equal(extent.length, list - SCRATCH_CHUNK);
    assert_int_equal(extent.flags, CST_EXTENT_HOLE | CST_EXTENT_ZERO);
    /* From the first list to the last one, and back. */
    for (int i = 0; i < 3; i++) {
        uint8_t got[2000], expected[2000] = {0};

        memcpy(expected + 1000, bytes, sizeof(bytes));
        assert_true(cst_blob_pread(blob, got, 2000, i == 1 ? size - 2000 : 0, NULL));
        assert_memory_equal(got, expected, sizeof(got));
    }
}

/* Changed ranges are read. All other chunks come from the previous backup. */
static void unchanged_content_is_not_read(void **state)
{
    Scratch *s = *state;
    const uint64_t size = 10 * SCRATCH_CHUNK + 100, larger = size + SCRATCH_CHUNK;
    g_autofree uint8_t *content = g_malloc(larger);
    g_autoptr(GArray) changed = g_array_new(FALSE, FALSE, sizeof(CstExtent));
    const CstExtent one = {3 * SCRATCH_CHUNK + 5, 10, 0}, tail = {size - 1, 1 + SCRATCH_CHUNK, 0};
    char first[CST_BACKUP_ID_TEXT], second[CST_BACKUP_ID_TEXT];

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_fill(content, larger, 1);
    scratch_backup(repo, "v", content, size, first);
    g_autoptr(CstBackup) before = cst_repo_backup(repo, first, NULL);
    g_array_append_val(changed, one);
    g_array_append_val(changed, tail);
    content[3 * SCRATCH_CHUNK + 5]++;
    assert_true(
        scratch_try(repo, "v", content, larger, before->volumes->pdata[0], changed, second, NULL));
    scratch_assert_holds(repo, second, "v", content, larger);
    g_autoptr(CstBackup) after = cst_repo_backup(repo, second, NULL);
    assert_int_equal(((CstBackupVolume *)after->volumes->pdata[0])->read,
                     SCRATCH_CHUNK + 100 + SCRATCH_CHUNK);
}

static void machines_and_consistency_are_kept(void **state)
{
    Scratch *s = *state;
    const CstBackupHow how = {0};
    const CstBackupMachine web = {.name = (char *)"web",
                                  .uuid = (char *)"u",
                                  .document = (char *)"<domain/>",
                                  .one_moment = TRUE};
    CstBackupMachine wrong = web;
    CstBackupVolume volume = scratch_volume("v", 0), other = scratch_volume("w", 0);
    const CstBackupVolume *kept;
    const CstBackupMachine *machine;
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, NULL);
    wrong.name = (char *)"b\xff";
    assert_false(cst_writer_machine(writer, &wrong, &volume.machine, &error));
    assert_error(error, CST_ERROR_INVALID);
    assert_true(cst_writer_machine(writer, &web, &volume.machine, NULL));
    volume.consistency = (char *)"crash";
    volume.reason = (char *)"no agent";
    assert_true(cst_writer_volume(writer, &volume, NULL, NULL));
    assert_true(cst_writer_volume_end(writer, NULL));
    assert_true(cst_writer_volume(writer, &other, NULL, NULL));
    assert_true(cst_writer_volume_end(writer, NULL));
    assert_true(cst_writer_commit(writer, id, NULL));

    g_autoptr(CstBackup) backup = cst_repo_backup(repo, id, NULL);
    assert_int_equal(backup->machines->len, 1);
    machine = backup->machines->pdata[0];
    assert_string_equal(machine->name, "web");
    assert_string_equal(machine->uuid, "u");
    assert_string_equal(machine->document, "<domain/>");
    assert_true(machine->one_moment);
    kept = backup->volumes->pdata[0];
    assert_string_equal(kept->consistency, "crash");
    assert_string_equal(kept->reason, "no agent");
    assert_int_equal(kept->machine, 1);
    kept = backup->volumes->pdata[1];
    assert_string_equal(kept->consistency, "");
    assert_int_equal(kept->machine, 0);
}

static void a_backup_is_one_when_it_is_committed(void **state)
{
    Scratch *s = *state;
    const CstBackupHow how = {0};
    CstBackupVolume volume = scratch_volume("v", 3 * SCRATCH_CHUNK);
    g_autofree uint8_t *content = g_malloc0(3 * SCRATCH_CHUNK);
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, NULL);
    assert_false(cst_writer_commit(writer, id, &error));
    assert_error(error, CST_ERROR_INVALID);
    scratch_fill(content, SCRATCH_CHUNK, 1);
    assert_true(cst_writer_volume(writer, &volume, NULL, NULL));
    assert_true(cst_writer_data(writer, content, 3 * SCRATCH_CHUNK - 1, NULL));
    assert_false(cst_writer_volume_end(writer, &error));
    assert_error(error, CST_ERROR_INVALID);
    assert_false(cst_writer_data(writer, content, 2, &error));
    assert_error(error, CST_ERROR_INVALID);
    assert_false(cst_writer_same(writer, 1, &error));
    assert_error(error, CST_ERROR_INVALID);
    assert_false(cst_writer_commit(writer, id, &error));
    assert_error(error, CST_ERROR_INVALID);
    assert_null(cst_repo_backup(repo, "latest", &error));
    assert_error(error, CST_ERROR_NOT_FOUND);
}

static void a_name_that_is_not_utf8_is_refused_and_the_repository_stays_readable(void **state)
{
    Scratch *s = *state;
    uint8_t content[SCRATCH_CHUNK] = {1};
    char id[CST_BACKUP_ID_TEXT];
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(GPtrArray) backups = NULL;
    GError *error = NULL;

    scratch_init(s, TRUE);
    repo = scratch_open(s);
    scratch_backup(repo, "good", content, sizeof(content), id);
    assert_false(scratch_try(repo, "b\xff\xfe", content, sizeof(content), NULL, NULL, id, &error));
    assert_error(error, CST_ERROR_INVALID);
    backups = cst_repo_backups(repo, NULL, &error);
    assert_non_null(backups);
    assert_int_equal(backups->len, 1);
}

static void dropped_volume_leaves_the_other_volumes_complete(void **state)
{
    Scratch *s = *state;
    const CstBackupHow how = {.host = "h"};
    uint64_t size = 3 * SCRATCH_CHUNK + 7;
    g_autofree uint8_t *content = g_malloc(size);
    CstBackupVolume good = scratch_volume("good", size), bad = scratch_volume("bad", size);
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(CstBackup) backup = NULL;
    CstBackupWriter *writer;
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;

    scratch_fill(content, size, 1);
    blob = cst_blob_memory_new(content, size);
    scratch_init(s, TRUE);
    repo = scratch_open(s);
    writer = cst_writer_new(repo, &how, &error);
    assert_true(cst_writer_volume(writer, &bad, NULL, &error));
    assert_true(cst_writer_data(writer, content, SCRATCH_CHUNK + 100, &error));
    assert_true(cst_writer_volume_drop(writer));
    assert_true(cst_writer_blob(writer, &good, blob, NULL, NULL, NULL, &error));
    assert_true(cst_writer_volume(writer, &bad, NULL, &error));
    assert_true(cst_writer_data(writer, content, 5, &error));
    assert_true(cst_writer_volume_drop(writer));
    assert_true(cst_writer_volume_drop(writer));
    assert_true(cst_writer_commit(writer, id, &error));
    cst_writer_free(writer);
    backup = cst_repo_backup(repo, id, &error);
    assert_int_equal(backup->volumes->len, 1);
    scratch_assert_holds(repo, id, "good", content, size);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
}

static void volumes_and_backups_are_found(void **state)
{
    Scratch *s = *state;
    const CstBackupHow how = {.host = "h", .tags = (const char *const[]){"t", NULL}, .time_us = 7};
    CstBackupVolume volume = scratch_volume("v", 10);
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;

    scratch_init(s, FALSE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, NULL);
    for (int i = 0; i < 3; i++) {
        volume.pool = (char *)(i == 0 ? "p" : "q");
        volume.name = (char *)(i == 2 ? "w" : "v");
        assert_true(cst_writer_volume(writer, &volume, NULL, NULL));
        assert_true(cst_writer_data(writer, "0123456789", 10, NULL));
        assert_true(cst_writer_volume_end(writer, NULL));
    }
    assert_true(cst_writer_commit(writer, id, NULL));
    g_autoptr(CstBackup) backup = cst_repo_backup(repo, (char[]){id[0], id[1], id[2], 0}, NULL);
    assert_string_equal(backup->id, id);
    assert_string_equal(backup->tags[0], "t");
    assert_int_equal(backup->time_us, 7);
    assert_string_equal(cst_backup_volume(backup, "w", NULL)->pool, "q");
    assert_string_equal(cst_backup_volume(backup, "q/v", NULL)->pool, "q");
    assert_null(cst_backup_volume(backup, "v", &error));
    assert_error(error, CST_ERROR_INVALID);
    assert_null(cst_backup_volume(backup, NULL, &error));
    assert_error(error, CST_ERROR_INVALID);
    assert_null(cst_backup_volume(backup, "p/w", &error));
    assert_error(error, CST_ERROR_NO_VOL);
}

static void backup_prove_finds_differences(void **state)
{
    Scratch *s = *state;
    const uint64_t size = 4 * SCRATCH_CHUNK + 9;
    g_autofree uint8_t *content = g_malloc0(size);
    char id[CST_BACKUP_ID_TEXT];

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_fill(content, 2 * SCRATCH_CHUNK, 1);
    content[size - 1] = 1;
    scratch_backup(repo, "v", content, size, id);
    g_autoptr(CstBackup) backup = cst_repo_backup(repo, id, NULL);
    for (int differ = 0; differ < 2; differ++) {
        uint64_t bytes, first;
        g_autoptr(CstBackupProof) proof = cst_proof_new(repo, backup->volumes->pdata[0], NULL);

        content[size - 1] += (uint8_t)differ;
        assert_true(cst_proof_add(proof, content, 2 * SCRATCH_CHUNK, NULL));
        assert_true(cst_proof_add(proof, NULL, 2 * SCRATCH_CHUNK, NULL));
        assert_false(cst_proof_end(proof, &bytes, &first, NULL));
        assert_true(cst_proof_add(proof, content + size - 9, 9, NULL));
        assert_false(cst_proof_add(proof, NULL, 1, NULL));
        assert_true(cst_proof_end(proof, &bytes, &first, NULL));
        assert_int_equal(bytes, differ ? 9 : 0);
        assert_int_equal(first, differ ? 4 * SCRATCH_CHUNK : 0);
    }
}

/* --- forget and prune ------------------------------------------------------------------------- */

static void prune_frees_the_chunks_of_forgotten_backups(void **state)
{
    Scratch *s = *state;
    const uint64_t size = 20 * SCRATCH_CHUNK;
    g_autofree uint8_t *content = g_malloc(size);
    char ids[3][CST_BACKUP_ID_TEXT];
    CstPruneReport report;

    scratch_init(s, TRUE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    for (uint32_t i = 0; i < 3; i++) {
        scratch_fill(content, size / 2, i);
        scratch_fill(content + size / 2, size / 2, 99);
        scratch_backup(repo, "v", content, size, ids[i]);
    }
    assert_in_range(stored_bytes(repo), 2 * size, 2 * size + size / 8);
    assert_true(cst_repo_forget(repo, (const char *const[]){ids[0], ids[1], NULL}, NULL));
    assert_true(cst_repo_prune(repo, TRUE, NULL, &report, NULL));
    assert_in_range(stored_bytes(repo), 2 * size, 2 * size + size / 8);
    assert_in_range(report.freed_bytes, size - size / 8, size + size / 8);
    report = scratch_prune(repo);
    assert_in_range(report.freed_bytes, size - size / 8, size + size / 8);
    assert_in_range(stored_bytes(repo), size, size + size / 8);
    assert_int_equal(scratch_problems(repo, TRUE, FALSE), 0);
    scratch_assert_holds(repo, ids[2], "v", content, size);
    /* The second prune has no work. */
    report = scratch_prune(repo);
    assert_int_equal(report.repacked + report.removed_packs + report.freed_bytes, 0);
    assert_int_equal(report.packs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(a_repository_is_private_and_needs_its_secret),
        scratch_test(directory_that_is_not_empty_is_refused),
        scratch_test(world_writable_repository_needs_consent),
        scratch_test(content_comes_back),
        scratch_test(encrypted_repository_shows_no_plain_text),
        scratch_test(the_same_content_is_stored_once),
        scratch_test(content_of_several_packs_comes_back),
        scratch_test(holes_cost_no_space),
        scratch_test(unchanged_content_is_not_read),
        scratch_test(machines_and_consistency_are_kept),
        scratch_test(a_backup_is_one_when_it_is_committed),
        scratch_test(a_name_that_is_not_utf8_is_refused_and_the_repository_stays_readable),
        scratch_test(dropped_volume_leaves_the_other_volumes_complete),
        scratch_test(volumes_and_backups_are_found),
        scratch_test(backup_prove_finds_differences),
        scratch_test(prune_frees_the_chunks_of_forgotten_backups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
