/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Return: TRUE if a terminal is available for questions and --no-input was not given. */
gboolean cli_can_ask(const CliCtl *ctl);

/**
 * Asks before data is destroyed. Returns TRUE with --yes or --dry-run, or if the user at the
 * terminal agrees. Fails with CANCELLED if the user does not agree. Without a terminal, virsh's own
 * commands continue as in virsh, so that scripts keep working. CLI_CMD_OURS commands fail with
 * USAGE instead, and the message names --yes. The command must have CLI_CMD_DESTROYS.
 */
gboolean cli_confirm(CliCtl *ctl, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
