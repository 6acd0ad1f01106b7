/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/jobs.h>

/**
 * Describes the traces of an interrupted job. @killed: its process could not clean up. Returns a
 * static, translated text.
 */
const char *job_left(const CstJobInfo *info, gboolean killed);

/**
 * Returns the static word for a kind of work that clients do. Returns NULL if @word is not such a
 * kind.
 */
const char *job_kind_of_client(const char *word);
