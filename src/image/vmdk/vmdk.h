/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "blocks.h"
#include "descriptor.h"
#include "header.h"
#include "tables.h"

#define VMDK_STREAM_OPTIMIZED "streamOptimized" /**< the subformat with compressed grains */

/**
 * An opened VMDK image: a descriptor and a list of extents. Each extent is a separate file; in an
 * image of one file, the extent is this file. Only the extents know the layout of their bytes.
 *
 * The content ID in the descriptor changes with the first change after opening, so that an overlay
 * can detect that its backing image has changed.
 */
typedef struct VmdkExtent VmdkExtent;

/** Callbacks like in CstImageFormat (format.h); offsets are relative to the extent. */
typedef struct {
    gboolean (*pread)(VmdkExtent *extent, void *buf, size_t len, uint64_t offset, GError **error);
    gboolean (*extent)(VmdkExtent *extent, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                       GError **error);
    /* NULL: the location is unknown */
    gboolean (*locate)(VmdkExtent *extent, uint64_t offset, uint64_t length,
                       CstBlobLocation *ret_location, GError **error);
    /* NULL: the extent is read-only */
    gboolean (*pwrite)(VmdkExtent *extent, const void *buf, size_t len, uint64_t offset,
                       GError **error);
    gboolean (*zero)(VmdkExtent *extent, uint64_t offset, uint64_t length, unsigned flags,
                     GError **error);
    gboolean (*discard)(VmdkExtent *extent, uint64_t offset, uint64_t length, GError **error);
    gboolean (*flush)(VmdkExtent *extent, GError **error);
    /** Write all queued changes; no barrier at the end. */
    gboolean (*write_back)(VmdkExtent *extent, GError **error);
    /** Drop all grains; their space leaks. NULL: the extent has no grains, or can't drop them. */
    gboolean (*empty)(VmdkExtent *extent, CstTask *task, GError **error);
    /** Set extent->length. Shrinking drops all data beyond the new end. */
    gboolean (*resize)(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                       CstTask *task, GError **error);
    void (*close)(VmdkExtent *extent);
} VmdkExtentOps;

/** Common part of all extents. */
struct VmdkExtent {
    const VmdkExtentOps *ops;
    CstBlob *blob;   /**< an owned reference; NULL: the extent has no file */
    uint64_t start;  /**< offset in the guest's disk, bytes */
    uint64_t length; /**< bytes */
    VmdkAccess access;
};

/** How to open an extent. */
typedef struct {
    CstImageOpen image; /**< backing: NULL if the backing image is not needed */
    gboolean lacks_backing;
    uint64_t start, length;
    VmdkAccess access;
} VmdkExtentHow;

typedef struct {
    CstImage image;
    CstBlob *blob; /**< borrowed: image.blob */
    gboolean barriers;
    VmdkExtentHow how;
    CstImageFiles files; /**< all NULL: other files can't be accessed */
    VmdkDescriptor descriptor;
    uint64_t text_place, text_room; /**< room 0: the text is a separate file */
    GPtrArray *extents;             /**< VmdkExtent, in the guest's order */
    GMutex lock;                    /**< guards descriptor and the following fields */
    gint changed;                   /**< the content ID has been changed */
    uint32_t next_cid;              /**< content ID that the first change sets; 0: any new one */
} Vmdk;

static inline Vmdk *vmdk_of(CstImage *image)
{
    return (Vmdk *)image;
}

static inline VmdkExtent *vmdk_extent(const Vmdk *vmdk, guint index)
{
    return g_ptr_array_index(vmdk->extents, index);
}

/* --- extents; consume @blob's reference, also on failure -------------------------------------- */

/** Open the plain bytes of @blob from byte @offset on. CORRUPT if the file is too short. */
VmdkExtent *vmdk_flat_new(CstBlob *blob, uint64_t offset, const VmdkExtentHow *how, GError **error);
/** Return an extent without a file, which reads as zeroes and can't be written. */
VmdkExtent *vmdk_void_new(const VmdkExtentHow *how);
/** Open a sparse extent of any kind, by its header. how->length 0: use the header's length. */
VmdkExtent *vmdk_sparse_open(CstBlob *blob, const VmdkExtentHow *how, GError **error);
/** Open a sparse extent of an ESX server, read-only. For vmdk_sparse_open(). */
VmdkExtent *vmdk_cowd_open(CstBlob *blob, const VmdkExtentHow *how, GError **error);
/** Set *ret_is_cowd to TRUE if @blob, which is borrowed, is a sparse extent of an ESX server. */
gboolean vmdk_is_cowd(CstBlob *blob, gboolean *ret_is_cowd, GError **error);
/** Open a stream-optimized extent by its sound header. For vmdk_sparse_open(). */
VmdkExtent *vmdk_stream_new(CstBlob *blob, const VmdkHeader *header, const VmdkExtentHow *how,
                            GError **error);

/* --- open.c ---------------------------------------------------------------------------------- */

/** The format's open callback, see format.h. */
CstImage *vmdk_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error);
/**
 * The format's close callback. Writes dirty data back and ignores failures, so callers flush
 * before.
 */
void vmdk_close(CstImage *image);
/** Return an image without extents; the caller frees it with vmdk_release(). Borrows @blob. */
Vmdk *vmdk_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how);
/** Close all extents without writing anything, and free the image. */
void vmdk_release(Vmdk *vmdk);
/**
 * Read the descriptor if @vmdk's file is a descriptor; otherwise only set *ret_is_text to FALSE.
 */
gboolean vmdk_read_descriptor(Vmdk *vmdk, gboolean *ret_is_text, GError **error);
/** Return TRUE if the extent is sparse, hosted or of ESX. */
gboolean vmdk_line_is_sparse(const VmdkLine *line);
/**
 * Open the file of line @index of the descriptor; the caller owns it. UNSUPPORTED for extents of
 * unknown kinds; CORRUPT if an earlier line refers to the same part of the file.
 */
CstBlob *vmdk_open_part(Vmdk *vmdk, guint index, GError **error);
/**
 * Read and check the header of a hosted sparse extent. UNSUPPORTED for a sparse extent of ESX and
 * for unknown versions.
 */
gboolean vmdk_read_header(CstBlob *blob, VmdkHeader *ret_header, GError **error);

/* --- text.c: writing the descriptor ---------------------------------------------------------- */

/**
 * Write the present descriptor, only the sectors that differ. vmdk->lock held; no barrier. LIMIT if
 * the text exceeds its space.
 */
gboolean vmdk_text_write(Vmdk *vmdk, GError **error);
/**
 * Write the changed parent within the first sector and flush, so that a power cut leaves the old or
 * the new text. UNSUPPORTED if the change does not fit in this sector. vmdk->lock held.
 */
gboolean vmdk_text_switch(Vmdk *vmdk, GError **error);
/** Change the content ID, once per opening. Must be called before any change. Thread-safe. */
gboolean vmdk_begin_writing(Vmdk *vmdk, GError **error);
/** Return a random content ID that differs from @old and from VMDK_NO_PARENT. */
uint32_t vmdk_new_cid(uint32_t old);

/* --- io.c, create.c, resize.c, check.c: see format.h ------------------------------------------ */

gboolean vmdk_pread(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error);
gboolean vmdk_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset, GError **error);
gboolean vmdk_guest_extent(CstImage *image, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                           GError **error);
gboolean vmdk_locate(CstImage *image, uint64_t offset, uint64_t length,
                     CstBlobLocation *ret_location, GError **error);
gboolean vmdk_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                   GError **error);
gboolean vmdk_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error);
gboolean vmdk_flush(CstImage *image, GError **error);
gboolean vmdk_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                     CstTask *task, GError **error);
gboolean vmdk_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
gboolean vmdk_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                     CstTask *task, GError **error);
gboolean vmdk_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                          GError **error);
gboolean vmdk_expect(CstImage *image, CstImage *parent, GError **error);
gboolean vmdk_follow(CstImage *image, CstImage *parent, GError **error);
gboolean vmdk_empty(CstImage *image, CstTask *task, GError **error);
gboolean vmdk_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                    unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);
