/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/* What the files of the checked dispatch share. */

/** @done; a callback that failed without saying why is a bug of the backend's, and is named. */
gboolean pool_checked(gboolean done, const CstPoolState *state, const char *callback,
                      GError **error);
/** NO_SUPPORT: @what, with the pool's type. */
gboolean pool_unsupported(const CstPoolState *state, const char *what, GError **error);
