/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/range.h>

/**
 * The ranges in which a snapshot and a later content of the same volume may differ, as the owner of
 * the snapshot reports them. A reported range may be equal in both. All bytes outside of the
 * reported ranges are equal. One call reports a part of the volume, from an offset on, so that its
 * memory is bounded.
 */
typedef struct CstChanged {
    /* Set by the caller. */
    uint64_t offset; /**< ranges before it are not reported */
    guint max;       /**< the most ranges that one call reports, > 0 */

    /* Results. */
    GArray *ranges;    /**< of CstRange, in ascending order, with gaps between them */
    uint64_t next;     /**< all bytes before it have been reported; equal to @capacity at the end */
    uint64_t capacity; /**< bytes of the later content */
    /**
     * Identifies the snapshot of the older content. Another snapshot has another text, even if it
     * is made under the same name. "": unknown, or the content depends on more than the snapshot.
     */
    char *identity;
} CstChanged;

/** Frees the results and makes them empty. */
void cst_changed_clear(CstChanged *changed);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstChanged, cst_changed_clear)

/**
 * Begins a report. @capacity is the size in bytes of the later content. @identity is that of the
 * older content; the function takes ownership. NULL: unknown. cst_changed_end() adds the bytes of
 * the later content beyond the end of the older content.
 */
void cst_changed_begin(CstChanged *changed, uint64_t capacity, char *identity);
/**
 * Adds a range. Ranges are added in ascending order. The part of a range that was not requested is
 * dropped. Returns FALSE if there is no more room; @changed is then complete.
 */
gboolean cst_changed_add(CstChanged *changed, uint64_t offset, uint64_t length);
/** Ends the report after all ranges of the older content, @older bytes long, have been added. */
void cst_changed_end(CstChanged *changed, uint64_t older);
