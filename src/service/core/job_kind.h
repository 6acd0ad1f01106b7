/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/jobs.h>

/** What an interrupted job has left; @killed: and could not clean up after. Static, translated. */
const char *job_left(const CstJobInfo *info, gboolean killed);
