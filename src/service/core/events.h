/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Calls all subscribers in this thread. Must be called without locks, because subscribers may call
 * the service.
 */
void event_emit(CstService *service, const CstEvent *event);
/** Emits an event about a pool. @kind: a CstPoolEventKind for CST_EVENT_POOL_LIFECYCLE, else 0. */
void event_emit_pool(CstPool *pool, CstEventType type, int kind);
