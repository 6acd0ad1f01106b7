/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdio.h>

#include <store/paths.h>

/**
 * Writes to @out one line for each finding about a start of cisternd in libvirt's place at @paths.
 * Changes nothing. Returns FALSE if a finding is a "problem"; notes do not count.
 */
gboolean daemon_check_takeover(const CstPaths *paths, FILE *out);
