/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error_class.h>

#include "core/ctl.h"

/**
 * Reads and runs commands from the terminal, with editing, history and completion, or from a script
 * on stdin, until its end or `quit`. Fails only when the connection that was asked for can't be
 * opened.
 */
CstExitStatus cli_shell(CliCtl *ctl);
