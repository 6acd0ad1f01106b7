/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/paths.h>

/**
 * Reads every pool definition below @paths as a start would, and changes nothing. Elements char *:
 * a sentence for each one that would not be loaded or whose type has no backend. *ret_count is the
 * number of definitions.
 */
GPtrArray *cst_takeover_definitions(const CstPaths *paths, guint *ret_count);
