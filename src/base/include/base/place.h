/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/stat.h>

#include <base/file.h>

/**
 * A name outside of the pools' directories that a program creates, replaces, binds or removes. Root
 * often does so in the directory of another user, who can exchange each name there at any moment.
 *
 * The directory is opened once, component by component, and every later step is relative to its
 * descriptor. A symbolic link is followed only where no other user can have made or exchanged it:
 * root or this process's user owns it, and its directory is trusted. A directory is trusted if only
 * they can make or rename entries in it, or if it is theirs and sticky (/tmp). Links of /proc
 * (/dev/stdout, /dev/fd/N) lead to descriptors of this process, and are followed.
 *
 * Not for concurrent use. Nothing here takes a lock.
 */
typedef struct {
    CstFd dir;        /**< the directory; for reading, or O_PATH if it can't be read */
    char *path;       /**< as the caller named it, for messages */
    char *name;       /**< the last component, behind links that were followed */
    gboolean trusted; /**< the directory is trusted */
    gboolean closed;  /**< trusted, and no other user can create entries in the directory */
    uid_t owner;      /**< of the directory */
    uid_t user;       /**< whose directories and links are trusted as well */
    char *exchanged;  /**< a directory of the path that another user can exchange; NULL: none */
    gboolean magic;   /**< the name is a link of /proc, which cst_place_open() follows */
} CstPlace;

#define CST_PLACE_INIT \
    {                  \
        .dir = -1      \
    }

/**
 * Opens the directory of @path for @user, who is trusted besides root and this process's user: the
 * user in whose name the thread accesses files (setfsuid(2)). @follow: a link that has the name is
 * followed; else it is the place itself. The name need not exist.
 * DENIED if the path leads through a link, or by ".." out of a directory, that another user can
 * exchange; INVALID if @path has no last component. Clear *ret_place in any case.
 */
gboolean cst_place_init_for(CstPlace *ret_place, const char *path, uid_t user, gboolean follow,
                            GError **error);
/** The same for this process's user, with a link of the name followed. */
gboolean cst_place_init(CstPlace *ret_place, const char *path, GError **error);
/**
 * The same, and makes the directories above the name that are missing, with mode 0700; each is
 * synced before the next one is made.
 */
gboolean cst_place_init_making(CstPlace *ret_place, const char *path, GError **error);
/** Closes the directory and frees the strings. */
void cst_place_clear(CstPlace *place);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstPlace, cst_place_clear)

/** Describes the name; a link is not followed. FALSE with errno set. */
gboolean cst_place_stat(const CstPlace *place, struct stat *ret_st);
/**
 * Opens the name with @flags as open(2); O_CLOEXEC and O_NOCTTY are added. A link is not followed
 * (ELOOP), nor is a FIFO waited for if @flags has O_NONBLOCK. Returns -1 with errno set.
 */
int cst_place_open(const CstPlace *place, int flags);
/**
 * Creates the name as a regular file for reading and writing, with @mode less the umask. Returns -1
 * with errno set: EEXIST if there is anything of that name.
 */
int cst_place_create(const CstPlace *place, mode_t mode);
/**
 * Whether the owner of the file @st, which has the name, may get new content of it: the user of the
 * process or of the directory, or any user if no other user can have put the file there.
 */
gboolean cst_place_may_give(const CstPlace *place, const struct stat *st);
/**
 * Opens the name for writing: a new file with @mode less the umask (*ret_created), or what exists,
 * which is not truncated. A FIFO is waited for. DENIED for a file or FIFO whose owner may not get
 * content (cst_place_may_give()), and for a file with several names in a directory that is not
 * trusted. Returns -1 with @error.
 */
int cst_place_open_output(const CstPlace *place, mode_t mode, gboolean *ret_created,
                          GError **error);
/** Whether the name leads to the file that @st describes. */
gboolean cst_place_is(const CstPlace *place, const struct stat *st);
/** Removes the name if it leads to the file that @st describes, and else nothing. */
void cst_place_remove(const CstPlace *place, const struct stat *st);
/** Syncs the directory, as cst_dir_sync(); one that can't be read is not synced. */
gboolean cst_place_sync(const CstPlace *place, GError **error);
/** Returns a path to the name by way of the descriptor, for bind(2) and connect(2). g_free() it. */
char *cst_place_reach(const CstPlace *place);

/**
 * Makes an empty directory with a random hidden name next to the name, which only this process's
 * user can enter. Returns its descriptor and *ret_name, the caller's to free; -1 with @error.
 */
int cst_place_make_draft(const CstPlace *place, char **ret_name, GError **error);
/** Removes that directory, @fd, if it is empty and still has its name. */
void cst_place_drop_draft(const CstPlace *place, int fd, const char *name);
/**
 * Gives the file @name in the directory @draft the name @final in the directory of @place.
 * @replace: replaces a file of that name; else EXISTS if there is one. Some file systems cannot
 * promise that; there the name is looked at right before.
 */
gboolean cst_place_adopt(const CstPlace *place, int draft, const char *name, const char *final,
                         gboolean replace, GError **error);

/**
 * Gives the name a file of @len bytes of @data with @mode, complete and durable or not at all.
 * @replace as for cst_place_adopt().
 */
gboolean cst_place_replace(const CstPlace *place, const void *data, size_t len, mode_t mode,
                           gboolean replace, GError **error);

/**
 * Returns the path of the directory @name (may have subdirectories) in the user's cache, made if it
 * is missing, with mode 0700; g_free() it. NULL if another user owns the cache or can exchange a
 * directory on the way: a program of root's that runs with another user's HOME has no cache.
 */
char *cst_place_cache_dir(const char *name);
/** The same below XDG_STATE_HOME (~/.local/state), for records that have to stay. */
char *cst_place_state_dir(const char *name);

/** Whether both describe the same file. */
gboolean cst_stat_is_same(const struct stat *a, const struct stat *b);
