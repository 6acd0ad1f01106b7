/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands/commands.h"
#include "audit.h"

const CliCommand *const cli_audit_commands[] = {
    &cli_audit_list_command,
    &cli_audit_verify_command,
    NULL,
};
