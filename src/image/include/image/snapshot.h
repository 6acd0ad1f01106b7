/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Internal snapshots of an image (qcow2). A snapshot is the guest's content and size. If a
 * hypervisor took it of a running machine, it also has the machine's state.
 *
 * A change of snapshots is atomic, even with a power cut. It is written to free space, and one
 * write of the header makes it valid. The calls below may not run concurrently with a revert.
 */
typedef struct {
    char *id;             /**< unique in the image, chosen by the program that took it: "1", "2",
                               … */
    char *name;           /**< as read: any bytes; other tools allow duplicate names */
    uint64_t seconds;     /**< time of the snapshot, since the epoch */
    uint32_t nanoseconds; /**< fraction of that second */
    uint64_t clock;       /**< nanoseconds that the guest had run */
    uint64_t state_size;  /**< bytes of the machine's state; 0: no state */
    uint64_t capacity;    /**< bytes the guest saw */
    gboolean has_icount;  /**< icount is recorded */
    uint64_t icount;      /**< instructions that the guest had run, for QEMU's record and replay */
} CstImageSnapshot;

/** Returns whether images of @format can hold snapshots. */
gboolean cst_image_format_has_snapshots(const CstImageFormat *format);

/** Frees @snapshot and its strings. */
void cst_image_snapshot_free(CstImageSnapshot *snapshot);

/**
 * Returns the snapshots as an array of CstImageSnapshot pointers, in the order of the image. The
 * array frees them.
 */
GPtrArray *cst_image_snapshot_list(CstImage *image, GError **error);

/**
 * Takes a snapshot of the guest's present content. EXISTS when a snapshot has that name, INVALID
 * for an empty name or a name of more than 255 bytes. LIMIT when the image's refcounts are too
 * narrow (1 bit) or it has too many snapshots.
 */
gboolean cst_image_snapshot_create(CstImage *image, const char *name, CstTask *task,
                                   GError **error);

/**
 * Reverts the guest's content and size to the snapshot @name. The present content is lost unless a
 * snapshot has it. If no snapshot has that name, @name is used as an id; NOT_FOUND. Enabled dirty
 * bitmaps become inconsistent, and disabled ones too if the size changes.
 */
gboolean cst_image_snapshot_revert(CstImage *image, const char *name, CstTask *task,
                                   GError **error);

/** Removes a snapshot (found as by revert). Clusters without another reference become free
 * space. */
gboolean cst_image_snapshot_delete(CstImage *image, const char *name, CstTask *task,
                                   GError **error);

/** Renames a snapshot (found as by revert). The errors are the same as for create. */
gboolean cst_image_snapshot_rename(CstImage *image, const char *name, const char *new_name,
                                   GError **error);

/* --- not in the library: changed ranges ------------------------------------------------------- */

typedef struct CstChanged CstChanged;

/**
 * Reports the ranges that may differ between the snapshot @since and the snapshot @until (NULL: the
 * present content). Both are found as by revert. base/changed.h describes the input and the result
 * in @changed. Reports only clusters that were written, discarded or resized since. UNSUPPORTED for
 * an image with an external data file; NOT_FOUND.
 */
gboolean cst_image_changed(CstImage *image, const char *since, const char *until, CstTask *task,
                           CstChanged *changed, GError **error);
