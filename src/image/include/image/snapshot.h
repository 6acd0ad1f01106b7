/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Snapshots that an image keeps inside of itself (qcow2). Each is the guest's content, the size it
 * had and, when a hypervisor took it of a running machine, the machine's state.
 *
 * A change of snapshots is all or nothing, power cuts included: it is written to free space, and
 * one write to the header makes it valid. The calls below may not run beside a revert.
 */
typedef struct {
    char *id;             /**< unique in the image, given by whoever took it: "1", "2", … */
    char *name;           /**< as found: any bytes, and other tools allow the same name twice */
    uint64_t seconds;     /**< when it was taken, since the epoch */
    uint32_t nanoseconds; /**< of that second */
    uint64_t clock;       /**< nanoseconds that the guest had run */
    uint64_t state_size;  /**< bytes of the machine's state; 0: none */
    uint64_t capacity;    /**< bytes the guest saw */
} CstImageSnapshot;

/** Returns whether images of @format can hold snapshots. */
gboolean cst_image_format_has_snapshots(const CstImageFormat *format);

/** Frees @snapshot and its strings. */
void cst_image_snapshot_free(CstImageSnapshot *snapshot);

/**
 * Returns the snapshots as an array of CstImageSnapshot pointers, in the order of the image; the
 * array frees them.
 */
GPtrArray *cst_image_snapshot_list(CstImage *image, GError **error);

/**
 * Takes a snapshot of what the guest sees now. EXISTS when one of that name is there; INVALID for
 * an empty name or one of more than 255 bytes; LIMIT when the image's refcounts are too narrow (1
 * bit) or there are too many.
 */
gboolean cst_image_snapshot_create(CstImage *image, const char *name, CstTask *task,
                                   GError **error);

/**
 * Reverts the guest's content and its size to the snapshot called @name. The present content is
 * lost unless a snapshot has it. Where no snapshot has that name, @name is taken for an id;
 * NOT_FOUND. Enabled dirty bitmaps become inconsistent; disabled ones too, if the size changes.
 */
gboolean cst_image_snapshot_revert(CstImage *image, const char *name, CstTask *task,
                                   GError **error);

/** Removes a snapshot (found as by revert); what nothing else refers to becomes free space. */
gboolean cst_image_snapshot_delete(CstImage *image, const char *name, CstTask *task,
                                   GError **error);

/** Gives a snapshot (found as by revert) another name; errors as of create. */
gboolean cst_image_snapshot_rename(CstImage *image, const char *name, const char *new_name,
                                   GError **error);

/* --- not in the library: what has changed ----------------------------------------------------- */

typedef struct CstChanged CstChanged;

/**
 * Tells what may differ between the snapshot @since and the snapshot @until (NULL: what the image
 * holds now), each found as by revert: see base/changed.h for what the caller sets in @changed and
 * gets. Only clusters that were written, discarded or resized since are told. UNSUPPORTED for an
 * image with an external data file; NOT_FOUND.
 */
gboolean cst_image_changed(CstImage *image, const char *since, const char *until, CstTask *task,
                           CstChanged *changed, GError **error);
