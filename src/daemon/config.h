/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include <base/log.h>
#include <server/server.h>
#include <store/paths.h>

/** etc/cistern/cisternd.conf, a key file; packaging/cisternd.conf has every setting. */
typedef struct {
    gboolean has_group; /**< [access] group: its members may use the read-write socket */
    gid_t group;
    mode_t mode;           /**< [access] socket_mode; of the read-write socket */
    mode_t mode_ro;        /**< [access] socket_ro_mode */
    guint max_clients;     /**< [limits]; 0: the built-in default */
    guint max_requests;    /**< [limits] of one client in flight; 0: the built-in default */
    guint workers;         /**< [limits]; 0: the built-in default */
    gboolean has_max_wait; /**< [limits] max_wait is set: */
    guint max_wait;        /**< seconds that a call waits for others' work; 0: no limit */
    guint max_user_memory; /**< [limits] MiB held for one user; 0: the built-in default */
    gboolean like_libvirt; /**< [service] compatibility is libvirt, and not cistern */
    CstLogLevel log_level; /**< [log] level: error, warning, info, debug */
} DaemonConfig;

/** Where it is looked for; the caller frees. */
char *daemon_config_path(const CstPaths *paths);

/**
 * @required: a missing file is an error, otherwise it means the defaults. A group or key that
 * isn't known is an error, so that a misspelt one does not go unnoticed.
 */
gboolean daemon_config_load(const char *path, gboolean required, DaemonConfig *ret_config,
                            GError **error);

/** Puts what @config says of groups and limits into @options, whose defaults stand for the rest. */
void daemon_config_limits(const DaemonConfig *config, CstWireOptions *options);

/**
 * Names of the settings that @read has otherwise than @used, and that only a restart puts in force;
 * NULL: none. The log level is not among them. The caller frees.
 */
char *daemon_config_changes(const DaemonConfig *used, const DaemonConfig *read);
