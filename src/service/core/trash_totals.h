/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Makes the next query look at each deleted volume again. Acquires the pool's lock. For changes
 * that the directory of the records does not show.
 */
void trash_totals_forget(CstPool *pool);
