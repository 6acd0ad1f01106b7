/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "walk.h"

/**
 * Move tables and plain clusters from the end of the file into gaps. @walk must have found no
 * errors; its bitmaps are modified. The image must have no other user. Does not cut the file.
 */
gboolean cst_levels_compact(CstLevelsWalk *walk, GError **error);
