/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/promise.h>
#include <service/pools.h>

/**
 * Returns the promise of an active pool, with the operations that run now, and its limits. A pool
 * that was not scanned yet is scanned first. STATE if the pool is not active. Any thread.
 */
gboolean cst_pool_get_promise(CstPool *pool, CstPoolPromise *ret_promise, GError **error);
