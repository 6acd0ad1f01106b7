/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Gets pools going when the daemon starts, several at a time: active ones are scanned and watched,
 * autostart ones started. A start that fails is tried again, later each time, until it succeeds or
 * nobody wants it any more; the pool says why meanwhile.
 */
typedef struct Boot Boot;

Boot *boot_new(void);
/** Waits for the starts that are running. */
void boot_free(Boot *boot);
/** Also later, for an active pool whose storage stopped answering; once is enough. */
void boot_add(Boot *boot, CstPool *pool);
