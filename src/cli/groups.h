/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"

/** Returns all groups in the order of `help`. An element without a title ends the array. */
const CliGroup *cli_groups(void);
