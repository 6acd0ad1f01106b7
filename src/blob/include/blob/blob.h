/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/**
 * A blob is a positional byte source: a file, a block device, memory, later an RBD image, a
 * Gluster file, an iSCSI LUN; or a layer over another blob (fault injection in tests, the guest's
 * view of an image). Offsets and lengths are bytes. No shared file offset exists, so reads and
 * writes may come from many threads at once; size changes may not run beside other calls.
 *
 * Only the functions below call through a CstBlobOps; they check range and capability, and emulate
 * what a blob lacks (zero by writing zeroes, extents as one run of data, copy by read and write).
 */
typedef struct CstBlob CstBlob;

typedef enum {
    CST_EXTENT_DATA = 0,
    CST_EXTENT_HOLE = 1 << 0, /**< no space is allocated */
    CST_EXTENT_ZERO = 1 << 1  /**< reads as zeroes */
} CstExtentFlags;

typedef struct {
    uint64_t offset;
    uint64_t length;
    unsigned flags; /**< CstExtentFlags */
} CstExtent;

/** Where a range's bytes lie in the blob below. */
typedef struct {
    CstBlob *blob; /**< borrowed; NULL: nowhere, or not as they are (compressed, encrypted) */
    uint64_t offset;
    uint64_t length; /**< of the range, from its start on; > 0 */
} CstBlobLocation;

typedef enum {
    CST_ZERO_MAY_UNMAP = 1 << 0, /**< the range may become a hole */
    CST_ZERO_FAST = 1 << 1       /**< fail with UNSUPPORTED rather than write the zeroes out */
} CstZeroFlags;

/**
 * What a kind of blob implements. Each callback returns FALSE with @error set, and may assume that
 * the range lies inside the size (pwrite: that it doesn't overflow) and that length > 0. A NULL
 * callback is a missing capability. UNSUPPORTED from zero, discard, allocate or copy_range means
 * "not this range, not here", and the dispatcher falls back where the function below says so.
 * Callbacks come from many threads at once; an implementation that shares state locks it itself.
 */
typedef struct {
    const char *kind; /**< "file", "memory"; for messages */

    /* required */
    gboolean (*pread)(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error);
    gboolean (*get_size)(CstBlob *blob, uint64_t *ret_size, GError **error);
    void (*close)(CstBlob *blob); /**< frees the implementation's part; never fails */

    /* write */
    gboolean (*pwrite)(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                       GError **error);               /**< beyond the end grows a file-like blob */
    gboolean (*flush)(CstBlob *blob, GError **error); /**< what was written survives a power cut */

    /* sparse */
    /** The run that starts at @offset: *ret_extent with length ≤ @length. */
    gboolean (*extent)(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                       GError **error);
    gboolean (*zero)(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                     GError **error);
    gboolean (*discard)(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);
    /** Reserves space without changing what is read (fallocate). */
    gboolean (*allocate)(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);

    /* size */
    gboolean (*resize)(CstBlob *blob, uint64_t size, GError **error);

    /* copy */
    /**
     * Makes [@dst_offset, +@length) of @dst the same as @src's range without moving data through
     * this process (reflink, copy_file_range, server-side copy). Sets UNSUPPORTED when the pair
     * can't; the caller then copies. @share_only: only sharing of extents (FICLONERANGE) will do,
     * and it is verified.
     */
    gboolean (*copy_range)(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                           uint64_t length, gboolean share_only, GError **error);
    /** Ranges are shared in whole units of so many bytes, a power of two; 0: never. NULL: never. */
    uint64_t (*share_unit)(CstBlob *blob);

    /* layers */
    /**
     * Where the range's space is in a blob below: the bytes there are this blob's, except where
     * extent() says that they read as zeroes. NULL: this blob is the lowest.
     */
    gboolean (*locate)(CstBlob *blob, uint64_t offset, uint64_t length,
                       CstBlobLocation *ret_location, GError **error);
    /**
     * As cst_blob_share(), for a layer: finds a place for the range in the blob below, lets that
     * share, and enters the place into the tables. Both offsets and the length are whole units.
     */
    gboolean (*take_shared)(CstBlob *blob, uint64_t offset, CstBlob *src, uint64_t src_offset,
                            uint64_t length, GError **error);
} CstBlobOps;

/** Head of every implementation's struct. */
struct CstBlob {
    const CstBlobOps *ops;
    char *name; /**< for messages: a path, "memory" */
    gboolean writable;
    gint refs;
};

/** For implementations: sets the head, one reference. @name is copied. */
void cst_blob_init(CstBlob *blob, const CstBlobOps *ops, const char *name, gboolean writable);

/** Returns @blob, with a reference more. */
CstBlob *cst_blob_ref(CstBlob *blob);
/** Closes it with the last reference. Flushes nothing. */
void cst_blob_unref(CstBlob *blob);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstBlob, cst_blob_unref)

/* --- checked calls ------------------------------------------------------------------------- */

/* A range outside the size is INVALID, changing a read-only blob is READ_ONLY, a capability that
 * is neither there nor emulated is UNSUPPORTED. A length of 0 is success. */

/** Size when the blob was made, and as changed through this blob since. Costs no system call. */
gboolean cst_blob_get_size(CstBlob *blob, uint64_t *ret_size, GError **error);
/** All of the range; it lies inside the size. */
gboolean cst_blob_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error);
/** Writing past the end grows what can grow; NO_SPACE or INVALID on the rest. */
gboolean cst_blob_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                         GError **error);
/** What was written before survives a power cut. */
gboolean cst_blob_flush(CstBlob *blob, GError **error);
/** The run of equal kind that starts at @offset, at most @length long, never empty. */
gboolean cst_blob_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                         GError **error);
/** Makes the range read as zeroes; written out where nothing faster exists (see CstZeroFlags). */
gboolean cst_blob_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                       GError **error);
/** Advice that the content is not needed: afterwards it is undefined. Never UNSUPPORTED. */
gboolean cst_blob_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);
/** Reserves space inside the size, keeping the content. UNSUPPORTED is the caller's to handle. */
gboolean cst_blob_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);
/** What is added reads as zeroes. */
gboolean cst_blob_resize(CstBlob *blob, uint64_t size, GError **error);

/**
 * Where the bytes of a range lie in the lowest blob (the file), through all layers; the length is
 * cut to what lies there in one piece. See CstBlobOps.locate.
 */
gboolean cst_blob_locate(CstBlob *blob, uint64_t offset, uint64_t length,
                         CstBlobLocation *ret_location, GError **error);
/** See CstBlobOps.share_unit. */
uint64_t cst_blob_share_unit(CstBlob *blob);
/**
 * Makes the range of @dst the same as @src's, a lowest blob, by sharing the space they lie in, so
 * that no data moves; whole units of both. That they do share it is verified. UNSUPPORTED where
 * this pair can't; the range's content is then undefined.
 */
gboolean cst_blob_share(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                        uint64_t length, GError **error);

/** TRUE when all @len bytes are zero. */
gboolean cst_bytes_are_zero(const void *buf, size_t len);

typedef enum {
    CST_COPY_DST_ZERO = 1 << 0,  /**< the destination already reads as zeroes: skip holes */
    CST_COPY_NO_SHARE = 1 << 1,  /**< move the bytes even where extents could be shared */
    CST_COPY_SHARE_ONLY = 1 << 2 /**< FICLONE or fail with UNSUPPORTED (vol-clone --reflink) */
} CstCopyFlags;

/**
 * Copies @length bytes: shares extents where both sides can, whole or piece by piece through the
 * layers on them, else copies inside the kernel or the server, else reads and writes on several
 * threads; holes and zeroes are skipped. A destination
 * that is too short is grown first. Advances @task by bytes covered (the total is the caller's to
 * set) and stops at its cancellation. After a failure the destination's range is undefined. The two
 * ranges may not overlap.
 */
gboolean cst_blob_copy(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                       uint64_t length, unsigned flags, CstTask *task, GError **error);

/* --- kinds --------------------------------------------------------------------------------- */

/**
 * A regular file or block device; takes over @fd (closed with the blob, and on failure). One fstat
 * (a block device: one ioctl more). @writable: @fd is open for writing as well.
 */
CstBlob *cst_blob_file_new(int fd, const char *name, gboolean writable, GError **error);
/** Opens what is at @path, which becomes the name; what is no file or block device is INVALID. */
CstBlob *cst_blob_file_open(const char *path, gboolean writable, GError **error);
/** Makes an empty file at @path and opens it for writing; EXISTS when something is there. */
CstBlob *cst_blob_file_create(const char *path, GError **error);
/**
 * Flushing this file need not reach the disk any more: for a file that can be made again. Other
 * blobs stay as they are.
 */
void cst_blob_file_skip_sync(CstBlob *blob);
/** The descriptor of a file blob, -1 for other kinds; still owned by the blob. */
int cst_blob_file_fd(CstBlob *blob);

#define CST_BLOB_MEMORY_MAX (UINT64_C(1) << 30)
/** Growable memory, at most CST_BLOB_MEMORY_MAX bytes; @data is copied (NULL: zeroes). */
CstBlob *cst_blob_memory_new(const void *data, size_t len);
