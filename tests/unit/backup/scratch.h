/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <backup/backup.h>
#include <base/error.h>

#define SCRATCH_CHUNK CST_CHUNK_MIN

/* A directory of its own for each test, with a repository "repo" in it. */
typedef struct {
    char *dir;
    char *path;
    CstSecretBytes secret;
    gboolean encrypted;
} Scratch;

static inline int scratch_setup(void **state)
{
    Scratch *s = g_new0(Scratch, 1);

    s->dir = g_dir_make_tmp("cst-backup-XXXXXX", NULL);
    s->path = g_build_filename(s->dir, "repo", NULL);
    assert_true(cst_secret_bytes_copy(&s->secret, "a secret", 8, NULL));
    *state = s;
    return 0;
}

static inline void scratch_run(const char *format, ...) G_GNUC_PRINTF(1, 2);

static inline void scratch_run(const char *format, ...)
{
    g_autofree char *command = NULL;
    va_list args;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

static inline int scratch_teardown(void **state)
{
    Scratch *s = *state;

    scratch_run("rm -rf '%s'", s->dir);
    cst_secret_bytes_clear(&s->secret);
    g_free(s->dir);
    g_free(s->path);
    g_free(s);
    return 0;
}

#define scratch_test(function) \
    cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

static inline void scratch_init(Scratch *s, gboolean encrypted)
{
    const CstRepoInit how = {encrypted ? &s->secret : NULL, SCRATCH_CHUNK, 1};
    GError *error = NULL;

    s->encrypted = encrypted;
    if (!cst_repo_init(s->path, &how, &error))
        fail_msg("%s", error->message);
}

/* In a child of fork(), where secrets are emptied. */
static inline void scratch_child(Scratch *s)
{
    cst_secret_bytes_clear(&s->secret);
    assert_true(cst_secret_bytes_copy(&s->secret, "a secret", 8, NULL));
}

static inline CstRepo *scratch_open(Scratch *s)
{
    const CstRepoOpen how = {.secret = s->encrypted ? &s->secret : NULL};
    GError *error = NULL;
    CstRepo *repo = cst_repo_open(s->path, &how, &error);

    if (!repo)
        fail_msg("%s", error->message);
    return repo;
}

/* Bytes that do not compress, other ones for each @seed. */
static inline void scratch_fill(uint8_t *bytes, size_t len, uint32_t seed)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (uint8_t)(x >> 24);
    }
}

static inline CstBackupVolume scratch_volume(const char *name, uint64_t size)
{
    return (CstBackupVolume){.pool = (char *)"p",
                             .name = (char *)name,
                             .format = (char *)"raw",
                             .xml = (char *)"<volume/>",
                             .size = size};
}

/* Backs up @size bytes of @content as the volume p/@name; FALSE with an error. */
static inline gboolean scratch_try(CstRepo *repo, const char *name, const uint8_t *content,
                                   uint64_t size, const CstBackupVolume *previous,
                                   const GArray *changed, char *ret_id, GError **error)
{
    const CstBackupHow how = {.host = "h"};
    CstBackupVolume volume = scratch_volume(name, size);
    g_autoptr(CstBlob) blob = cst_blob_memory_new(content, size);
    g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, error);

    return writer && cst_writer_blob(writer, &volume, blob, previous, changed, NULL, error) &&
           cst_writer_commit(writer, ret_id, error);
}

static inline void scratch_backup(CstRepo *repo, const char *name, const uint8_t *content,
                                  uint64_t size, char *ret_id)
{
    GError *error = NULL;

    if (!scratch_try(repo, name, content, size, NULL, NULL, ret_id, &error))
        fail_msg("%s", error->message);
}

/* Whether the volume @name of a backup can be read and holds this. */
static inline gboolean scratch_holds(CstRepo *repo, const char *id, const char *name,
                                     const uint8_t *content, uint64_t size, GError **error)
{
    g_autoptr(CstBackup) backup = cst_repo_backup(repo, id, error);
    const CstBackupVolume *volume = backup ? cst_backup_volume(backup, name, error) : NULL;
    g_autoptr(CstBlob) blob = volume ? cst_backup_open(repo, volume, error) : NULL;
    g_autofree uint8_t *bytes = g_malloc(size + 1);

    if (!blob || !cst_blob_pread(blob, bytes, size, 0, error))
        return FALSE;
    assert_int_equal(volume->size, size);
    return size == 0 || memcmp(bytes, content, size) == 0 ||
           cst_fail(error, CST_ERROR_MISMATCH, "backup %s holds something else", id);
}

static inline void scratch_assert_holds(CstRepo *repo, const char *id, const char *name,
                                        const uint8_t *content, uint64_t size)
{
    GError *error = NULL;

    if (!scratch_holds(repo, id, name, content, size, &error))
        fail_msg("%s", error->message);
}

/* Returns the number of problems that a check finds. Prints them if no problem is expected. */
static inline guint scratch_problems(CstRepo *repo, gboolean read_data, gboolean expected)
{
    const CstRepoCheck how = {read_data};
    g_auto(CstRepoReport) report = {0};
    GError *error = NULL;

    if (!cst_repo_check(repo, &how, NULL, &report, &error))
        fail_msg("%s", error->message);
    for (guint i = 0; !expected && i < report.problems->len; i++)
        print_error("%s\n", (const char *)report.problems->pdata[i]);
    return report.problems->len;
}

static inline CstPruneReport scratch_prune(CstRepo *repo)
{
    CstPruneReport report = {0};
    GError *error = NULL;

    if (!cst_repo_prune(repo, FALSE, NULL, &report, &error))
        fail_msg("%s", error->message);
    return report;
}

#define assert_error(error, code)                        \
    do {                                                 \
        assert_non_null(error);                          \
        if (cst_error_code(error) != (code))             \
            fail_msg("other error: %s", error->message); \
        g_clear_error(&error);                           \
    } while (0)
