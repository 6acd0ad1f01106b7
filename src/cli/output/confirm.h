/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Whether there is a terminal to ask at, and --no-input does not forbid it. */
gboolean cli_can_ask(const CliCtl *ctl);

/**
 * Asks before data is destroyed: TRUE with --yes or --dry-run, or when a person at the terminal
 * says yes; CANCELLED when not. Without a terminal, virsh's own commands go on as they do in virsh,
 * so that scripts keep working, and commands that are CLI_CMD_OURS fail with USAGE and name --yes.
 * The command has CLI_CMD_DESTROYS.
 */
gboolean cli_confirm(CliCtl *ctl, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
