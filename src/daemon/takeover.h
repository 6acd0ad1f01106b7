/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdio.h>

#include <store/paths.h>

/**
 * Writes to @out what a start in libvirt's place would meet at @paths, one finding a line, and
 * changes nothing. FALSE when something stands in the way; what only wants attention does not.
 */
gboolean daemon_check_takeover(const CstPaths *paths, FILE *out);
