/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

#include "../odd.h"

/** A backend of which each callback does as it is told, for tests of the dispatcher. */
extern CstBackend odd_backend;

extern guint odd_closed;        /**< states that were closed */
extern const char *odd_found;   /**< name of the volume that scan_one finds; NULL: none */
extern gint odd_hangs;          /**< touch does; atomic */
extern gboolean odd_gives_blob; /**< vol_reserve makes a draft that can be written */
