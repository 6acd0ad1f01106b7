/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

#include "config.h"

/** A listening, non-blocking socket, opened by cisternd or passed by systemd. */
typedef struct {
    int fd;
    gboolean read_only;
    gboolean secrets; /**< a socket of virtsecretd, where libvirt connects for secrets */
    char *path;       /**< its path, removed at the end; NULL: passed by systemd */
} DaemonSocket;

/**
 * Returns the sockets that systemd has passed (LISTEN_FDS). Without passed sockets, opens new ones
 * at the paths of @paths with the modes of @config. Replaces the stale socket of a dead daemon.
 * Fails with BUSY if a daemon answers at a path. Elements are DaemonSocket *; freeing the array
 * closes no descriptor. Call this before pools start, because it changes the umask temporarily.
 */
GPtrArray *daemon_sockets_open(const CstPaths *paths, const DaemonConfig *config, GError **error);

/** Origin of the secrets' sockets. */
typedef enum {
    DAEMON_SECRETS_OURS,   /**< not open yet: daemon_sockets_add_secrets() opens them */
    DAEMON_SECRETS_PASSED, /**< systemd passed them */
    DAEMON_SECRETS_LEFT    /**< systemd passed sockets, but not these: cisternd does not serve
                                them */
} DaemonSecrets;

/** Returns where the secrets' sockets come from, and thus whether this daemon serves them. */
DaemonSecrets daemon_sockets_secrets(GPtrArray *sockets);

/**
 * Opens the secrets' sockets of @paths and adds them to @sockets. Fails with BUSY if another daemon
 * (virtsecretd, libvirtd) answers there; @sockets is then unchanged.
 */
gboolean daemon_sockets_add_secrets(const CstPaths *paths, const DaemonConfig *config,
                                    GPtrArray *sockets, GError **error);

/**
 * Removes the secrets' sockets that systemd has passed from @sockets and closes them. Returns
 * whether there were any.
 */
gboolean daemon_sockets_drop_secrets(GPtrArray *sockets);

/** Removes the socket files that cisternd has made. The server owns the descriptors. */
void daemon_sockets_remove(GPtrArray *sockets);
