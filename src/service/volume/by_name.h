/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/trash.h>

#include "core/pool.h"

/** What is kept of a volume by its name, beside the storage: it has to follow to another name. */
typedef struct {
    gboolean is_protected;
    char *key;                   /* that a device had under the name; NULL: its path, or a file */
    CstDeclaration *declaration; /* of its content, a file's or a device's; NULL: nothing */
    CstTrashed *trashed;         /* it was deleted, and is kept under this name; NULL: no */
} KeptByName;

/** Frees what @kept has. */
void kept_clear(KeptByName *kept);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(KeptByName, kept_clear)

/** Reads what is kept of @volume. */
gboolean kept_read(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                   KeptByName *ret_kept, GError **error);
/**
 * Has it be kept of @volume, under the name that it has now, and of nothing called @name any more.
 * On the disk when it returns; may be repeated.
 */
gboolean kept_move(CstService *service, CstPoolState *state, const char *name,
                   const CstVolume *volume, const KeptByName *kept, GError **error);
/**
 * Of that what is declared of a device's content alone, for one that was @name of the pool @from
 * and is @volume of @state, another pool, now.
 */
gboolean kept_move_device(CstService *service, CstPoolState *from, const char *name,
                          CstPoolState *state, const CstVolume *volume, const KeptByName *kept,
                          GError **error);

/** Adds it to the record of an intent, and reads it back. */
void kept_save(const KeptByName *kept, GHashTable *fields);
void kept_load(GHashTable *fields, KeptByName *ret_kept);
