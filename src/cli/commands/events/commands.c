/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands/commands.h"
#include "events.h"

const CliCommand *const cli_event_commands[] = {
    &cli_events_command,
    &cli_notify_test_command,
    NULL,
};
