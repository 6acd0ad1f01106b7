/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/*
 * Locks are taken in this order, never the other way round: the pool's change
 * (pool_change_begin()), then the definitions, then the secrets' files, then the locks of tables
 * and pools.
 */

/**
 * Enters a change of definitions or state; nests within a thread. In the embedded mode acquires the
 * driver lock, waiting up to 10 s (BUSY names the holder), and reloads the files when another
 * process has changed them. Call definitions_leave() after each success.
 */
gboolean definitions_enter(CstService *service, GError **error);
/** Leaves a change; the outermost one releases the driver lock in the embedded mode. */
void definitions_leave(CstService *service);
/**
 * Brings the tables up to date with the files before a look-up. Does nothing in a daemon, whose
 * tables always are.
 */
gboolean definitions_sync(CstService *service, GError **error);
