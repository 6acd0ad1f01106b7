/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"

/** Commands about the program itself, NULL-terminated. */
extern const CliCommand *const cli_self_commands[];
/** Hidden commands for completion scripts and the build, NULL-terminated. */
extern const CliCommand *const cli_internal_commands[];
