/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Whether a backup with these documents may begin. @checkpoint: of its new checkpoint; NULL:
 * without one. Sets the last error.
 */
gboolean fake_checkpoint_begin(const char *live, const char *backup, const char *checkpoint);
/** Adds the checkpoint of a backup that has begun. */
void fake_checkpoint_add(const char *live, const char *checkpoint);
