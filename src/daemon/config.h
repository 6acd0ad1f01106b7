/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include <base/log.h>
#include <notify/notify.h>
#include <server/server.h>
#include <service/secrets.h>
#include <store/paths.h>

/**
 * The settings of etc/cistern/cisternd.conf, a key file. packaging/cisternd.conf shows all
 * settings.
 */
typedef struct {
    gboolean has_group; /**< [access] group is set: its members may use the read-write socket */
    gid_t group;
    mode_t mode;            /**< [access] socket_mode, of the read-write socket */
    mode_t mode_ro;         /**< [access] socket_ro_mode */
    guint max_clients;      /**< [limits]; 0: the built-in default */
    guint max_requests;     /**< [limits] calls in flight of one client; 0: the built-in default */
    guint workers;          /**< [limits]; 0: the built-in default */
    guint copies;           /**< [limits] jobs that copy into one pool; 0: the built-in default */
    gboolean has_max_wait;  /**< [limits] max_wait is set: @max_wait is valid */
    guint max_wait;         /**< seconds that a call waits for another operation; 0: no limit */
    guint max_user_memory;  /**< [limits] MiB held for an untrusted user; 0: the built-in default */
    gboolean leave_secrets; /**< [secrets] serve is "no": no lock and no sockets of secrets */
    CstSecretPolicy secrets; /**< [secrets] seal_secrets, secret_max_age */
    gboolean core_dumps;     /**< [service] core_dumps: memory may be dumped and read */
    gboolean like_libvirt;   /**< [service] compatibility is "libvirt" */
    GStrv hypervisor;        /**< [service] hypervisor: URIs of libvirt; NULL: the default */
    char *backup_scratch;    /**< [service] backup_scratch: a directory; NULL: the default */
    guint audit_mib;         /**< [audit] max_size, in MiB; 0: the default */
    CstNotifyRules *notify;  /**< [notify NAME]; NULL: no rule */
    CstLogLevel log_level;   /**< [log] level: error, warning, info, debug */
} DaemonConfig;

/**
 * Reads @packaged, the settings of installed packages, and then @path into *@ret_config. A setting
 * of @path overrides the packaged one. @packaged may be NULL. A missing file means the defaults; if
 * @required, a missing @path is an error. Fails with CONFIG for a wrong value, and for an unknown
 * group or key, so that a misspelt key is reported. The message names file, group and key.
 */
gboolean daemon_config_load(const char *packaged, const char *path, gboolean required,
                            DaemonConfig *ret_config, GError **error);

/** Frees the members of @config. */
void daemon_config_clear(DaemonConfig *config);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DaemonConfig, daemon_config_clear)

/**
 * Copies the group and the limits that are set in @config into @options. Other limits keep their
 * values.
 */
void daemon_config_limits(const DaemonConfig *config, CstWireOptions *options);

/**
 * Returns the names of the changed settings that require a restart, or NULL. @used is in force,
 * @read was read again. The log level is not reported, because it takes effect at once. The caller
 * frees the result.
 */
char *daemon_config_changes(const DaemonConfig *used, const DaemonConfig *read);
