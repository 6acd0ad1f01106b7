/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/trash.h>

#include "core/pool.h"

/** Data about a volume that is kept by its name, outside the storage. A rename moves it. */
typedef struct {
    gboolean is_protected;
    char *key;                   /* of a device under that name; NULL: its path, or it is a file */
    CstDeclaration *declaration; /* of a file's or a device's content; NULL: no declaration */
    CstTrashed *trashed;         /* its record in the trash; NULL: not in the trash */
} KeptByName;

/** Frees the members of @kept. */
void kept_clear(KeptByName *kept);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(KeptByName, kept_clear)

/** Reads the data of @volume. */
gboolean kept_read(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                   KeptByName *ret_kept, GError **error);
/**
 * Removes the tags that a former volume of @new_name has left. Call it before the rename, because
 * kept_move() cannot distinguish them from those of the renamed volume.
 */
gboolean kept_begin_move(CstPool *pool, const char *new_name, GError **error);
/** Moves the data from @name to @volume, under its present name. Durable on return; idempotent. */
gboolean kept_move(CstService *service, CstPoolState *state, const char *name,
                   const CstVolume *volume, const KeptByName *kept, GError **error);
/**
 * Moves only the declaration of a device's content, from @name of the pool @from to @volume of
 * @state, another pool.
 */
gboolean kept_move_device(CstService *service, CstPoolState *from, const char *name,
                          CstPoolState *state, const CstVolume *volume, const KeptByName *kept,
                          GError **error);

/**
 * Tells schedules that a volume with their snapshots has a new name or pool. A failure is logged:
 * the snapshots stay then.
 */
void kept_move_copies(CstService *service, const char *pool, const char *name, const char *new_pool,
                      const char *new_name);

/** Save the data to the fields of an intent, and load them. */
void kept_save(const KeptByName *kept, GHashTable *fields);
void kept_load(GHashTable *fields, KeptByName *ret_kept);

/**
 * Emits the events of a rename or a move. @depth: of the volume's backing chain before it
 * (chain_depth_warned()).
 */
void volume_renamed(CstPool *pool, const char *name, uint32_t depth, CstPool *to,
                    const char *new_name);
