/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/** Calls all subscribers, in this thread. Call it with no lock held: they may call the service. */
void event_emit(CstService *service, const CstEvent *event);
/** Emits an event about a pool; @kind is a CstPoolEventKind for its life cycle, else 0. */
void event_emit_pool(CstPool *pool, CstEventType type, int kind);
