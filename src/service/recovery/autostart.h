/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Starts pools when the daemon starts, several at a time: active ones are scanned and watched,
 * autostart ones started. A start that fails is tried again, later each time, until it succeeds or
 * is no longer wanted; the pool's problem says why meanwhile.
 */
typedef struct Autostart Autostart;

Autostart *autostart_new(void);
/** Waits for the starts that are running. */
void autostart_free(Autostart *autostart);
/** Also later, for an active pool whose storage stopped answering; once is enough. */
void autostart_add(Autostart *autostart, CstPool *pool);
