/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/*
 * Lock order: the pool's change (pool_change_begin()), the definitions, the secrets' files, the
 * locks of tables and pools.
 */

/**
 * Begins a change of definitions or state; nests within a thread. In embedded mode it acquires the
 * driver lock, waiting up to 10 s (BUSY names the holder), and reloads the files if another process
 * has changed them. Call definitions_leave() after each success.
 */
gboolean definitions_enter(CstService *service, GError **error);
/** Ends a change. In embedded mode the outermost call releases the driver lock. */
void definitions_leave(CstService *service);
/**
 * Updates the tables from the files before a lookup. Does nothing in a daemon, because its tables
 * are always current.
 */
gboolean definitions_sync(CstService *service, GError **error);
