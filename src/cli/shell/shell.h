/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error_class.h>

#include "core/ctl.h"

/** Reads commands from the terminal, with editing, history and completion, or from a script. */
CstExitStatus cli_shell(CliCtl *ctl);
