/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/**
 * What the commands on secrets share. cli_secret() finds the secret whose uuid option <secret>
 * gives; *ret_name (may be NULL) is what the user wrote.
 */
CstConnSecret *cli_secret(CliCtl *ctl, const CliArgs *args, const char **ret_name, GError **error);

void cli_complete_secrets(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_secret_events(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

gboolean cli_cmd_secret_set_value(CliCtl *ctl, const CliArgs *args, GError **error);
gboolean cli_cmd_secret_get_value(CliCtl *ctl, const CliArgs *args, GError **error);
gboolean cli_cmd_secret_event(CliCtl *ctl, const CliArgs *args, GError **error);
