/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdio.h>

#include <store/paths.h>

#include "config.h"

/**
 * Writes to @out one line for each finding about a start of cisternd in libvirt's place at @paths
 * with @config. Changes nothing. Returns FALSE if a finding is a "problem"; notes do not count.
 */
gboolean daemon_check_takeover(const CstPaths *paths, const DaemonConfig *config, FILE *out);
