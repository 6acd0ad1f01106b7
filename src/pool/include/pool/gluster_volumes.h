/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The volumes that a Gluster server has. */

/** Appends the names that gluster has printed to @names, an array that frees them. */
gboolean cst_gluster_parse_volumes(const char *xml, GPtrArray *names, GError **error);
/** Asks the server at @host, a name that can be a host's (cst_host_check()), for them. */
gboolean cst_gluster_volumes(const char *host, unsigned timeout_s, GPtrArray *names,
                             GError **error);
