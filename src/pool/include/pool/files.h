/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/file.h>
#include <base/sync_group.h>
#include <pool/backend.h>

/**
 * Pools that are a directory of files: what src/pool/dir shares with the types that mount the
 * directory first (src/pool/mount).
 */

/** Names that begin like this are ours: no listing shows them and no volume may have one. */
#define CST_DRAFT_PREFIX ".cistern-"

/** A directory held open. */
typedef struct {
    CstFd fd;
    char *path;          /**< for messages and for what images refer to; nothing is opened by it */
    gboolean is_private; /**< only root and we may make, rename and remove entries */
    struct stat st;      /**< as it was when it was opened */
} CstDirHandle;

#define CST_DIR_HANDLE_NONE ((CstDirHandle){.fd = -1})

/** Closes the handle; does nothing for CST_DIR_HANDLE_NONE. */
void cst_handle_clear(CstDirHandle *dir);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstDirHandle, cst_handle_clear)

/**
 * Opens the directory at @path for somebody who is going to mount on it by that path: nobody but
 * root and us may be able to put something else in the place of any part of it. DENIED names the
 * part otherwise. Links are followed as by cst_handle_open_trusted().
 */
gboolean cst_handle_open_fixed(const char *path, CstDirHandle *ret_handle, GError **error);

/**
 * Where @path leads, without links, as the kernel's table of mounts has it. What is mounted there
 * is not touched; @path itself where it can't be told. g_free() it.
 */
char *cst_path_real(const char *path);

/**
 * Calls statfs(2) on the directory @path and opens it, which may take as long as its server likes.
 * Fails with the error of statfs(2), which is also in errno; a directory that cannot be opened has
 * answered.
 */
gboolean cst_path_touch(const char *path, GError **error);

/* --- trust (dir/beneath.c) -------------------------------------------------------------------- */

/** What stat says of an entry's owner. */
typedef struct {
    mode_t mode;
    uid_t uid;
    guint nlink;
} CstEntryOwner;

/**
 * Returns why entry @name must be neither read nor written; NULL: it may be. Refused are symbolic
 * links that others can have planted and, in a directory that others may write to, files with more
 * than one name (another tenant's, linked there) and device nodes. g_free() it.
 */
char *cst_entry_distrust(const CstDirHandle *dir, const char *name, const CstEntryOwner *owner);

/* --- names (dir/draft.c) ---------------------------------------------------------------------- */

/** What is being made is called PREFIX<token>SUFFIX. */
#define CST_DRAFT_SUFFIX ".part"

/** Name of the draft that @token stands for; the caller frees it. */
char *cst_dir_draft_name(const char *token);
/** Whether @name has the form of a draft's name, whoever made it. */
gboolean cst_dir_is_draft(const char *name);
/**
 * TRUE for names that no listing shows: ".", "..", ours, names with control characters, and what an
 * NFS client keeps of a file that was deleted while it was open.
 */
gboolean cst_dir_name_hidden(const char *name);
/** Whether @name can be a volume's: one that listings show, or that is in the trash. */
gboolean cst_dir_name_is_volume(const char *name);
/* --- the state -------------------------------------------------------------------------------- */

/** What a target directory must be (target.c). */
typedef struct {
    gboolean known; /**< FALSE: anything will do */
    gboolean exact; /**< inode and device count, because they were seen since the last boot */
    int mounted;
    unsigned long type;
    unsigned long long inode;
    unsigned long long device;
} CstDirIdentity;

typedef struct {
    CstPoolState head;
    GMutex lock;
    CstDirIdentity must; /**< guarded by the lock */
    CstSyncGroup *names; /**< syncs of the target directory */
    /**
     * Whether @target, not the directory that was admitted last, is the pool's; FALSE with STATE,
     * saying why not. NULL: go by what CstDirIdentity says.
     */
    gboolean (*admit)(CstPoolState *state, const CstDirHandle *target, GError **error);
} CstDirState;

/**
 * Fills in @dir, which is zeroed, and its copy of @def. INVALID, with nothing to clear, when the
 * definition names no absolute path. The target is not touched.
 */
gboolean cst_dir_state_init(CstDirState *dir, const CstPoolDef *def, GError **error);
/** Frees what @dir has, not @dir itself. */
void cst_dir_state_clear(CstDirState *dir);

/**
 * Opens the target directory for one call. STATE when it is not the one that the pool was started
 * with; NOT_FOUND and the like when it can't be opened.
 */
gboolean cst_dir_target_open(CstPoolState *state, CstDirHandle *ret_target, GError **error);

/* --- callbacks, which do what CstBackend says of them ----------------------------------------- */

gboolean cst_dir_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);
char *cst_dir_vol_path(CstPoolState *state, const char *name);
char *cst_dir_vol_resolve(CstPoolState *state, const char *path);

gboolean cst_dir_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean cst_dir_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error);

gboolean cst_dir_vol_declare(CstPoolState *state, CstBlob *blob, const CstDeclaration *declaration);
gboolean cst_dir_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error);
gboolean cst_dir_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error);
gboolean cst_dir_vol_abandon(CstPoolState *state, const char *token, GError **error);
gboolean cst_dir_drop_drafts(CstPoolState *state, GError **error);
gboolean cst_dir_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error);
gboolean cst_dir_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                            GError **error);
gboolean cst_dir_vol_link(CstPoolState *state, const char *name, const char *new_name,
                          GError **error);
gboolean cst_dir_vol_take(CstPoolState *state, CstPoolState *from, const char *name, CstBlob *blob,
                          const char *new_name, GError **error);
CstBlob *cst_dir_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);
gboolean cst_dir_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error);
extern const CstSnapshotBackend cst_dir_snapshots;

gboolean cst_dir_build(CstPoolState *state, unsigned flags, GError **error);
gboolean cst_dir_destroy(CstPoolState *state, unsigned flags, GError **error);

int cst_dir_watch_open(CstPoolState *state, GError **error);
void cst_dir_watch_close(CstPoolState *state, int fd);
void cst_dir_watch_read(CstPoolState *state, int fd,
                        void (*changed)(const char *name, gpointer data), gpointer data);

/**
 * The members of a backend's table that all pools of files have alike. Its states begin with a
 * CstDirState. No vol_resize and no vol_children: files are images, which the image engine resizes
 * and the core's tables relate.
 */
#define CST_DIR_VOLUMES                                                                           \
    .on_mounts = TRUE, .keeps_trash = TRUE, .reserved_prefix = CST_DRAFT_PREFIX,                  \
    .ends_dry_runs = TRUE, .scan = cst_dir_scan, .scan_one = cst_dir_scan_one,                    \
    .usage = cst_dir_usage, .vol_path = cst_dir_vol_path, .vol_resolve = cst_dir_vol_resolve,     \
    .drop_drafts = cst_dir_drop_drafts, .vol_reserve = cst_dir_vol_reserve,                       \
    .vol_commit = cst_dir_vol_commit, .vol_abandon = cst_dir_vol_abandon,                         \
    .vol_delete = cst_dir_vol_delete, .vol_declare = cst_dir_vol_declare,                         \
    .vol_rename = cst_dir_vol_rename, .vol_link = cst_dir_vol_link, .vol_take = cst_dir_vol_take, \
    .vol_open = cst_dir_vol_open, .vol_holders = cst_dir_vol_holders,                             \
    .snapshots = &cst_dir_snapshots, .watch_open = cst_dir_watch_open,                            \
    .watch_close = cst_dir_watch_close, .watch_read = cst_dir_watch_read
