/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/jobs.h>

/**
 * Describes what an interrupted job has left; @killed: its process could not clean up. Static,
 * translated.
 */
const char *job_left(const CstJobInfo *info, gboolean killed);
