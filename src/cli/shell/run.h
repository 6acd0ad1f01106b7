/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error_class.h>

#include "core/ctl.h"

/** Runs parsed commands one after the other; the result is the last one's exit status. */
CstExitStatus cli_run_all(CliCtl *ctl, const GPtrArray *commands);
/** Parses @text and runs it. */
CstExitStatus cli_run_string(CliCtl *ctl, const char *text);
