/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"

extern const CliCommand cli_events_command;
extern const CliCommand cli_notify_test_command;
