/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <backup/backup.h>

/**
 * The bytes of a repository's files (docs/backup.md specifies them). Pure functions on memory.
 * Parsed data is untrusted. All integers are big-endian.
 */

#define REPO_VERSION 1
#define REPO_ID      CST_BACKUP_ID_BYTES
#define REPO_KEY     32
#define REPO_HASH    32
#define REPO_TAG     16
#define REPO_NONCE   12
#define REPO_ID_TEXT CST_BACKUP_ID_TEXT

#define REPO_CONFIG_KNOWN 76  /* bytes that are authenticated together with the key */
#define REPO_CONFIG_SUM   124 /* offset of the checksum, which covers all bytes before it */
#define REPO_CONFIG_BYTES 156

#define REPO_FILE_HEAD 48
#define REPO_TRAILER   8
#define REPO_ENTRY     48

#define REPO_LIST_IDS 2048u /* names in a list of chunks */

#define REPO_PACK_TARGET  (16u << 20)
#define REPO_PACK_CHUNKS  65536u /* limit for a new pack */
#define REPO_PACK_MAX     (64u << 20)
#define REPO_INDEX_MAX    (64u << 20)
#define REPO_MANIFEST_MAX (64u << 20)
#define REPO_TEXT_MAX     (1u << 20) /* bytes of an XML document */
#define REPO_NAME_MAX     4096u
#define REPO_TAGS_MAX     256u
#define REPO_VOLUMES_MAX  65536u
#define REPO_NUMBER_MAX   (UINT64_C(1) << 62) /* number of a backup in the order */
/* Maximum guest-visible size of a volume, so that its lists fit into a manifest. */
#define REPO_VOLUME_MAX (UINT64_C(1) << 46)

#define REPO_ITERATIONS     600000u
#define REPO_ITERATIONS_MAX 10000000u

/** The file "config". */
typedef struct {
    uint8_t id[REPO_ID];
    uint32_t chunk;
    int64_t created;  /**< seconds since 1970 */
    gboolean wrapped; /**< the key is encrypted with a secret */
    uint32_t iterations;
    uint8_t salt[16];
    uint8_t nonce[REPO_NONCE];
    uint8_t key[REPO_KEY + REPO_TAG]; /**< wrapped; or plain and padded with zeroes */
} RepoConfig;

/** Writes all fields except the checksum. */
void repo_config_format(const RepoConfig *config, uint8_t ret_file[REPO_CONFIG_BYTES]);
/**
 * Parses the output of repo_config_format(). The caller verifies the checksum. Fails with CORRUPT,
 * or with UNSUPPORTED for an unknown version.
 */
gboolean repo_config_parse(const uint8_t *file, size_t len, const char *name,
                           RepoConfig *ret_config, GError **error);

typedef enum { REPO_PACK, REPO_INDEX, REPO_MANIFEST } RepoFileKind;

/** Writes the header of a pack, index or manifest. */
void repo_head_format(RepoFileKind kind, const uint8_t repo[REPO_ID], const uint8_t id[REPO_ID],
                      uint8_t ret_head[REPO_FILE_HEAD]);

typedef enum { CHUNK_DATA, CHUNK_LIST } ChunkKind;

/** A chunk in a pack. */
typedef struct {
    uint8_t hash[REPO_HASH];
    uint32_t offset;
    uint32_t stored; /**< bytes in the pack, including the tag */
    uint32_t raw;
    uint8_t kind;    /**< ChunkKind */
    gboolean packed; /**< compressed with zstd */
} ChunkEntry;

void repo_entry_format(const ChunkEntry *entry, uint8_t ret_bytes[REPO_ENTRY]);
/**
 * Parses @count entries. They must follow one another in the pack, from its header to *ret_end. The
 * caller frees the result. Fails with CORRUPT.
 */
ChunkEntry *repo_entries_parse(const uint8_t *bytes, size_t count, const char *name,
                               uint64_t *ret_end, GError **error);

/** Receives one pack of an index. @entries are valid during the call. */
typedef gboolean (*RepoIndexFunc)(const uint8_t pack[REPO_ID], const ChunkEntry *entries,
                                  uint32_t count, gpointer data, GError **error);
/** Parses the body of an index and calls @func for each pack. Fails with CORRUPT. */
gboolean repo_index_parse(const uint8_t *body, size_t len, const char *name, RepoIndexFunc func,
                          gpointer data, GError **error);
/** Appends a pack to the body of an index. */
void repo_index_append(GByteArray *body, const uint8_t pack[REPO_ID], const ChunkEntry *entries,
                       uint32_t count);

/** Makes a backup without volumes. */
CstBackup *repo_backup_new(void);
/** Returns the body of a manifest. */
GByteArray *repo_manifest_format(const CstBackup *backup);
/**
 * Parses the body of a manifest, without the id. @chunk: chunk size of the repository. Fails with
 * CORRUPT.
 */
CstBackup *repo_manifest_parse(const uint8_t *body, size_t len, uint32_t chunk, const char *name,
                               GError **error);

/** Return the number of chunks and the number of lists of a volume. */
uint64_t repo_chunks_of(uint64_t size, uint32_t chunk);
uint32_t repo_lists_of(uint64_t size, uint32_t chunk);
/** Returns the length of chunk @number of a volume. */
uint32_t repo_chunk_len(uint64_t size, uint32_t chunk, uint64_t number);

/** Converts an id to text, and back. repo_id_parse() returns FALSE if the text is not an id. */
const char *repo_id_format(const uint8_t id[REPO_ID], char ret_text[REPO_ID_TEXT]);
gboolean repo_id_parse(const char *text, uint8_t ret_id[REPO_ID]);
