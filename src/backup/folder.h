/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/file.h>

#include "format.h"

/**
 * The directories of a repository. Everything is opened from a directory's descriptor, by a name
 * that is ours, and no link is followed: who can write there can put other bytes into a file, which
 * does not authenticate, and lead nowhere else.
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

/** The name of a directory. */
const char *folder_name(FolderKind kind);
/** Makes the directories in @path, which is made if it is missing. EXISTS unless it is empty. */
gboolean folders_make(Folders *folders, const char *path, GError **error);
/**
 * Opens them. DENIED when others may write there, unless @shared_ok. NOT_FOUND, NOT a repository.
 */
gboolean folders_open(Folders *folders, const char *path, gboolean shared_ok, GError **error);

/** Opens a regular file for reading; -1 with an error. */
int folder_file_open(int dirfd, const char *name, const char *path, GError **error);
/** Reads one of at most @limit bytes; CORRUPT when it is longer, or no file. The caller frees. */
uint8_t *folder_file_read(int dirfd, const char *name, const char *path, size_t limit,
                          size_t *ret_len, GError **error);

/** Makes an empty draft, whose name is its id; -1 with an error. */
int folder_draft(const Folders *folders, uint8_t ret_id[REPO_ID], GError **error);
/** Makes what is in a draft durable, then a file of @kind under @name, then that name. */
gboolean folder_publish(const Folders *folders, int fd, const uint8_t draft[REPO_ID],
                        FolderKind kind, const char *name, GError **error);
/** The same of the file "config", by which a directory is a repository. */
gboolean folder_publish_config(const Folders *folders, int fd, const uint8_t draft[REPO_ID],
                               GError **error);
/** Drops a draft; a failure is no matter. */
void folder_drop_draft(const Folders *folders, const uint8_t draft[REPO_ID]);
/** Removes a file, durable after folder_sync(); succeeds when there is none. */
gboolean folder_remove(const Folders *folders, FolderKind kind, const char *name, GError **error);
/** Whether the file @name exists, readable or not. */
gboolean folder_has(const Folders *folders, FolderKind kind, const char *name);
gboolean folder_sync(const Folders *folders, FolderKind kind, GError **error);

/** Names of the files whose name is an id, sorted. @others: counts other names; NULL. */
GPtrArray *folder_list(const Folders *folders, FolderKind kind, guint *ret_others, GError **error);
/** "REPO/packs/NAME", for messages; free it. */
char *folder_path(const Folders *folders, FolderKind kind, const char *name);
