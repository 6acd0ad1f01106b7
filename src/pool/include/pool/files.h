/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/file.h>
#include <base/sync_group.h>
#include <pool/backend.h>

/**
 * Pools that are a directory of files. src/pool/dir shares this code with the types that mount the
 * directory first (src/pool/mount).
 */

/** Prefix of Cistern's own names. Listings do not show them, and no volume may have one. */
#define CST_DRAFT_PREFIX ".cistern-"

/** An open directory. */
typedef struct {
    CstFd fd;
    char *path;          /**< for messages and for references of images; never used to open a
                              file */
    gboolean is_private; /**< only root and our user may create, rename and remove entries */
    struct stat st;      /**< its state at the time of the open */
} CstDirHandle;

#define CST_DIR_HANDLE_NONE ((CstDirHandle){.fd = -1})

/** Closes the handle; does nothing for CST_DIR_HANDLE_NONE. */
void cst_handle_clear(CstDirHandle *dir);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstDirHandle, cst_handle_clear)

/**
 * Opens the directory at @path for a caller that will mount on that path. Only root and our user
 * may be able to replace a component of the path; DENIED names the component otherwise. Links are
 * followed as by cst_handle_open_trusted().
 */
gboolean cst_handle_open_fixed(const char *path, CstDirHandle *ret_handle, GError **error);

/**
 * Resolves all links of @path, to the form in the kernel's mount table. Does not access the mounted
 * file system. Returns a copy of @path if it cannot be resolved. g_free() the result.
 */
char *cst_path_real(const char *path);

/**
 * Calls statfs(2) on the directory @path and opens it; waits as long as its server does. Fails with
 * the error of statfs(2), which is also in errno. A failure to open the directory counts as an
 * answer.
 */
gboolean cst_path_touch(const char *path, GError **error);

/* --- trust (dir/beneath.c) -------------------------------------------------------------------- */

/** Mode, owner and link count of an entry, from stat. */
typedef struct {
    mode_t mode;
    uid_t uid;
    guint nlink;
} CstEntryOwner;

/**
 * Returns the reason why entry @name must be neither read nor written; NULL if it may be. Refuses
 * symbolic links that other users can have created. In a directory that other users may write to,
 * also refuses files with several links (to another tenant's file) and device nodes. g_free() the
 * result.
 */
char *cst_entry_distrust(const CstDirHandle *dir, const char *name, const CstEntryOwner *owner);

/* --- names (dir/draft.c) ---------------------------------------------------------------------- */

/** A draft is named PREFIX<token>SUFFIX. */
#define CST_DRAFT_SUFFIX ".part"

/** Returns the name of the draft of @token. The caller frees it. */
char *cst_dir_draft_name(const char *token);
/** Whether @name has the form of a draft's name, made by any process. */
gboolean cst_dir_is_draft(const char *name);
/**
 * Returns TRUE for names that listings do not show: ".", "..", names with our prefix or with
 * control characters, and the files that an NFS client keeps for a deleted open file.
 */
gboolean cst_dir_name_hidden(const char *name);
/** Whether @name can be the name of a volume: shown by listings, or in the trash. */
gboolean cst_dir_name_is_volume(const char *name);
/* --- the state -------------------------------------------------------------------------------- */

/** The expected identity of a target directory (target.c). */
typedef struct {
    gboolean known; /**< FALSE: any directory is accepted */
    gboolean exact; /**< compare inode and device, because they were recorded since the last boot */
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
     * Checks that @target, which is not the directory admitted last, belongs to the pool. FALSE
     * with STATE and the reason if not. NULL: compare with CstDirIdentity.
     */
    gboolean (*admit)(CstPoolState *state, const CstDirHandle *target, GError **error);
} CstDirState;

/**
 * Initialises @dir, which is zeroed, with a copy of @def. INVALID, with no need to clear @dir, if
 * the definition has no absolute path. Does not access the target.
 */
gboolean cst_dir_state_init(CstDirState *dir, const CstPoolDef *def, GError **error);
/** Frees the members of @dir, not @dir itself. */
void cst_dir_state_clear(CstDirState *dir);

/**
 * Opens the target directory for one call. STATE if it is not the directory that the pool was
 * started with; NOT_FOUND or a similar error if it cannot be opened.
 */
gboolean cst_dir_target_open(CstPoolState *state, CstDirHandle *ret_target, GError **error);

/* --- callbacks; CstBackend has their contracts ------------------------------------------------ */

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
gboolean cst_dir_vols_delete(CstPoolState *state, CstVolDeletion *deletions, guint count,
                             GError **error);
gboolean cst_dir_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                            GError **error);
gboolean cst_dir_vol_link(CstPoolState *state, const char *name, const char *new_name,
                          GError **error);
gboolean cst_dir_vol_take(CstPoolState *state, CstPoolState *from, const char *name, CstBlob *blob,
                          const char *new_name, GError **error);
CstBlob *cst_dir_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);
gboolean cst_dir_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error);
gboolean cst_dir_vols_holders(CstPoolState *state, const char *const *names, guint count,
                              CstTask *task, GPtrArray **holders, GError **error);
extern const CstSnapshotBackend cst_dir_snapshots;

gboolean cst_dir_build(CstPoolState *state, unsigned flags, GError **error);
gboolean cst_dir_destroy(CstPoolState *state, unsigned flags, GError **error);

int cst_dir_watch_open(CstPoolState *state, GError **error);
void cst_dir_watch_close(CstPoolState *state, int fd);
void cst_dir_watch_read(CstPoolState *state, int fd,
                        void (*changed)(const char *name, gpointer data), gpointer data);

/**
 * Members of a backend's table that are common to all pools of files. The backend's state begins
 * with a CstDirState. vol_resize and vol_children are missing: the image engine resizes the images,
 * and the core's tables have their references.
 */
#define CST_DIR_VOLUMES                                                                       \
    .on_mounts = TRUE, .keeps_trash = TRUE, .reserved_prefix = CST_DRAFT_PREFIX,              \
    .ends_dry_runs = TRUE, .scan = cst_dir_scan, .scan_one = cst_dir_scan_one,                \
    .usage = cst_dir_usage, .vol_path = cst_dir_vol_path, .vol_resolve = cst_dir_vol_resolve, \
    .drop_drafts = cst_dir_drop_drafts, .vol_reserve = cst_dir_vol_reserve,                   \
    .vol_commit = cst_dir_vol_commit, .vol_abandon = cst_dir_vol_abandon,                     \
    .vol_delete = cst_dir_vol_delete, .vols_delete = cst_dir_vols_delete,                     \
    .vol_declare = cst_dir_vol_declare, .vol_rename = cst_dir_vol_rename,                     \
    .vol_link = cst_dir_vol_link, .vol_take = cst_dir_vol_take, .vol_open = cst_dir_vol_open, \
    .vol_holders = cst_dir_vol_holders, .vols_holders = cst_dir_vols_holders,                 \
    .snapshots = &cst_dir_snapshots, .watch_open = cst_dir_watch_open,                        \
    .watch_close = cst_dir_watch_close, .watch_read = cst_dir_watch_read
