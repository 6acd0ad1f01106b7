/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"

/*
 * The commands of each group in the order of `help`, NULL-terminated. Each group has its own
 * folder.
 */
extern const CliCommand *const cli_host_commands[];
extern const CliCommand *const cli_secret_commands[];
extern const CliCommand *const cli_pool_commands[];
extern const CliCommand *const cli_vol_commands[];
extern const CliCommand *const cli_job_commands[];
extern const CliCommand *const cli_snap_commands[];
extern const CliCommand *const cli_backup_commands[];
extern const CliCommand *const cli_schedule_commands[];
extern const CliCommand *const cli_audit_commands[];
extern const CliCommand *const cli_event_commands[];
extern const CliCommand *const cli_doctor_commands[];
extern const CliCommand *const cli_image_commands[];
