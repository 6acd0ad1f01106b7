/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/paths.h>

/**
 * Reads every pool definition below @paths as a start would, without changing anything. Returns a
 * sentence (char *) for each definition that would not be loaded or has a type without a backend.
 * *ret_count: number of definitions.
 */
GPtrArray *cst_takeover_definitions(const CstPaths *paths, guint *ret_count);
