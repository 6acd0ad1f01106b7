/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Where everything lives, below one root: for root "/" (or --root DIR) the system layout, for other
 * users without --root libvirt's session layout in the XDG directories.
 */
typedef struct {
    char *root;             /**< as given; NULL: none given */
    gboolean session;       /**< XDG layout */
    char *pool_dir;         /**< etc/libvirt/storage: NAME.xml, 0600 */
    char *autostart_dir;    /**< etc/libvirt/storage/autostart: symlinks */
    char *pool_run_dir;     /**< run/libvirt/storage: state of active pools, driver.pid */
    char *secret_dir;       /**< etc/libvirt/secrets: UUID.xml, UUID.base64 */
    char *secret_run_dir;   /**< run/libvirt/secrets: driver.pid */
    char *system_token;     /**< run/libvirt/common/system.token, see store/system_token.h */
    char *data_dir;         /**< var/lib/cistern: journal, catalogue */
    char *run_dir;          /**< run/libvirt: the sockets */
    char *socket;           /**< run/libvirt/virtstoraged-sock */
    char *socket_ro;        /**< …-ro; NULL in the session layout, as libvirt has none there */
    char *secret_socket;    /**< run/libvirt/virtsecretd-sock: where libvirt looks for secrets */
    char *secret_socket_ro; /**< …-ro; NULL in the session layout */
} CstPaths;

/** @root NULL: the default of this user. Computes names only, touches nothing. */
CstPaths *cst_paths_new(const char *root);
/** Copies all of @paths; the caller frees the copy. */
CstPaths *cst_paths_copy(const CstPaths *paths);
void cst_paths_free(CstPaths *paths);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPaths, cst_paths_free)
