/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of a repository, as whoever can write to one without encryption can make them: read within
 * bounds, and what is read is written again as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "fuzz.h"

static void fuzz_config(const uint8_t *data, size_t size)
{
    uint8_t file[REPO_CONFIG_BYTES];
    RepoConfig config;

    if (!repo_config_parse(data, size, "fuzz", &config, NULL))
        return;
    repo_config_format(&config, file);
    if (memcmp(file, data, REPO_CONFIG_SUM) != 0)
        abort();
}

static gboolean append(const uint8_t pack[REPO_ID], const ChunkEntry *entries, uint32_t count,
                       gpointer data, GError **error)
{
    repo_index_append(data, pack, entries, count);
    return TRUE;
}

static void fuzz_index(const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) body = g_byte_array_new();

    if (repo_index_parse(data, size, "fuzz", append, body, NULL) &&
        (body->len != size || (size > 0 && memcmp(body->data, data, size) != 0)))
        abort();
}

static void fuzz_manifest(const uint8_t *data, size_t size)
{
    g_autoptr(CstBackup) backup = repo_manifest_parse(data, size, CST_CHUNK_MIN, "fuzz", NULL);
    g_autoptr(GByteArray) body = backup ? repo_manifest_format(backup) : NULL;
    g_autoptr(CstBackup) again =
        body ? repo_manifest_parse(body->data, body->len, CST_CHUNK_MIN, "fuzz", NULL) : NULL;

    if (!backup)
        return;
    /* A manifest of an older version lacks the end. */
    if (!again || again->volumes->len != backup->volumes->len || body->len < size ||
        memcmp(body->data, data, size) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *data, size_t size) = {fuzz_config, fuzz_index,
                                                                        fuzz_manifest};

    if (size > 0 && data[0] < G_N_ELEMENTS(targets))
        targets[data[0]](data + 1, size - 1);
    return 0;
}
