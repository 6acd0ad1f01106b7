/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Dirty bitmaps that an image keeps inside of itself (qcow2): what was written since some point in
 * time, for incremental backups. This engine manages them but does not track writes: the first
 * write to the guest's bytes marks every enabled bitmap as inconsistent, as does a revert to a
 * snapshot; disabled ones stay as they are. An inconsistent bitmap can only be removed.
 *
 * Each call is done, and on the disk, when it returns. None may run beside another call that
 * changes the same image's bitmaps or size.
 */
typedef struct {
    char *name;
    uint64_t granularity;  /**< bytes of the guest that one bit stands for */
    gboolean enabled;      /**< writes are to be tracked */
    gboolean inconsistent; /**< it may lack writes, or is of a kind that is not known here */
} CstImageBitmap;

/** Frees @bitmap and its name. */
void cst_image_bitmap_free(CstImageBitmap *bitmap);

/**
 * Returns the bitmaps as an array of CstImageBitmap pointers, which the array frees. Bitmaps of an
 * image that was changed by a program without support for them are left out.
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
 * Removes a bitmap, even an inconsistent one. NOT_FOUND, here and below, when there is none called
 * @name.
 */
gboolean cst_image_bitmap_remove(CstImage *image, const char *name, GError **error);
/** Clears all bits. STATE, here and below, when the bitmap is inconsistent. */
gboolean cst_image_bitmap_clear(CstImage *image, const char *name, GError **error);
/**
 * Records whether programs that track writes (this engine does not) are to track them in the bitmap
 * from now on.
 */
gboolean cst_image_bitmap_enable(CstImage *image, const char *name, gboolean enabled,
                                 GError **error);
/**
 * Adds the bits of a bitmap of @source (which may be @image) to the bitmap @name; granularities may
 * differ. INVALID when the sizes or formats of the images differ. All or nothing.
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
 * Parses the action as qemu-img spells it: "add", "remove", "clear", "enable", "disable" or
 * "merge"; INVALID for another word.
 */
gboolean cst_bitmap_action_parse(const char *word, CstBitmapAction *ret_action, GError **error);

/**
 * Carries out @action on the bitmap @name: ADD with @granularity, enabled; MERGE adds the bitmap
 * @from of @source, INVALID without @from. The others use neither.
 */
gboolean cst_image_bitmap_apply(CstImage *image, CstBitmapAction action, const char *name,
                                uint64_t granularity, CstImage *source, const char *from,
                                GError **error);

/* --- what is dirty ---------------------------------------------------------------------------- */

/**
 * Returns the ranges that the bitmap @name calls dirty, in their order and apart from each other,
 * as an array of CstRange; the caller's. NOT_FOUND, STATE when it is inconsistent, LIMIT when
 * there are more than @max.
 */
GArray *cst_image_bitmap_ranges(CstImage *image, const char *name, guint max, CstTask *task,
                                GError **error);
