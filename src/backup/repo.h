/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "crypt.h"
#include "folder.h"
#include "index.h"

/** What all files of this folder share of an open repository. */
struct CstRepo {
    Folders folders;
    char id[REPO_ID_TEXT];
    RepoConfig config;
    RepoKeys keys;
    RepoIndex index;
    gboolean index_loaded;
    uint8_t lock_id[REPO_ID];
    CstFd lock; /* held flock(2) on our file in "locks"; -1: none */
    gboolean lock_exclusive;
    gboolean read_only;
};

/** Encrypts @body into a file of @kind that is called like its id, or *ret_id in the end. */
gboolean repo_file_write(CstRepo *repo, RepoFileKind kind, const GByteArray *body,
                         char ret_id[REPO_ID_TEXT], GError **error);
/** Reads and authenticates such a file; the caller frees the body. CORRUPT. */
uint8_t *repo_file_read(CstRepo *repo, RepoFileKind kind, const char *id, size_t *ret_len,
                        GError **error);

/**
 * Reads indexes, and the tables of packs that no index describes, unless it has been done. Damaged
 * indexes are as good as none; sentences about them and about packs whose table is damaged go to
 * @problems (NULL: the latter are an error, for content may be missing).
 */
gboolean repo_index_load(CstRepo *repo, GPtrArray *problems, GError **error);
/** Whether @error says that a file is damaged or its medium can't be read. */
gboolean repo_is_damage(const GError *error);
/** Forgets it, so that the next use reads it again. */
void repo_index_drop(CstRepo *repo);

/* --- locks (lock.c) --------------------------------------------------------------------------- */

/**
 * Takes the lock of those who read or write (shared), or of those who remove what others may use
 * (exclusive); nothing when it is held already. BUSY, naming the holder.
 */
gboolean repo_lock(CstRepo *repo, gboolean exclusive, GError **error);
/** The shared lock, which has to be there: what is added must not meet a prune. DENIED. */
gboolean repo_lock_to_write(CstRepo *repo, GError **error);
void repo_unlock(CstRepo *repo);
