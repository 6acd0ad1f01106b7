/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

#include "config.h"

/** A listening, non-blocking socket, ours or systemd's. */
typedef struct {
    int fd;
    gboolean read_only;
    gboolean secrets; /**< one of virtsecretd's, where libvirt looks for secrets */
    char *path;       /**< its name, removed at the end; NULL: systemd's */
} DaemonSocket;

/**
 * Returns the sockets that systemd has passed (LISTEN_FDS), or, if there are none, new ones at the
 * paths of @paths with the modes of @config. A name that a dead daemon has left is replaced; BUSY
 * when somebody answers there. Elements are DaemonSocket *; freeing the array closes nothing. Call
 * it before pools start: it changes the umask for a moment.
 */
GPtrArray *daemon_sockets_open(const CstPaths *paths, const DaemonConfig *config, GError **error);

/** Where the secrets' sockets come from. */
typedef enum {
    DAEMON_SECRETS_OURS,   /**< not open yet: daemon_sockets_add_secrets() opens them */
    DAEMON_SECRETS_PASSED, /**< systemd passed them */
    DAEMON_SECRETS_LEFT    /**< systemd has passed others only: not ours to serve */
} DaemonSecrets;

/** Tells from @sockets whether this daemon is to serve virtsecretd's sockets. */
DaemonSecrets daemon_sockets_secrets(GPtrArray *sockets);

/**
 * Opens the secrets' sockets of @paths and adds them to @sockets. BUSY when another daemon
 * (virtsecretd, libvirtd) answers there; @sockets is then unchanged.
 */
gboolean daemon_sockets_add_secrets(const CstPaths *paths, const DaemonConfig *config,
                                    GPtrArray *sockets, GError **error);

/** Removes the names that are ours. The descriptors belong to the server. */
void daemon_sockets_remove(GPtrArray *sockets);
