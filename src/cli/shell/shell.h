/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error_class.h>

#include "core/ctl.h"

/**
 * Reads and runs commands until the end of input or `quit`. Input is the terminal, with editing,
 * history and completion, or a script on stdin. Fails only if the requested connection cannot be
 * opened.
 */
CstExitStatus cli_shell(CliCtl *ctl);
