/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/** The old and the new reference of an overlay to its base. */
typedef struct {
    char *from, *to; /* the texts in its header */
    char *format;    /* of the base; it is declared together with the reference */
} Relink;

/** Frees the members of @link. */
void relink_clear(Relink *link);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Relink, relink_clear)

/**
 * Plans the change of @overlay, an image based on volume @base, for a rename of @base to @new_name,
 * and tries it in memory. Errors: UNSUPPORTED if the image's format cannot be changed in one step,
 * or the reference is not a name; LIMIT if its header has no room.
 */
gboolean relink_plan(CstPoolState *state, const CstVolume *overlay, const CstVolume *base,
                     const char *new_name, Relink *ret_link, GError **error);
/**
 * Changes the reference of volume @name from @link->from to @link->to, and changes its declaration
 * alike. The caller has claimed the volume. The change is one durable step, under QEMU's locks.
 * Succeeds if the volume has the new reference already or does not exist. MISMATCH if it has
 * another reference.
 */
gboolean relink_overlay(CstService *service, CstPoolState *state, const char *name,
                        const Relink *link, GError **error);
/**
 * Links volume @new_name as @name, unless @name exists. An undo calls it before it gives overlays
 * their old references. If the storage fails again, each reference still leads to an existing
 * name. Errors: the errors of cst_pool_state_link().
 */
gboolean relink_restore_name(CstPoolState *state, const char *name, const char *new_name,
                             GError **error);
