/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/files.h>
#include <pool/mounts.h>

/**
 * Pools that mount their directory: the file system of a device (type fs), or an export of a server
 * (netfs: NFS, CIFS, GlusterFS by FUSE). pool/dir implements the volumes.
 *
 * The files, lowest layer first. A file calls only files of earlier lines, and files to its left:
 *
 *     source.c  users.c               source, type and options of the mount; users of a mount
 *     table.c  discover.c  format.c   the current mount of the target; servers; file systems
 *     command.c  identity.c           mount and umount; verification of the storage
 *     lifecycle.c                     the callbacks check, start, stop and destroy
 *     mount.c                         the tables
 */
extern const CstBackend cst_fs_backend, cst_netfs_backend;

typedef struct {
    CstDirState dir;
    char *source;     /**< source of the mount, as for mount(8): "/dev/sdc1", "host:/export" */
    char *recorded;   /**< identity of the expected storage; NULL: any. Guarded by dir.lock */
    gboolean foreign; /**< mounted before the start, maybe from other storage */
} MountState;

/** Timeouts of the tools in seconds. Tests change them. */
typedef struct {
    unsigned mount_s;         /**< of a device; its file system may need a long recovery */
    unsigned mount_network_s; /**< of an export */
    unsigned umount_s;        /**< must write cached data to the device */
    unsigned umount_network_s;
    unsigned force_s;  /**< to disconnect storage that does not respond */
    unsigned format_s; /**< a new file system */
    unsigned ask_s;    /**< a query of a server's exports */
} MountTimes;

extern MountTimes mount_times;

/* --- source.c --------------------------------------------------------------------------------- */

/**
 * Returns the source of the mount for @def, as for mount(8). Returns NULL with CONFIG or INVALID if
 * the definition has no valid source. The caller frees the result.
 */
char *mount_source(const CstPoolDef *def, GError **error);
/** Returns the type for mount -t, static. "auto": mount detects it. */
const char *mount_type(const CstPoolDef *def);
/**
 * Returns libvirt's options for mount -o, which are never empty. Fails with INVALID for options
 * that would show a password. The caller frees the result.
 *
 * @authenticated: mount reads a user's name and password from stdin.
 */
char *mount_options(const CstPoolDef *def, gboolean authenticated, GError **error);
/** Returns whether the source and type of @mount are the export @source of @def, a netfs pool. */
gboolean mount_is_export(const CstPoolDef *def, const char *source, const CstMount *mount);

/* --- users.c ---------------------------------------------------------------------------------- */

/**
 * Appends a CstHolder for each user on this host that prevents the unmount of @mount, one of
 * @mounts.
 */
void mount_users(const CstMount *mount, const GPtrArray *mounts, GPtrArray *holders);

/* --- table.c ---------------------------------------------------------------------------------- */

/** Returns whether @mount is of the pool's source. */
gboolean mount_is_ours(const MountState *state, const CstMount *mount);
/** Returns the mount at the pool's target, borrowed from @mounts, or NULL if no mount exists. */
const CstMount *mount_at_target(const MountState *state, const GPtrArray *mounts);
/** Returns whether the pool's source is mounted at its target. Does not access either of them. */
gboolean mount_is_there(const MountState *state);

/* --- discover.c ------------------------------------------------------------------------------- */

/** Appends the paths in the output of showmount to @paths, an array that frees its elements. */
void mount_parse_exports(const char *text, GPtrArray *paths);

gboolean mount_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error);

/* --- format.c --------------------------------------------------------------------------------- */

gboolean mount_build_fs(CstPoolState *state, unsigned flags, GError **error);

/* --- command.c -------------------------------------------------------------------------------- */

/** Mounts the source at the target, and verifies the mount in the kernel's table. */
gboolean mount_run(MountState *state, GError **error);
/**
 * Unmounts the target. Fails with BUSY while it is in use, and names the users. Disconnects storage
 * that does not respond; unwritten data is lost then.
 */
gboolean mount_undo(MountState *state, GError **error);

/* --- identity.c ------------------------------------------------------------------------------- */

/**
 * CstDirState.admit: verifies that the mount of the target is the pool's source, and the expected
 * one.
 */
gboolean mount_admit(CstPoolState *state, const CstDirHandle *target, GError **error);
char *mount_identity(CstPoolState *state, GError **error);
gboolean mount_expect(CstPoolState *state, const char *recorded, gboolean starting, GError **error);

/* --- lifecycle.c ------------------------------------------------------------------------------ */

gboolean mount_check(CstPoolState *state, gboolean *ret_active, GError **error);
gboolean mount_start(CstPoolState *state, GError **error);
gboolean mount_stop(CstPoolState *state, GError **error);
gboolean mount_destroy(CstPoolState *state, unsigned flags, GError **error);
