/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include <base/file.h>

/** The directories of a backup session: of its socket, and of its scratch files. */

/** Returns a new random name for the directories of a session. The caller frees it. */
char *backup_session_make(void);
/** Whether backup_session_make() makes such names. */
gboolean backup_session_is_valid(const char *name);

/** Returns the path of the socket. The caller frees it. */
char *backup_socket_path(const char *directory, const char *session);
/** Returns the path of the scratch file of a disk. The caller frees it. */
char *backup_scratch_path(const char *scratch, const char *session, const char *target);
/** Whether @target may be part of the name of a file. */
gboolean backup_target_is_valid(const char *target);

/** Creates the directory of the socket with mode 0700, owned by QEMU's user. */
gboolean backup_socket_make(int dirfd, const char *session, uid_t uid, gid_t gid, GError **error);

/**
 * Opens the directory of all scratch files. Returns -1 with DENIED if other users can write to it.
 */
int backup_scratch_open(const char *path, GError **error);
/**
 * Creates and locks the session's directory. Returns its descriptor, which holds the lock, or -1.
 */
int backup_scratch_make(int scratch_fd, const char *session, GError **error);
/** Returns the bytes that QEMU's user can write to the file system. */
uint64_t backup_scratch_free(int scratch_fd);

/**
 * Removes a directory of a session below @parent_fd with its files. Does nothing if it is missing.
 * Returns FALSE if something is left.
 */
gboolean backup_directory_remove(int parent_fd, const char *session);
/** Removes each session's directory that is not in @kept (a set of names) and not locked. */
void backup_scratch_sweep(int scratch_fd, GHashTable *kept);
