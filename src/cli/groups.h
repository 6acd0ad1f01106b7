/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"

/** All groups in the order of `help`, ended by one without title. */
const CliGroup *cli_groups(void);
