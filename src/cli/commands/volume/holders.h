/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/**
 * Returns the holders of a volume (@holders: CstVolHolder *) and the jobs of @jobs (CstJobInfo *)
 * that use it, in one line. Returns NULL if the volume is unused. Either list may be NULL. The
 * caller frees it.
 */
char *cli_vol_holders_text(const GPtrArray *holders, const GPtrArray *jobs, const char *pool,
                           const char *volume);
