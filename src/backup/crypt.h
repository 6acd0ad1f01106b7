/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>

#include "format.h"

/**
 * Keys, names of chunks, and encryption. Every repository has a key; one "without encryption" has
 * it in the clear in its config, and is read and verified in the same way.
 *
 * - A chunk's name is the HMAC-SHA256 of its content, with a key for data and another for lists:
 * who has no key can't tell whether a known content is in the repository.
 * - Each file has a key of its own, derived from its random id, and is encrypted with AES-256-GCM
 * in pieces whose nonce is their offset in the file. A file is written once, from its beginning to
 *   its end, so no nonce is used twice with a key, and a piece is authenticated at its place only.
 */
typedef struct {
    CstSecretBytes bytes; /* three keys: names of data, names of lists, files */
} RepoKeys;

void repo_keys_clear(RepoKeys *keys);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RepoKeys, repo_keys_clear)

/** Fills @len random bytes. */
gboolean repo_random(void *ret_bytes, size_t len, GError **error);

/** Puts a new key into @config, whose other members are set, and derives from it. */
gboolean repo_keys_make(RepoConfig *config, const CstSecretBytes *secret, RepoKeys *ret_keys,
                        GError **error);
/** Derives from the key of @config. INVALID_SECRET, naming @name. */
gboolean repo_keys_open(const RepoConfig *config, const CstSecretBytes *secret, const char *name,
                        RepoKeys *ret_keys, GError **error);

/** The checksum of a config file, into its place or to compare. */
gboolean repo_config_sum(const uint8_t *file, uint8_t ret_sum[REPO_HASH], GError **error);
/** Computes the SHA-256 of @len bytes. */
gboolean repo_digest(const void *bytes, size_t len, uint8_t ret_digest[REPO_HASH], GError **error);

/** The name of a chunk. Any thread. */
gboolean repo_chunk_name(const RepoKeys *keys, ChunkKind kind, const void *content, size_t len,
                         uint8_t ret_hash[REPO_HASH], GError **error);

/** What encrypts the pieces of one file. */
typedef struct {
    uint8_t key[REPO_KEY]; /* good for one file only, so not worth memory that is locked */
    uint8_t head[REPO_FILE_HEAD];
} FileCipher;

void file_cipher_clear(FileCipher *cipher);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FileCipher, file_cipher_clear)

/** Derives the key of the file that begins with @head. */
gboolean file_cipher_init(FileCipher *cipher, const RepoKeys *keys,
                          const uint8_t head[REPO_FILE_HEAD], GError **error);
/** Encrypts @len bytes for @offset of the file; @ret_sealed has REPO_TAG bytes more. */
gboolean file_cipher_seal(const FileCipher *cipher, uint64_t offset, const void *plain, size_t len,
                          uint8_t *ret_sealed, GError **error);
/** Decrypts @len bytes, more than REPO_TAG. CORRUPT, naming @name. */
gboolean file_cipher_open(const FileCipher *cipher, uint64_t offset, const uint8_t *sealed,
                          size_t len, uint8_t *ret_plain, const char *name, GError **error);
