/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"

/** The command in create.c. */
extern const CliCommand cli_snap_create;
