/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>

#include "format.h"

/**
 * Keys, names of chunks, and encryption. Every repository has a key. A repository "without
 * encryption" stores the key in plain text in its config, and is read and verified in the same way.
 *
 * - A chunk's name is the HMAC-SHA256 of its content, with different keys for data and for lists.
 *   Without the key, an attacker cannot test whether a known content is in the repository.
 * - Each file has its own key, derived from its random id. It is encrypted with AES-256-GCM in
 *   pieces whose nonce is their offset in the file. A file is written once, from its beginning to
 *   its end. Therefore no nonce is reused with a key, and a piece is authentic only at its offset.
 */
typedef struct {
    CstSecretBytes bytes; /* three keys: names of data, names of lists, files */
} RepoKeys;

void repo_keys_clear(RepoKeys *keys);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RepoKeys, repo_keys_clear)

/** Fills @len random bytes. */
gboolean repo_random(void *ret_bytes, size_t len, GError **error);

/**
 * Puts a new key into @config, whose other members are set, and derives @ret_keys from it. @secret
 * NULL: the key is stored in plain text.
 */
gboolean repo_keys_make(RepoConfig *config, const CstSecretBytes *secret, RepoKeys *ret_keys,
                        GError **error);
/**
 * Derives @ret_keys from the key of @config. Fails with INVALID_SECRET; @name is for the message.
 */
gboolean repo_keys_open(const RepoConfig *config, const CstSecretBytes *secret, const char *name,
                        RepoKeys *ret_keys, GError **error);

/** Computes the checksum of a config file. */
gboolean repo_config_sum(const uint8_t *file, uint8_t ret_sum[REPO_HASH], GError **error);
/** Computes the SHA-256 of @len bytes. */
gboolean repo_digest(const void *bytes, size_t len, uint8_t ret_digest[REPO_HASH], GError **error);

/** Computes the name of a chunk. From any thread. */
gboolean repo_chunk_name(const RepoKeys *keys, ChunkKind kind, const void *content, size_t len,
                         uint8_t ret_hash[REPO_HASH], GError **error);

/** State for encrypting the pieces of one file. */
typedef struct {
    uint8_t key[REPO_KEY]; /* used for one file only, so not in locked memory */
    uint8_t head[REPO_FILE_HEAD];
} FileCipher;

void file_cipher_clear(FileCipher *cipher);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FileCipher, file_cipher_clear)

/** Derives the key of the file that begins with @head. */
gboolean file_cipher_init(FileCipher *cipher, const RepoKeys *keys,
                          const uint8_t head[REPO_FILE_HEAD], GError **error);
/** Encrypts @len bytes for @offset of the file. @ret_sealed has room for REPO_TAG bytes more. */
gboolean file_cipher_seal(const FileCipher *cipher, uint64_t offset, const void *plain, size_t len,
                          uint8_t *ret_sealed, GError **error);
/** Decrypts @len bytes, more than REPO_TAG. Fails with CORRUPT; @name is for the message. */
gboolean file_cipher_open(const FileCipher *cipher, uint64_t offset, const uint8_t *sealed,
                          size_t len, uint8_t *ret_plain, const char *name, GError **error);
