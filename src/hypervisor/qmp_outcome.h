/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "qmp_protocol.h"

/** @outcome: a failure. */
CstErrorCode qmp_outcome_code(QmpOutcome outcome);
/**
 * Returns "the monitor at 'SOCKET': REASON: DETAIL" for a failure. @detail may be NULL or empty.
 * The caller frees it.
 */
char *qmp_outcome_text(const char *socket, QmpOutcome outcome, const char *detail);
/** Likewise with another reason, which is translated. */
char *qmp_reason_text(const char *socket, const char *reason, const char *detail);
