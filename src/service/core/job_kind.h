/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/jobs.h>

/**
 * Describes what an interrupted job has left; @killed: its process could not clean up. Static,
 * translated.
 */
const char *job_left(const CstJobInfo *info, gboolean killed);

/** Returns the static word for a kind of work that clients do; NULL when @word is none. */
const char *job_kind_of_client(const char *word);
