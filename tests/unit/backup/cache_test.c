/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of a reader of a backup: chunks that were read in parts, and one list. */
#include "points.h"
#include "scratch.h"

#define CHUNKS 20
#define SIZE   (CHUNKS * SCRATCH_CHUNK)

typedef struct {
    CstBlob *blob;
    const uint8_t *content;
} Reading;

static void read_all_in_parts(gpointer data)
{
    const Reading *reading = data;
    uint8_t part[300];

    for (uint64_t at = 100; at < SIZE; at += SCRATCH_CHUNK) {
        assert_true(cst_blob_pread(reading->blob, part, sizeof(part), at, NULL));
        assert_memory_equal(part, reading->content + at, sizeof(part));
    }
}

/* Other reads fill and replace the whole cache between the read of a chunk and its entry. */
static void part_is_right_after_the_cache_was_replaced_during_its_read(void **state)
{
    Scratch *s = *state;
    g_autofree uint8_t *content = g_malloc(SIZE);
    char id[CST_BACKUP_ID_TEXT];

    scratch_init(s, FALSE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_fill(content, SIZE, 1);
    scratch_backup(repo, "v", content, SIZE, id);
    g_autoptr(CstBackup) backup = cst_repo_backup(repo, id, NULL);
    for (uint64_t number = 0; number < CHUNKS; number += 3) {
        g_autoptr(CstBlob) blob = cst_backup_open(repo, backup->volumes->pdata[0], NULL);
        Reading reading = {blob, content};
        uint64_t at = number * SCRATCH_CHUNK + 7;
        uint8_t part[500];

        assert_non_null(blob);
        point_run("backup_blob.part.read", read_all_in_parts, &reading);
        for (int again = 0; again < 2; again++) {
            assert_true(cst_blob_pread(blob, part, sizeof(part), at, NULL));
            assert_memory_equal(part, content + at, sizeof(part));
        }
        read_all_in_parts(&reading);
        points_clear();
    }
}

/* The second read of a chunk is answered from memory. */
static void part_is_read_once(void **state)
{
    Scratch *s = *state;
    uint8_t content[5000], part[100];
    char id[CST_BACKUP_ID_TEXT];

    scratch_init(s, FALSE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_fill(content, sizeof(content), 1);
    scratch_backup(repo, "v", content, sizeof(content), id);
    g_autoptr(CstBackup) backup = cst_repo_backup(repo, id, NULL);
    g_autoptr(CstBlob) blob = cst_backup_open(repo, backup->volumes->pdata[0], NULL);
    point_watch("backup_blob.part.read");
    for (uint64_t at = 0; at < sizeof(content); at += 1000) {
        assert_true(cst_blob_pread(blob, part, sizeof(part), at, NULL));
        assert_memory_equal(part, content + at, sizeof(part));
    }
    assert_int_equal(point_passed("backup_blob.part.read"), 1);
    points_clear();
}

/* The medium fails temporarily. A read that failed is repeated. */
static void list_that_could_not_be_read_is_read_again(void **state)
{
    Scratch *s = *state;
    g_autofree uint8_t *content = g_malloc(SIZE), *back = g_malloc(SIZE);
    char id[CST_BACKUP_ID_TEXT];

    scratch_init(s, FALSE);
    g_autoptr(CstRepo) repo = scratch_open(s);
    scratch_fill(content, SIZE, 1);
    scratch_backup(repo, "v", content, SIZE, id);
    g_autoptr(CstBackup) backup = cst_repo_backup(repo, id, NULL);
    g_autoptr(CstBlob) blob = cst_backup_open(repo, backup->volumes->pdata[0], NULL);
    scratch_run("mv '%s/packs' '%s/away' && mkdir -m 0700 '%s/packs' && mv '%s'/away/* '%s'",
                s->path, s->path, s->path, s->path, s->dir);
    for (int i = 0; i < 2; i++)
        assert_false(cst_blob_pread(blob, back, SIZE, 0, NULL));
    scratch_run("cd '%s' && mv $(ls | grep -v repo) repo/away/", s->dir);
    assert_true(cst_blob_pread(blob, back, SIZE, 0, NULL));
    assert_memory_equal(back, content, SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(part_is_right_after_the_cache_was_replaced_during_its_read),
        scratch_test(part_is_read_once),
        scratch_test(list_that_could_not_be_read_is_read_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
