/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include <base/log.h>
#include <server/server.h>
#include <service/secrets.h>
#include <store/paths.h>

/**
 * The settings of etc/cistern/cisternd.conf, a key file; packaging/cisternd.conf shows all of them.
 */
typedef struct {
    gboolean has_group; /**< [access] group: its members may use the read-write socket */
    gid_t group;
    mode_t mode;           /**< [access] socket_mode; of the read-write socket */
    mode_t mode_ro;        /**< [access] socket_ro_mode */
    guint max_clients;     /**< [limits]; 0: the built-in default */
    guint max_requests;    /**< [limits] of one client in flight; 0: the built-in default */
    guint workers;         /**< [limits]; 0: the built-in default */
    gboolean has_max_wait; /**< [limits] max_wait is set: @max_wait is valid */
    guint max_wait;        /**< seconds that a call waits for others' work; 0: no limit */
    guint max_user_memory; /**< [limits] MiB held for an untrusted user; 0: the built-in default */
    CstSecretPolicy secrets; /**< [secrets] seal_secrets, secret_max_age */
    gboolean core_dumps;     /**< [service] core_dumps: memory may be dumped and read */
    gboolean like_libvirt;   /**< [service] compatibility is libvirt, and not cistern */
    CstLogLevel log_level;   /**< [log] level: error, warning, info, debug */
} DaemonConfig;

/** Returns the default path of the configuration for this root or session; the caller frees it. */
char *daemon_config_path(const CstPaths *paths);

/**
 * Reads @path into *@ret_config. A missing file means the defaults, unless @required. CONFIG for a
 * group or key that is not known, so that a misspelt one does not go unnoticed, and for a wrong
 * value; the message names file, group and key.
 */
gboolean daemon_config_load(const char *path, gboolean required, DaemonConfig *ret_config,
                            GError **error);

/**
 * Copies the group and the limits that @config sets into @options; the others keep their values.
 */
void daemon_config_limits(const DaemonConfig *config, CstWireOptions *options);

/**
 * Returns the names of the settings that differ between @used and @read and take effect only after
 * a restart; NULL: none. The log level takes effect at once and is not among them. The caller frees
 * it.
 */
char *daemon_config_changes(const DaemonConfig *used, const DaemonConfig *read);
