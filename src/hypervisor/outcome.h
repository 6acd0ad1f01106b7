/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "pause_protocol.h"

/** @outcome: a failure. */
CstErrorCode pause_outcome_code(PauseOutcome outcome);
/** Returns the reason of a failure, with the detail if there is one. The caller frees it. */
char *pause_outcome_text(PauseOutcome outcome, const char *detail);
/** Likewise for a gap. */
char *pause_gap_text(PauseGap gap, const char *detail);
