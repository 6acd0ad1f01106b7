/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdio.h>

#include <store/paths.h>

/**
 * Writes to @out what a start in libvirt's place would meet at @paths, a finding per line, and
 * changes nothing. FALSE when a finding is a "problem"; notes do not count.
 */
gboolean daemon_check_takeover(const CstPaths *paths, FILE *out);
