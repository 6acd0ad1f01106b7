/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/files.h>
#include <pool/mounts.h>

/**
 * Pools whose directory is what they mount there: a device's file system (type fs), or what a
 * server exports (netfs: NFS, CIFS, GlusterFS by FUSE). Everything above the mount is pool/dir's.
 *
 * From below to above; a file calls files of the lines before its own, and to its left:
 *
 *     source.c  users.c               what is mounted, with which options; who keeps a mount busy
 *     table.c  discover.c  format.c   what is mounted at the target now; servers; file systems
 *     command.c  identity.c           mount and umount; whether it is the same storage as before
 *     lifecycle.c                     the callbacks check, start, stop and destroy
 *     mount.c                         the tables
 */
extern const CstBackend cst_fs_backend, cst_netfs_backend;

typedef struct {
    CstDirState dir;
    char *source;     /**< what is mounted, in mount's words: "/dev/sdc1", "host:/export" */
    char *recorded;   /**< identity of the expected storage; NULL: any. Guarded by dir.lock */
    gboolean foreign; /**< it was mounted before the start, and may be another's storage */
} MountState;

/** How long the tools may take, in seconds; tests change it. */
typedef struct {
    unsigned mount_s;         /**< of a device: a file system may have much to recover */
    unsigned mount_network_s; /**< of a server's directory */
    unsigned umount_s;        /**< what was written is on its way to the device */
    unsigned umount_network_s;
    unsigned force_s;  /**< to let go of storage that does not answer */
    unsigned format_s; /**< a new file system */
    unsigned ask_s;    /**< a server, for what it has */
} MountTimes;

extern MountTimes mount_times;

/* --- source.c --------------------------------------------------------------------------------- */

/**
 * Returns what is mounted for @def, in mount's words; NULL with CONFIG or INVALID when the
 * definition does not say so. Free it.
 */
char *mount_source(const CstPoolDef *def, GError **error);
/** The type for mount -t; "auto": mount finds it out. Static. */
const char *mount_type(const CstPoolDef *def);
/**
 * The options for mount -o, as libvirt gives them: never empty. @authenticated: a user's name and
 * password come from stdin. INVALID for options that would show a password. Free it.
 */
char *mount_options(const CstPoolDef *def, gboolean authenticated, GError **error);
/** Whether the name of @mount's source, and its type, are those of @def, a netfs pool. */
gboolean mount_is_export(const CstPoolDef *def, const char *source, const CstMount *mount);

/* --- users.c ---------------------------------------------------------------------------------- */

/** Appends a CstHolder for each one of this host that keeps @mount, one of @mounts, from going. */
void mount_users(const CstMount *mount, const GPtrArray *mounts, GPtrArray *holders);

/* --- table.c ---------------------------------------------------------------------------------- */

/** Whether @mount is of the pool's source. */
gboolean mount_is_ours(const MountState *state, const CstMount *mount);
/** What is mounted at the pool's target; borrowed from @mounts, NULL: nothing. */
const CstMount *mount_at_target(const MountState *state, const GPtrArray *mounts);
/** Whether the pool's source is mounted at its target now. Touches neither. */
gboolean mount_is_there(const MountState *state);

/* --- discover.c ------------------------------------------------------------------------------- */

/** Appends the paths that showmount has printed to @paths, an array that frees them. */
void mount_parse_exports(const char *text, GPtrArray *paths);

gboolean mount_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error);

/* --- format.c --------------------------------------------------------------------------------- */

gboolean mount_build_fs(CstPoolState *state, unsigned flags, GError **error);

/* --- command.c -------------------------------------------------------------------------------- */

/** Mounts the source at the target, and sees that it is there. */
gboolean mount_run(MountState *state, GError **error);
/**
 * Unmounts the target; BUSY, naming them, while it is in use. Storage that does not answer is let
 * go of: what was not yet written there is lost.
 */
gboolean mount_undo(MountState *state, GError **error);

/* --- identity.c ------------------------------------------------------------------------------- */

/** CstDirState.admit: what is mounted at the target is the pool's source, and the one expected. */
gboolean mount_admit(CstPoolState *state, const CstDirHandle *target, GError **error);
char *mount_identity(CstPoolState *state, GError **error);
gboolean mount_expect(CstPoolState *state, const char *recorded, gboolean starting, GError **error);

/* --- lifecycle.c ------------------------------------------------------------------------------ */

gboolean mount_check(CstPoolState *state, gboolean *ret_active, GError **error);
gboolean mount_start(CstPoolState *state, GError **error);
gboolean mount_stop(CstPoolState *state, GError **error);
gboolean mount_destroy(CstPoolState *state, unsigned flags, GError **error);
