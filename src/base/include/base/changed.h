/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/range.h>

/**
 * What may differ between a snapshot and a later content of the same volume, as whoever keeps the
 * snapshot can tell. A range may be named in which nothing differs; what is not named is the same.
 * A call tells a part, from an offset on, so that its memory is bounded.
 */
typedef struct CstChanged {
    /* Set by the caller. */
    uint64_t offset; /**< what lies before it is not told */
    guint max;       /**< ranges that are told at most, > 0 */

    /* Results. */
    GArray *ranges;    /**< of CstRange, in order and apart from each other */
    uint64_t next;     /**< all before it has been told; the capacity: there is no more */
    uint64_t capacity; /**< bytes of the later content */
    /**
     * Which snapshot the older content is of: another one has another text, also when it is made
     * under the same name. "": not known, or its content depends on more than the snapshot.
     */
    char *identity;
} CstChanged;

/** Frees the results and makes them empty. */
void cst_changed_clear(CstChanged *changed);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstChanged, cst_changed_clear)

/**
 * For who tells: begins, with the capacity of the later content and the identity (taken over; NULL:
 * not known) of the older one. What the later one has beyond the end of the older one is added by
 * cst_changed_end().
 */
void cst_changed_begin(CstChanged *changed, uint64_t capacity, char *identity);
/**
 * Adds a range, which lies behind those that were added; what is outside of what was asked for is
 * left out. FALSE, and @changed is complete, when there is no more room.
 */
gboolean cst_changed_add(CstChanged *changed, uint64_t offset, uint64_t length);
/** Ends, when all before the end of the older content, @older bytes long, has been added. */
void cst_changed_end(CstChanged *changed, uint64_t older);
