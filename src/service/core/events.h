/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/event_record.h>
#include <service/pools.h>

/**
 * Calls all subscribers in this thread. Must be called without locks, because subscribers may call
 * the service.
 */
void event_emit(CstService *service, const CstEvent *event);
/** Emits an event about a pool. @kind: a CstPoolEventKind for CST_EVENT_POOL_LIFECYCLE, else 0. */
void event_emit_pool(CstPool *pool, CstEventType type, int kind);
/**
 * Adds a change of a volume to the log of events. @kind: of the kinds of volumes and snapshots that
 * are no renames. @snapshot: NULL if the kind is about the volume. A dry run has no effect.
 */
void event_record_volume(CstPool *pool, CstEventKind kind, const char *volume,
                         const char *snapshot);
/** Like event_record_volume(), for a snapshot that is @new_name now. */
void event_record_snapshot_rename(CstPool *pool, const char *volume, const char *snapshot,
                                  const char *new_name);
/**
 * Adds the rename or move of a volume, which is @new_name of the pool @to now, to the log. libvirt
 * has no event for it, so clients get the event of a refresh and read the lists again.
 */
void event_emit_rename(CstPool *pool, const char *volume, CstPool *to, const char *new_name);
