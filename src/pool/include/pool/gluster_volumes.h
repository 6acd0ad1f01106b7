/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The volumes of a Gluster server. */

/** Appends the names in the output of gluster to @names, an array that frees its elements. */
gboolean cst_gluster_parse_volumes(const char *xml, GPtrArray *names, GError **error);
/** Reads the names from the server at @host, a valid host name (cst_host_check()). */
gboolean cst_gluster_volumes(const char *host, unsigned timeout_s, GPtrArray *names,
                             GError **error);
