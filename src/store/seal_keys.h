/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/paths.h>

#include "seal.h"

/**
 * The keys that seal values. They are read for each use, so that no key remains in memory and keys
 * of other processes are found. A key is 32 bytes, in one of
 *
 * - a credential of the service: a file of $CREDENTIALS_DIRECTORY with a name that begins with
 *   "cistern-secret-key". The last one in the order of names seals; the other ones only open;
 * - a key file DATA/secret-keys/NUMBER.key, mode 0600. The highest number seals if there is no
 *   credential; the other ones only open.
 *
 * Writers hold the secrets' driver lock.
 */

typedef struct {
    CstSecretBytes key;
    char id[SEAL_ID_TEXT];
    char *path;
    guint64 number; /**< of a key file; 0: a credential */
} SealKey;

/** The result of a search: the keys, the one that seals last; and a text for each rejected file. */
typedef struct {
    GPtrArray *keys;    /**< of SealKey * */
    GPtrArray *refused; /**< of char *: "'PATH' is not used: why" */
    char *places;       /**< description of the places that were searched */
} SealKeys;

/** Reads all keys. Never fails: problems are recorded in refused. */
SealKeys *seal_keys_load(const CstPaths *paths);
/** Overwrites and frees the keys. NULL is accepted. */
void seal_keys_free(SealKeys *keys);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SealKeys, seal_keys_free)

/**
 * Returns the key with @id. Returns NULL with INVALID_SECRET, which names the key that @path needs
 * and the places that were searched.
 */
const SealKey *seal_keys_find(const SealKeys *keys, const char *id, const char *path,
                              GError **error);
/**
 * Returns the key that seals; NULL: no key exists. Returns NULL with an error if a key is refused.
 */
const SealKey *seal_keys_current(const SealKeys *keys, GError **error);

/** Returns the directory of key files; the caller frees it. */
char *seal_keys_dir(const CstPaths *paths);
/** Creates a key file with the next number, durably. */
gboolean seal_keys_make(const CstPaths *paths, GError **error);
/**
 * Removes the key files with ids that are not in @needed (a set of char *). With @keep_current
 * keeps the one with the highest number.
 */
gboolean seal_keys_drop(const CstPaths *paths, GHashTable *needed, gboolean keep_current,
                        GError **error);
