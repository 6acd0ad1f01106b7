/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/**
 * Returns who has a volume open (@holders: CstVolHolder *) and which of @jobs (CstJobInfo *) work
 * on it, in one line; NULL: nobody. Either list may be NULL. The caller frees it.
 */
char *cli_vol_holders_text(const GPtrArray *holders, const GPtrArray *jobs, const char *pool,
                           const char *volume);
