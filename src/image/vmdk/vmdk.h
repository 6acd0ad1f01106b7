/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "blocks.h"
#include "descriptor.h"
#include "header.h"
#include "tables.h"

#define VMDK_STREAM_OPTIMIZED "streamOptimized" /**< the subformat of compressed grains */

/**
 * An opened VMDK image: a descriptor and a row of extents, each of which is a file of its own or,
 * in an image of one file, that file. Only extents know how they hold their bytes.
 *
 * The content ID in the descriptor changes with the first change after opening, so that an image
 * that was made upon this one can detect that it has changed.
 */
typedef struct VmdkExtent VmdkExtent;

/** As the callbacks in format.h; offsets are the extent's own. */
typedef struct {
    gboolean (*pread)(VmdkExtent *extent, void *buf, size_t len, uint64_t offset, GError **error);
    gboolean (*extent)(VmdkExtent *extent, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                       GError **error);
    /* NULL: the location is not known */
    gboolean (*locate)(VmdkExtent *extent, uint64_t offset, uint64_t length,
                       CstBlobLocation *ret_location, GError **error);
    /* NULL: can't be written */
    gboolean (*pwrite)(VmdkExtent *extent, const void *buf, size_t len, uint64_t offset,
                       GError **error);
    gboolean (*zero)(VmdkExtent *extent, uint64_t offset, uint64_t length, unsigned flags,
                     GError **error);
    gboolean (*discard)(VmdkExtent *extent, uint64_t offset, uint64_t length, GError **error);
    gboolean (*flush)(VmdkExtent *extent, GError **error);
    /** Writes out what is held back; no barrier at the end. */
    gboolean (*write_back)(VmdkExtent *extent, GError **error);
    /** Forgets all grains, whose space leaks. NULL: the extent has none, or can't forget them. */
    gboolean (*empty)(VmdkExtent *extent, CstTask *task, GError **error);
    /** Sets extent->length. A shorter extent has forgotten what was beyond. */
    gboolean (*resize)(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                       CstTask *task, GError **error);
    void (*close)(VmdkExtent *extent);
} VmdkExtentOps;

/** Head of every extent. */
struct VmdkExtent {
    const VmdkExtentOps *ops;
    CstBlob *blob;   /**< a reference; NULL: there is no file */
    uint64_t start;  /**< of the guest's bytes */
    uint64_t length; /**< bytes */
    VmdkAccess access;
};

/** How to open an extent. */
typedef struct {
    CstImageOpen image; /**< backing: NULL where it does not matter */
    gboolean lacks_backing;
    uint64_t start, length;
    VmdkAccess access;
} VmdkExtentHow;

typedef struct {
    CstImage image;
    CstBlob *blob; /**< borrowed: image.blob */
    gboolean barriers;
    VmdkExtentHow how;
    CstImageFiles files; /**< all NULL: none at hand */
    VmdkDescriptor descriptor;
    uint64_t text_place, text_room; /**< room 0: the text is a file of its own */
    GPtrArray *extents;             /**< VmdkExtent, in the guest's order */
    GMutex lock;                    /**< guards descriptor and what follows */
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

/* --- extents; @blob's reference is taken over, also on failure -------------------------------- */

/** Opens plain bytes of @blob from byte @offset on. CORRUPT when the file is too short. */
VmdkExtent *vmdk_flat_new(CstBlob *blob, uint64_t offset, const VmdkExtentHow *how, GError **error);
/** Returns an extent without a file, which reads as zeroes and can't be written. */
VmdkExtent *vmdk_void_new(const VmdkExtentHow *how);
/** Opens a sparse extent of any kind, by its header. how->length 0: the header's. */
VmdkExtent *vmdk_sparse_open(CstBlob *blob, const VmdkExtentHow *how, GError **error);
/** Opens a sparse extent of an ESX server, for reading only. For vmdk_sparse_open(). */
VmdkExtent *vmdk_cowd_open(CstBlob *blob, const VmdkExtentHow *how, GError **error);
/** Sets *ret_is_cowd when @blob, which is borrowed, is a sparse extent of an ESX server. */
gboolean vmdk_is_cowd(CstBlob *blob, gboolean *ret_is_cowd, GError **error);
/** Opens a stream-optimized extent by its sound header. For vmdk_sparse_open(). */
VmdkExtent *vmdk_stream_new(CstBlob *blob, const VmdkHeader *header, const VmdkExtentHow *how,
                            GError **error);

/* --- open.c ---------------------------------------------------------------------------------- */

/** The format's callback, see format.h. */
CstImage *vmdk_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error);
/** The format's callback; writes back what is dirty and ignores failures: flush before. */
void vmdk_close(CstImage *image);
/** Returns an image without extents; free it with vmdk_release(). Borrows @blob. */
Vmdk *vmdk_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how);
/** Closes all extents without writing anything, and frees the image. */
void vmdk_release(Vmdk *vmdk);
/** Reads the descriptor when @vmdk's file is one; otherwise only sets *ret_is_text to FALSE. */
gboolean vmdk_read_descriptor(Vmdk *vmdk, gboolean *ret_is_text, GError **error);
/** Returns TRUE when the extent is a sparse one, hosted or of ESX. */
gboolean vmdk_line_is_sparse(const VmdkLine *line);
/**
 * Opens the file of line @index of the descriptor; the caller owns it. UNSUPPORTED for extents of
 * unknown kinds; CORRUPT when an earlier line has the same part of the file.
 */
CstBlob *vmdk_open_part(Vmdk *vmdk, guint index, GError **error);
/**
 * Reads and checks the header of a hosted sparse extent. UNSUPPORTED for one of ESX and for unknown
 * versions.
 */
gboolean vmdk_read_header(CstBlob *blob, VmdkHeader *ret_header, GError **error);

/* --- text.c: the descriptor in its place ----------------------------------------------------- */

/**
 * Writes the descriptor as it is now, only the sectors that differ. vmdk->lock held; no barrier.
 * LIMIT when the text has outgrown its space.
 */
gboolean vmdk_text_write(Vmdk *vmdk, GError **error);
/**
 * Writes the changed parent within the first sector and flushes: a power cut leaves the old text or
 * the new one. UNSUPPORTED when it does not fit there. vmdk->lock held.
 */
gboolean vmdk_text_switch(Vmdk *vmdk, GError **error);
/** Changes the content ID, once for each opening. Call it before any change. Any thread may. */
gboolean vmdk_begin_writing(Vmdk *vmdk, GError **error);
/** Returns a random content ID that is neither @old nor VMDK_NO_PARENT. */
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
