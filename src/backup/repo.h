/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "crypt.h"
#include "folder.h"
#include "index.h"

/** State of an open repository that all files of this folder share. */
struct CstRepo {
    Folders folders;
    char id[REPO_ID_TEXT];
    RepoConfig config;
    RepoKeys keys;
    RepoIndex index;
    gboolean index_loaded;
    uint8_t lock_id[REPO_ID];
    CstFd lock; /* descriptor of our file in "locks", locked with flock(2); -1: not locked */
    gboolean lock_exclusive;
    gboolean read_only;
};

/**
 * Encrypts @body into a new file of @kind. The file's name is its id, which *@ret_id receives (may
 * be NULL).
 */
gboolean repo_file_write(CstRepo *repo, RepoFileKind kind, const GByteArray *body,
                         char ret_id[REPO_ID_TEXT], GError **error);
/** Reads and authenticates the file @id of @kind. The caller frees the body. Fails with CORRUPT. */
uint8_t *repo_file_read(CstRepo *repo, RepoFileKind kind, const char *id, size_t *ret_len,
                        GError **error);

/**
 * Loads the index unless it is loaded: reads the indexes, and the tables of packs that no index
 * describes. A damaged index is ignored. @problems receives texts about damaged indexes and about
 * packs with a damaged table. If @problems is NULL, a damaged table is an error, because content
 * may be missing.
 */
gboolean repo_index_load(CstRepo *repo, GPtrArray *problems, GError **error);
/** Returns whether @error reports a damaged file or an unreadable medium. */
gboolean repo_is_damage(const GError *error);
/** Drops the loaded index, so that the next use reads it again. */
void repo_index_drop(CstRepo *repo);

/* --- locks (lock.c) --------------------------------------------------------------------------- */

/**
 * Acquires the repository lock: shared to read or append, exclusive to delete. Does nothing if this
 * process already holds it. Fails with BUSY; the message names the holder.
 */
gboolean repo_lock(CstRepo *repo, gboolean exclusive, GError **error);
/**
 * Acquires the shared lock. The lock is mandatory, so that a prune cannot run during an append.
 * Fails with DENIED if no lock file can be written.
 */
gboolean repo_lock_to_write(CstRepo *repo, GError **error);
void repo_unlock(CstRepo *repo);
