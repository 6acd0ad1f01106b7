/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The paths of all files, below one root. Root "/" and --root DIR have libvirt's system layout.
 * Other users without --root have libvirt's session layout in the XDG directories.
 */
typedef struct {
    char *root;             /**< absolute; NULL: no root given */
    gboolean session;       /**< session layout */
    char *etc_dir;          /**< etc: subuid, passwd */
    char *pool_dir;         /**< etc/libvirt/storage: NAME.xml, 0600 */
    char *autostart_dir;    /**< etc/libvirt/storage/autostart: symlinks */
    char *pool_run_dir;     /**< run/libvirt/storage: state of active pools, driver.pid */
    char *secret_dir;       /**< etc/libvirt/secrets: UUID.xml, UUID.base64 */
    char *secret_run_dir;   /**< run/libvirt/secrets: driver.pid */
    char *system_token;     /**< run/libvirt/common/system.token, see store/system_token.h */
    char *data_dir;         /**< var/lib/cistern: journal, jobs, declarations */
    char *run_dir;          /**< run/libvirt: the sockets */
    char *socket;           /**< run/libvirt/virtstoraged-sock */
    char *socket_ro;        /**< …-ro; NULL in the session layout, which has no such socket */
    char *secret_socket;    /**< run/libvirt/virtsecretd-sock: libvirt's socket for secrets */
    char *secret_socket_ro; /**< …-ro; NULL in the session layout */
} CstPaths;

/** Computes the paths below @root (NULL: this user's default). Accesses no file. */
CstPaths *cst_paths_new(const char *root);
/** Returns the path of cisternd's configuration. The caller frees it. */
char *cst_paths_daemon_config(const CstPaths *paths);

/**
 * Returns the settings file of installed packages, whose settings the administrator's file
 * overrides. NULL for the daemon of a user. The caller frees the path.
 */
char *cst_paths_packaged_config(const CstPaths *paths);
/**
 * Returns the directory of the entries of suspended domains, which the caller frees. It is below
 * /run, because a domain does not survive a restart of the host.
 */
char *cst_paths_pause_dir(const CstPaths *paths);
/** As cst_paths_pause_dir(), of the entries and sockets of backup jobs of running domains. */
char *cst_paths_backup_dir(const CstPaths *paths);
/** As cst_paths_pause_dir(), of the locks of promises (store/promise_lock.h). */
char *cst_paths_promise_dir(const CstPaths *paths);
/** As cst_paths_pause_dir(), of the entries of block jobs of running domains. */
char *cst_paths_block_job_dir(const CstPaths *paths);
/**
 * Returns the directory of the blocks that guests overwrite during a backup job. QEMU's user needs
 * to search it and its parents. The caller frees it.
 */
char *cst_paths_scratch_dir(const CstPaths *paths);
/** A deep copy, owned by the caller. */
CstPaths *cst_paths_copy(const CstPaths *paths);
/** NULL is accepted. */
void cst_paths_free(CstPaths *paths);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPaths, cst_paths_free)
