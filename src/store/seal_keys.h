/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/paths.h>

#include "seal.h"

/**
 * The keys that values are sealed with. They are read anew for each use, so that none stays in
 * memory and those that another process has made are seen. A key is 32 bytes, in one of
 *
 * - a credential of the service: a file of $CREDENTIALS_DIRECTORY whose name begins with
 *   "cistern-secret-key". The last one in the order of names seals; the others open;
 * - a key file DATA/secret-keys/NUMBER.key, mode 0600. The highest number seals where there is no
 *   credential; the others open.
 *
 * Writers hold the secrets' driver lock.
 */

typedef struct {
    CstSecretBytes key;
    char id[SEAL_ID_TEXT];
    char *path;
    guint64 number; /**< of a key file; 0: a credential */
} SealKey;

/** What was found: keys, the one that seals last; and a text for each file that can't be one. */
typedef struct {
    GPtrArray *keys;    /**< of SealKey * */
    GPtrArray *refused; /**< of char *: "'PATH' is not used: why" */
    char *places;       /**< where they were looked for, in words */
} SealKeys;

/** Reads all keys. Never fails: what is wrong is in refused. */
SealKeys *seal_keys_load(const CstPaths *paths);
/** Overwrites and frees. NULL is accepted. */
void seal_keys_free(SealKeys *keys);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SealKeys, seal_keys_free)

/**
 * The key of @id; NULL with INVALID_SECRET, which says what @path needs and where it was sought.
 */
const SealKey *seal_keys_find(const SealKeys *keys, const char *id, const char *path,
                              GError **error);
/** The key that seals; NULL: there is none. Fails (NULL with an error) when one is refused. */
const SealKey *seal_keys_current(const SealKeys *keys, GError **error);

/** The directory of key files; the caller frees it. */
char *seal_keys_dir(const CstPaths *paths);
/** Makes a key file with the next number, durable. */
gboolean seal_keys_make(const CstPaths *paths, GError **error);
/**
 * Removes the key files whose ids @needed (a set of char *) does not have; with @keep_current not
 * the highest.
 */
gboolean seal_keys_drop(const CstPaths *paths, GHashTable *needed, gboolean keep_current,
                        GError **error);
