/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/** How an overlay refers to its base, and will. */
typedef struct {
    char *from, *to; /* the texts in its header */
    char *format;    /* of the base, which is declared with it */
} Relink;

/** Frees what @link has. */
void relink_clear(Relink *link);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Relink, relink_clear)

/**
 * Plans how @overlay, an image that names volume @base, follows when that is called @new_name, and
 * tries the change in memory. UNSUPPORTED where the image's format can't be changed in one step, or
 * the reference is no name; LIMIT when its header has no room.
 */
gboolean relink_plan(CstPoolState *state, const CstVolume *overlay, const CstVolume *base,
                     const char *new_name, Relink *ret_link, GError **error);
/**
 * Has volume @name, which the caller has claimed, refer to @link->to in place of @link->from, and
 * declares the new reference where the old one was. In one step that lasts, under QEMU's locks. One
 * that refers to it already, or is gone, is success; MISMATCH when it refers to something else.
 */
gboolean relink_overlay(CstService *service, CstPoolState *state, const char *name,
                        const Relink *link, GError **error);
