/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

#include <base/task.h>

/**
 * The processes of this host that lock some regular files or can write to them, found by one search
 * of /proc. The search stores users of the wanted files only.
 */
typedef struct CstFileUsers CstFileUsers;

/** Maximal number of users of all wanted files together. */
#define CST_FILE_USERS_MAX 65536u
/** Maximal number of bytes in CstFileBytes. */
#define CST_FILE_BYTES_MAX 8u

/** Positions in a file. Locks of open file descriptions (F_OFD_SETLK) on them are reported. */
typedef struct {
    guint count; /**< at most CST_FILE_BYTES_MAX */
    off_t at[CST_FILE_BYTES_MAX];
} CstFileBytes;

/** A process that has a lock on a file, or has it open or mapped for writing. */
typedef struct {
    int64_t pid;     /**< this process is included */
    gboolean writes; /**< has a descriptor or a shared mapping that can write */
    uint8_t locked;  /**< bit N: holds a lock on byte N of CstFileBytes */
    gboolean child;  /**< writes, and was a child of this process when that was found */
} CstFileUser;

/** Returns an index without files. @bytes is copied; NULL: locks are not searched. */
CstFileUsers *cst_file_users_new(const CstFileBytes *bytes);
/** NULL is accepted. */
void cst_file_users_free(CstFileUsers *users);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstFileUsers, cst_file_users_free)

/** Adds the regular file of @fd to the wanted files. Ignores other descriptors, and -1. */
void cst_file_users_want(CstFileUsers *users, int fd);
/** Number of wanted files. */
guint cst_file_users_wanted(const CstFileUsers *users);

/**
 * Searches all processes once for users of the wanted files. Only root sees the processes of other
 * users. The search reads no other file system, so it does not block on a file system that does not
 * answer. A process that ends during the search may be missing. @task (may be NULL) cancels.
 *
 * Fails with CANCELLED, or with LIMIT if there are more than CST_FILE_USERS_MAX users. The users
 * that were found before the failure stay in the index.
 */
gboolean cst_file_users_search(CstFileUsers *users, CstTask *task, GError **error);

/**
 * Returns the users of the regular file of @fd, as CstFileUser, in the order of /proc. Borrowed.
 * Returns NULL if the file is not wanted.
 */
const GArray *cst_file_users_of(const CstFileUsers *users, int fd);
