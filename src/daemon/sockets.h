/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

#include "config.h"

/** A listening socket, ours or systemd's. */
typedef struct {
    int fd;
    gboolean read_only;
    char *path; /**< to be removed at the end; NULL: not ours to remove */
} DaemonSocket;

/**
 * The sockets that systemd passed (LISTEN_FDS), if there are any, otherwise new ones at the paths
 * of @paths with the modes of @config. A name that is left over from a daemon that is gone is
 * taken; one where somebody answers is not (BUSY). Elements DaemonSocket *.
 */
GPtrArray *daemon_sockets_open(const CstPaths *paths, const DaemonConfig *config, GError **error);

/** Removes the names of our own; the descriptors have been taken by the server. */
void daemon_sockets_remove(GPtrArray *sockets);
