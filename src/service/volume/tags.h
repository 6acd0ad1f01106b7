/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/*
 * Tags and notes (store/tags.h) follow their volume. The volume must be claimed for writing. A
 * function without a GError logs a failure.
 */

/** Removes the record of a snapshot; @snapshot NULL: of the volume and its snapshots. */
void volume_tags_forget(CstPool *pool, const char *name, const char *snapshot);
/** As volume_tags_forget() for a volume that does not exist, by the UUID of its pool. */
gboolean volume_tags_forget_name(CstService *service, const CstUuid *pool, const char *name,
                                 GError **error);
/** Gives the volume @to the same tags as @from, and its snapshots. Idempotent. */
gboolean volume_tags_copy(CstService *service, const CstUuid *from, const char *name,
                          const CstUuid *to, const char *new_name, GError **error);
/** Moves the tags of a volume and its snapshots to another name or pool. Idempotent. */
gboolean volume_tags_move(CstService *service, const CstUuid *from, const char *name,
                          const CstUuid *to, const char *new_name, GError **error);
