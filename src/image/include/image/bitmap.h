/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Dirty bitmaps in an image (qcow2). They record writes since some point in time, for incremental
 * backups. This engine manages bitmaps but does not track writes. The first write to the guest's
 * bytes marks every enabled bitmap as inconsistent, as does a revert to a snapshot. Disabled
 * bitmaps are unchanged. An inconsistent bitmap can only be removed.
 *
 * The changes of a call are on the disk when it returns. No call may run concurrently with another
 * call that changes the same image's bitmaps or size.
 */
typedef struct {
    char *name;
    uint64_t granularity;  /**< bytes of the guest for each bit */
    gboolean enabled;      /**< programs that track writes update the bitmap */
    gboolean inconsistent; /**< the bitmap may lack writes, or is of an unknown kind */
} CstImageBitmap;

/** Frees @bitmap and its name. */
void cst_image_bitmap_free(CstImageBitmap *bitmap);

/**
 * Returns the bitmaps as an array of CstImageBitmap pointers, which the array frees. Leaves out the
 * bitmaps of an image that was changed by a program without support for them.
 */
GPtrArray *cst_image_bitmap_list(CstImage *image, GError **error);

/**
 * Adds an empty bitmap. @granularity: a power of two from 512 bytes to 2 GiB; 0: the image's
 * cluster size, but at least 4 KiB and at most 64 KiB. EXISTS, INVALID (the name, at most 1023
 * bytes; the granularity), LIMIT (no space in the header, too many or too large), UNSUPPORTED
 * (compatibility level 0.10).
 */
gboolean cst_image_bitmap_add(CstImage *image, const char *name, uint64_t granularity,
                              gboolean enabled, GError **error);
/**
 * Removes a bitmap, even an inconsistent one. NOT_FOUND, here and below, when the image has no
 * bitmap @name.
 */
gboolean cst_image_bitmap_remove(CstImage *image, const char *name, GError **error);
/** Clears all bits. STATE, here and below, when the bitmap is inconsistent. */
gboolean cst_image_bitmap_clear(CstImage *image, const char *name, GError **error);
/**
 * Records whether programs that track writes (this engine does not) update the bitmap from now on.
 */
gboolean cst_image_bitmap_enable(CstImage *image, const char *name, gboolean enabled,
                                 GError **error);
/**
 * Adds the bits of a bitmap of @source to the bitmap @name. @source may be @image, and the
 * granularities may differ. INVALID when the sizes or formats of the images differ. The change is
 * atomic.
 */
gboolean cst_image_bitmap_merge(CstImage *image, const char *name, CstImage *source,
                                const char *source_name, GError **error);

/* --- not in the library: bitmap actions by name ----------------------------------------------- */

typedef enum {
    CST_BITMAP_ADD,
    CST_BITMAP_REMOVE,
    CST_BITMAP_CLEAR,
    CST_BITMAP_ENABLE,
    CST_BITMAP_DISABLE,
    CST_BITMAP_MERGE
} CstBitmapAction;

/**
 * Parses an action by its name in qemu-img: "add", "remove", "clear", "enable", "disable" or
 * "merge". INVALID for another word.
 */
gboolean cst_bitmap_action_parse(const char *word, CstBitmapAction *ret_action, GError **error);

/**
 * Performs @action on the bitmap @name. ADD adds an enabled bitmap with @granularity. MERGE adds
 * the bits of the bitmap @from of @source; INVALID when @from is NULL. The other actions ignore
 * @granularity, @source and @from.
 */
gboolean cst_image_bitmap_apply(CstImage *image, CstBitmapAction action, const char *name,
                                uint64_t granularity, CstImage *source, const char *from,
                                GError **error);

/* --- dirty ranges ----------------------------------------------------------------------------- */

/**
 * Returns the dirty ranges of the bitmap @name in ascending order, not adjacent, as an array of
 * CstRange. The caller frees the array. NOT_FOUND, STATE when the bitmap is inconsistent, LIMIT
 * when it has more than @max ranges.
 */
GArray *cst_image_bitmap_ranges(CstImage *image, const char *name, guint max, CstTask *task,
                                GError **error);
