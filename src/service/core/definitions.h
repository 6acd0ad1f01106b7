/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/*
 * Locks are taken in this order, never the other way round: the pool's change
 * (pool_change_begin()), then the definitions, then the secrets' files, then the locks of tables
 * and pools.
 */

/** Enters a change of definitions or state. Nests. Reloads when others changed them. */
gboolean definitions_enter(CstService *service, GError **error);
/** The last one to leave lets others in, and in the embedded mode other processes. */
void definitions_leave(CstService *service);
/** Embedded: brings memory up to date with the files. Daemon: nothing to do. */
gboolean definitions_sync(CstService *service, GError **error);
