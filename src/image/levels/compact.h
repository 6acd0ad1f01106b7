/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "walk.h"

/**
 * Moves tables and plain clusters from the end of the file into gaps. @walk has found no errors;
 * its account of the file is used up. Nobody else uses the image. The file is not cut yet.
 */
gboolean cst_levels_compact(CstLevelsWalk *walk, GError **error);
