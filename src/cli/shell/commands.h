/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"

/** Commands on the program itself, ended by NULL. */
extern const CliCommand *const cli_self_commands[];
/** Commands for completion scripts and the build, all hidden; ended by NULL. */
extern const CliCommand *const cli_internal_commands[];
