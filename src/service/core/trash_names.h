/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Returns the names of the records in the pool's trash, in byte order. The array is shared and does
 * not change; the caller drops its reference. @continued: the caller has called the function before
 * for the same list, so the names of that call are accepted. Returns NULL with an error.
 */
GPtrArray *trash_names_get(CstPool *pool, gboolean continued, GError **error);
