/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/stat.h>

#include <base/file.h>

/**
 * A name outside of the pools' directories that a program creates, replaces, binds or removes. Root
 * often does so in the directory of another user, and that user can exchange each name there at any
 * time.
 *
 * The directory is opened once, component by component, and every later step is relative to its
 * descriptor. A symbolic link is followed only if no other user can have made or exchanged it: root
 * or this process's user owns it, and its directory is trusted. A directory is trusted if only they
 * can create or rename entries in it, or if it is theirs and sticky (/tmp). The own directory of a
 * user other than root is also trusted if its group can write to it. Links of /proc (/dev/stdout,
 * /dev/fd/N) lead to descriptors of this process, and are followed.
 *
 * Not for concurrent use. The functions acquire no lock.
 */
typedef struct {
    CstFd dir;        /**< the directory; for reading, or O_PATH if it cannot be read */
    char *path;       /**< as the caller named it, for messages */
    char *name;       /**< the last component, after links were followed */
    gboolean trusted; /**< the directory is trusted */
    gboolean closed;  /**< trusted, and no other user can create entries in the directory */
    gboolean shared;  /**< users other than its owner can create entries (/tmp, the directory of a
                         group) */
    uid_t owner;      /**< of the directory */
    uid_t user;       /**< an additional user with trusted directories and links */
    char *exchanged;  /**< a directory of the path that another user can exchange; NULL: no such
                         directory */
    gboolean magic;   /**< the name is a link of /proc, which cst_place_open() follows */
} CstPlace;

#define CST_PLACE_INIT \
    {                  \
        .dir = -1      \
    }

/**
 * Opens the directory of @path for @user, a user trusted in addition to root and this process's
 * user. @user is the user for which the thread accesses files (setfsuid(2)). @follow: follow a link
 * with the name; otherwise the link itself is the place. The name need not exist.
 *
 * Fails with DENIED if the path leads through a link, or by ".." out of a directory, that another
 * user can exchange. Fails with INVALID if @path has no last component. Clear *ret_place in any
 * case.
 */
gboolean cst_place_init_for(CstPlace *ret_place, const char *path, uid_t user, gboolean follow,
                            GError **error);
/** As cst_place_init_for() for this process's user, with @follow. */
gboolean cst_place_init(CstPlace *ret_place, const char *path, GError **error);
/**
 * As cst_place_init(), and creates the missing directories above the name with mode 0700. Each is
 * synced before the next one is created.
 */
gboolean cst_place_init_making(CstPlace *ret_place, const char *path, GError **error);
/**
 * Opens the directory @path by the same walk, with O_PATH. @make: creates missing directories, the
 * last one with mode *@make and its parents with 0755; NULL: creates no directory. Each is synced
 * before the next one is created. *ret_exchanged: a component of the path that another user can
 * exchange; NULL: there is none. The caller frees it. Returns -1 with @error.
 */
int cst_place_walk(const char *path, const mode_t *make, char **ret_exchanged, GError **error);
/**
 * Opens the directory of @name, a relative path, beneath the directory of @above. Follows no link.
 * @path is for messages. Returns FALSE with errno set. Clear *ret_place in any case.
 */
gboolean cst_place_init_beneath(CstPlace *ret_place, const CstPlace *above, const char *name,
                                const char *path);
/**
 * Whether no other user can create or exchange entries in the directory (but see @shared), or
 * exchange a directory of its path.
 */
gboolean cst_place_is_secure(const CstPlace *place);
/** Closes the directory and frees the strings. */
void cst_place_clear(CstPlace *place);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstPlace, cst_place_clear)

/** Reads the attributes of the name, without following a link. Returns FALSE with errno set. */
gboolean cst_place_stat(const CstPlace *place, struct stat *ret_st);
/**
 * Opens the name with @flags as for open(2); O_CLOEXEC and O_NOCTTY are added. A link is not
 * followed (ELOOP). With O_NONBLOCK in @flags the call does not wait for a FIFO. Returns -1 with
 * errno set.
 */
int cst_place_open(const CstPlace *place, int flags);
/**
 * Fails with DENIED if another user can have made the name of the open file @st as a hard link:
 * other users can create entries in the directory, and the name does not lead to the file any more
 * or is not its only one. A file of the directory's owner may have several names if only the owner
 * can create entries.
 */
gboolean cst_place_check_links(const CstPlace *place, const struct stat *st, GError **error);
/**
 * Opens an existing file as cst_place_open(), without a wait for a FIFO, and checks its links.
 * Returns -1 with an error, whose text is @complaint if the file cannot be opened.
 */
int cst_place_open_input(const CstPlace *place, int flags, struct stat *ret_st,
                         const char *complaint, GError **error);
/**
 * Creates the name as a regular file for reading and writing, with @mode less the umask. Returns -1
 * with errno set: EEXIST if the name exists.
 */
int cst_place_create(const CstPlace *place, mode_t mode);
/**
 * Whether new content may be given to the owner of the file @st, which has the name. The owner must
 * be root, the user of this process, a trusted user or the owner of the directory. Any owner is
 * accepted if no other user can have created the file there.
 */
gboolean cst_place_may_give(const CstPlace *place, const struct stat *st);
/**
 * Opens the name for writing. Creates a file with @mode less the umask (*ret_created), or opens the
 * existing file without truncating it. Removes the set-user-ID and set-group-ID bits of a file.
 * Waits for the reader of a FIFO. Fails with DENIED if the owner of the file may not get content
 * (cst_place_may_give()), for a FIFO of a user that is not trusted, and for a file with several
 * names in a directory that is not trusted. Returns -1 with @error.
 */
int cst_place_open_output(const CstPlace *place, mode_t mode, gboolean *ret_created,
                          GError **error);
/** Whether the name leads to the file that @st describes. */
gboolean cst_place_is(const CstPlace *place, const struct stat *st);
/** Removes the name, but only if it leads to the file that @st describes. */
void cst_place_remove(const CstPlace *place, const struct stat *st);
/** Syncs the directory as cst_dir_sync(). Skips a directory that cannot be read. */
gboolean cst_place_sync(const CstPlace *place, GError **error);
/** Returns a path to the name through the descriptor, for bind(2) and connect(2). g_free() it. */
char *cst_place_reach(const CstPlace *place);

/**
 * Creates an empty directory with a random hidden name in the same directory. Only this process's
 * user can enter it. Returns its descriptor and *ret_name, which the caller frees; -1 with @error.
 */
int cst_place_make_draft(const CstPlace *place, char **ret_name, GError **error);
/**
 * Removes the files @files (char *; NULL: no file) from the directory @fd of
 * cst_place_make_draft(), and the directory if it still has its name. Missing files are no error.
 * Fails with the path of the directory, which the user has to remove then.
 */
gboolean cst_place_drop_draft(const CstPlace *place, int fd, const char *name,
                              const GPtrArray *files, GError **error);
/**
 * Moves the file @name in the directory @draft to the name @final in the directory of @place. With
 * @replace it replaces a file of that name; otherwise it fails with EXISTS if there is one. Some
 * file systems do not support RENAME_NOREPLACE. There the name is checked directly before the
 * rename.
 */
gboolean cst_place_adopt(const CstPlace *place, int draft, const char *name, const char *final,
                         gboolean replace, GError **error);

/**
 * Creates the name as a file with @len bytes of @data and with @mode. After a crash the file is
 * either complete and durable, or absent. @replace as for cst_place_adopt().
 */
gboolean cst_place_replace(const CstPlace *place, const void *data, size_t len, mode_t mode,
                           gboolean replace, GError **error);

/**
 * Returns the path of the directory @name (may have subdirectories) in the user's cache. Creates it
 * with mode 0700 if it is missing. g_free() the result. Returns NULL if another user owns the cache
 * or can exchange a directory of the path: a program of root that runs with another user's HOME has
 * no cache.
 */
char *cst_place_cache_dir(const char *name);
/**
 * As cst_place_cache_dir(), below XDG_STATE_HOME (~/.local/state), for records that must persist.
 */
char *cst_place_state_dir(const char *name);

/** Whether both describe the same file. */
gboolean cst_stat_is_same(const struct stat *a, const struct stat *b);
