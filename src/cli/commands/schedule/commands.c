/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands/commands.h"
#include "schedule.h"

const CliCommand *const cli_schedule_commands[] = {
    &cli_schedule_create_command,
    &cli_schedule_delete_command,
    &cli_schedule_edit_command,
    &cli_schedule_history_command,
    &cli_schedule_info_command,
    &cli_schedule_list_command,
    &cli_schedule_pause_command,
    &cli_schedule_resume_command,
    &cli_schedule_run_command,
    &cli_schedule_simulate_command,
    NULL,
};
