/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/**
 * The rows of commands that import, export and copy volumes. Each is defined in the file of its
 * handler.
 */
extern const CliCommand cli_migrate_check_command;
extern const CliCommand cli_vol_copy_command;
extern const CliCommand cli_vol_export_command;
extern const CliCommand cli_vol_import_command;
