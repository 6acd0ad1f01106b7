/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

#include "config.h"

/** A listening socket, ours or systemd's. */
typedef struct {
    int fd;
    gboolean read_only;
    gboolean secrets; /**< one of virtsecretd's, where libvirt looks for secrets */
    char *path;       /**< to be removed at the end; NULL: not ours to remove */
} DaemonSocket;

/**
 * The sockets that systemd passed (LISTEN_FDS), if there are any, otherwise new ones at the paths
 * of @paths with the modes of @config. A name that is left over from a daemon that is gone is
 * taken; one where somebody answers is not (BUSY). Elements DaemonSocket *.
 */
GPtrArray *daemon_sockets_open(const CstPaths *paths, const DaemonConfig *config, GError **error);

/** Where the secrets' sockets come from. */
typedef enum {
    DAEMON_SECRETS_OURS,   /**< nowhere yet: daemon_sockets_add_secrets() makes them */
    DAEMON_SECRETS_PASSED, /**< systemd passed them */
    DAEMON_SECRETS_LEFT    /**< systemd passed others only: they are not ours to serve */
} DaemonSecrets;

DaemonSecrets daemon_sockets_secrets(GPtrArray *sockets);

/**
 * Adds new sockets at the secrets' paths of @paths to @sockets, or none: BUSY where another daemon
 * (virtsecretd, libvirtd) answers.
 */
gboolean daemon_sockets_add_secrets(const CstPaths *paths, const DaemonConfig *config,
                                    GPtrArray *sockets, GError **error);

/** Removes the names of our own; the descriptors have been taken by the server. */
void daemon_sockets_remove(GPtrArray *sockets);
