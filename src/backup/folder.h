/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/file.h>

#include "format.h"

/**
 * The directories of a repository. Files are opened relative to a directory's descriptor, by a
 * generated name, and no link is followed. A user with write access to the directories can replace
 * the bytes of a file, which then fail authentication, but cannot redirect an access elsewhere.
 */
typedef enum {
    FOLDER_PACKS,
    FOLDER_INDEX,
    FOLDER_BACKUPS,
    FOLDER_LOCKS,
    FOLDER_DRAFTS,
    N_FOLDERS
} FolderKind;

typedef struct {
    char *path; /**< of the repository, for messages */
    CstFd root;
    CstFd fds[N_FOLDERS];
} Folders;

void folders_clear(Folders *folders);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Folders, folders_clear)

/** Returns the name of a directory. */
const char *folder_name(FolderKind kind);
/**
 * Makes the directories in @path, which is made if it is missing. Fails with EXISTS unless @path is
 * empty, or holds only directories of an interrupted call.
 */
gboolean folders_make(Folders *folders, const char *path, GError **error);
/**
 * Opens the directories. Fails with DENIED if other users may write there, unless @shared_ok, and
 * with NOT_FOUND if @path is not a repository.
 */
gboolean folders_open(Folders *folders, const char *path, gboolean shared_ok, GError **error);

/** Opens a regular file for reading. Returns -1 with @error set on failure. */
int folder_file_open(int dirfd, const char *name, const char *path, GError **error);
/**
 * Reads a file of at most @limit bytes. Fails with CORRUPT if it is longer or not a regular file.
 * The caller frees the result.
 */
uint8_t *folder_file_read(int dirfd, const char *name, const char *path, size_t limit,
                          size_t *ret_len, GError **error);

/** Makes an empty draft, whose name is its id. Returns its descriptor, or -1 with @error set. */
int folder_draft(const Folders *folders, uint8_t ret_id[REPO_ID], GError **error);
/**
 * Publishes a draft as the file @name of @kind: syncs its content, renames it, and syncs the
 * directory.
 */
gboolean folder_publish(const Folders *folders, int fd, const uint8_t draft[REPO_ID],
                        FolderKind kind, const char *name, GError **error);
/** Publishes a draft as the file "config", which marks the directory as a repository. */
gboolean folder_publish_config(const Folders *folders, int fd, const uint8_t draft[REPO_ID],
                               GError **error);
/** Removes a draft. A failure is ignored. */
void folder_drop_draft(const Folders *folders, const uint8_t draft[REPO_ID]);
/** Removes a file. The removal is durable after folder_sync(). A missing file is no error. */
gboolean folder_remove(const Folders *folders, FolderKind kind, const char *name, GError **error);
/** Returns whether the file @name exists, even if it is unreadable. */
gboolean folder_has(const Folders *folders, FolderKind kind, const char *name);
gboolean folder_sync(const Folders *folders, FolderKind kind, GError **error);

/**
 * Returns the sorted names of the files whose name is an id. *@ret_others: number of other names;
 * may be NULL.
 */
GPtrArray *folder_list(const Folders *folders, FolderKind kind, guint *ret_others, GError **error);
/** Returns "REPO/packs/NAME", for messages. The caller frees it. */
char *folder_path(const Folders *folders, FolderKind kind, const char *name);
