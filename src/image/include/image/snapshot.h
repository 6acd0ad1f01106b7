/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Snapshots that an image keeps inside of itself (qcow2). Each is the guest's content, the size it
 * had and, when a hypervisor took it of a running machine, the machine's state.
 *
 * A change of snapshots is all or nothing, power cuts included: it is written beside what is there
 * and becomes true with one write to the header. The calls below may not run beside a revert.
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

/** Images of @format can keep snapshots. */
gboolean cst_image_format_has_snapshots(const CstImageFormat *format);

/** With its texts. */
void cst_image_snapshot_free(CstImageSnapshot *snapshot);

/** An array of CstImageSnapshot pointers in the image's order, which the array frees. */
GPtrArray *cst_image_snapshot_list(CstImage *image, GError **error);

/**
 * Takes a snapshot of what the guest sees now. EXISTS when one of that name is there; INVALID for
 * an empty name or one of more than 255 bytes; LIMIT when the image's refcounts are too narrow (1
 * bit) or there are too many.
 */
gboolean cst_image_snapshot_create(CstImage *image, const char *name, CstTask *task,
                                   GError **error);

/**
 * The guest sees what it saw when the snapshot called @name was taken, in the size of then; what it
 * saw before is lost unless it is in a snapshot. Where no snapshot has that name, it is taken for
 * an id; NOT_FOUND. Enabled dirty bitmaps are inconsistent afterwards; where the size is another
 * one, so are disabled ones.
 */
gboolean cst_image_snapshot_revert(CstImage *image, const char *name, CstTask *task,
                                   GError **error);

/** Removes a snapshot (found as by revert); what nothing else refers to becomes free space. */
gboolean cst_image_snapshot_delete(CstImage *image, const char *name, CstTask *task,
                                   GError **error);

/** Gives a snapshot (found as by revert) another name; errors as of create. */
gboolean cst_image_snapshot_rename(CstImage *image, const char *name, const char *new_name,
                                   GError **error);
