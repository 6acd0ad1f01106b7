/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <fcntl.h>
#include <glib.h>
#include <stdint.h>

#include <base/liveness.h>
#include <base/range.h>
#include <base/task.h>

/**
 * A blob is a positional byte source: a file, a block device, an RBD image, memory; or a layer over
 * another blob (the guest's view of an image, a dry run, fault injection in tests). Offsets and
 * lengths are bytes.
 *
 * A blob has no current offset, so any number of threads may read and write it at the same time.
 * cst_blob_resize() must not run concurrently with another call on the same blob.
 *
 * Only the functions below call through a CstBlobOps. They check range, access mode and capability
 * first, and emulate missing capabilities: zeroing by writing zeroes, extents by reporting one run
 * of data. An implementation that breaks its contract causes an INTERNAL error. With debug on, each
 * call is logged.
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

/** The location of the start of a range in the blob below a layer. */
typedef struct {
    CstBlob *blob;   /**< borrowed; NULL: not stored, or not verbatim (compressed, encrypted) */
    uint64_t offset; /**< in @blob */
    uint64_t length; /**< bytes of the range that are contiguous in @blob; > 0 */
} CstBlobLocation;

typedef enum {
    CST_ZERO_MAY_UNMAP = 1 << 0, /**< the range may become a hole */
    CST_ZERO_FAST = 1 << 1       /**< fail with UNSUPPORTED rather than write the zeroes out */
} CstZeroFlags;

/**
 * Operations of one kind of blob. A callback that fails returns FALSE and sets @error; one that
 * succeeds does not set it. @error is never NULL. The callback may assume that the length is not 0
 * and that the range lies inside the blob's size (pwrite: that offset + len does not exceed
 * INT64_MAX). Callbacks that change a blob are called only if it is writable.
 *
 * A NULL callback means that the kind lacks the capability. UNSUPPORTED from zero, discard,
 * allocate or copy_range means "not for this range of this blob"; the dispatcher then falls back as
 * documented at the function of the same name below.
 *
 * Callbacks are called from many threads at the same time. An implementation locks its shared
 * state.
 */
typedef struct {
    const char *kind; /**< static; "file", "memory" */

    /* Required. */

    /** Read exactly @len bytes. */
    gboolean (*pread)(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error);
    /** Return the size in bytes. Called before every access, so it must be cheap. */
    gboolean (*get_size)(CstBlob *blob, uint64_t *ret_size, GError **error);
    /** Release the implementation's resources and the struct itself; cannot fail. */
    void (*close)(CstBlob *blob);

    /* Writing. pwrite may be NULL for read-only blobs. */

    /** Write all @len bytes. A blob that can grow is extended; other blobs fail with NO_SPACE. */
    gboolean (*pwrite)(CstBlob *blob, const void *buf, size_t len, uint64_t offset, GError **error);
    /** Make all completed writes durable. May be NULL if the blob is not persistent. */
    gboolean (*flush)(CstBlob *blob, GError **error);

    /* Sparse blobs. Each may be NULL. */

    /** Return the run of equal flags that starts at @offset: 0 < *ret_extent's length ≤ @length. */
    gboolean (*extent)(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                       GError **error);
    /** Make the range read as zeroes. @flags: CstZeroFlags. */
    gboolean (*zero)(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                     GError **error);
    /** Release the range's space; its content becomes undefined. */
    gboolean (*discard)(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);
    /** Reserve space for the range and keep its content, like fallocate(2) with mode 0. */
    gboolean (*allocate)(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);

    /* Size. NULL: the size is fixed. */

    /** Change the size; added bytes read as zeroes. */
    gboolean (*resize)(CstBlob *blob, uint64_t size, GError **error);

    /* Copying. Each may be NULL. */

    /**
     * Copy @length bytes from @src to @dst, a blob of any kind, without moving them through this
     * process. With @share_only, share the extents (FICLONERANGE) and verify the result; else use
     * copy_file_range(2) or a copy by the server. Extends @dst if it is too short. UNSUPPORTED if
     * this pair of blobs cannot do it; the caller then reads and writes.
     */
    gboolean (*copy_range)(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                           uint64_t length, gboolean share_only, GError **error);
    /** Return the granularity of sharing in bytes, a power of two; 0 (or NULL): cannot share. */
    uint64_t (*share_unit)(CstBlob *blob);

    /* Layers. Each may be NULL. */

    /**
     * Return the location of the range in a blob below. Its bytes are this blob's content, except
     * where extent() reports zeroes. NULL: the blob is not a layer.
     */
    gboolean (*locate)(CstBlob *blob, uint64_t offset, uint64_t length,
                       CstBlobLocation *ret_location, GError **error);
    /**
     * Implement cst_blob_share() for a destination that is a layer. Allocate space for the range in
     * the blob below, share the extents into that blob, then update the layer's mapping. Offsets
     * and length are multiples of both blobs' share units. NULL: the destination is not a layer, or
     * its allocation unit cannot be shared.
     */
    gboolean (*take_shared)(CstBlob *blob, uint64_t offset, CstBlob *src, uint64_t src_offset,
                            uint64_t length, GError **error);

    /* Locks. NULL: the blob has no locks. */

    /**
     * Set, drop or test a lock of the open file, like fcntl(2) with F_OFD_SETLK and F_OFD_GETLK.
     * Return: 0, or -1 with errno.
     */
    int (*lock)(CstBlob *blob, int command, struct flock *lock);

    /**
     * Return the descriptor of the file or device by which other programs know the blob's content;
     * -1: unknown. NULL: no file or device of this host has the content.
     */
    int (*node_fd)(CstBlob *blob);

    /**
     * Other programs that open images on such blobs (QEMU with a library of the storage) can read
     * only sizes that are a multiple of this. Bytes; 0: any size is valid.
     */
    unsigned image_unit;
} CstBlobOps;

/** First member of every implementation's struct. */
struct CstBlob {
    const CstBlobOps *ops;
    char *name; /**< for messages: a path, "memory" */
    gboolean writable;
    gint refs;                    /**< atomic */
    struct CstLiveness *liveness; /**< NULL: calls always end on their own */
};

/** Initialise the head of an implementation's struct with one reference. Copies @name. */
void cst_blob_init(CstBlob *blob, const CstBlobOps *ops, const char *name, gboolean writable);

/** Acquire a reference. Return: @blob. Thread-safe. */
CstBlob *cst_blob_ref(CstBlob *blob);
/** Drop a reference and close the blob with the last one, without flushing. NULL is accepted. */
void cst_blob_unref(CstBlob *blob);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstBlob, cst_blob_unref)

/* --- checked calls ------------------------------------------------------------------------- */

/*
 * Errors of all of them, in addition to the errors of the implementation: INVALID for a range
 * outside the blob; READ_ONLY for a change of a blob that is not writable; UNSUPPORTED for a
 * capability that is neither implemented nor emulated. A length of 0 succeeds and does nothing.
 */

/** Return the size at open time, plus changes made through this blob since. No system call. */
gboolean cst_blob_get_size(CstBlob *blob, uint64_t *ret_size, GError **error);
/** Read the whole range, which must be within the size. */
gboolean cst_blob_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error);
/**
 * Write the whole range. Past the end, the blob grows, or the call fails with NO_SPACE or INVALID.
 */
gboolean cst_blob_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                         GError **error);
/** Make all writes that have returned durable. Does nothing on a read-only blob. */
gboolean cst_blob_flush(CstBlob *blob, GError **error);
/**
 * Return the run of equal flags that starts at @offset: at least one byte, at most @length. The
 * real run may be longer. Without the capability all of the range is data.
 */
gboolean cst_blob_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                         GError **error);
/** Make the range read as zeroes; write them if no faster method works (see CstZeroFlags). */
gboolean cst_blob_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                       GError **error);
/**
 * Declare the content of the range as unneeded, so that its space can be released. The content is
 * undefined afterwards. Succeeds without any effect if the blob cannot discard.
 */
gboolean cst_blob_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);
/** Reserve space for the range and keep its content. Not emulated: callers handle UNSUPPORTED. */
gboolean cst_blob_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error);
/** Change the size, at most INT64_MAX; added bytes read as zeroes. */
gboolean cst_blob_resize(CstBlob *blob, uint64_t size, GError **error);

/**
 * Return the location of a range in the lowest blob, through all layers. The location's length is
 * the contiguous part in that blob, at most @length. See CstBlobOps.locate.
 */
gboolean cst_blob_locate(CstBlob *blob, uint64_t offset, uint64_t length,
                         CstBlobLocation *ret_location, GError **error);
/** Return the granularity in which @blob shares extents, bytes; 0: it cannot share. */
uint64_t cst_blob_share_unit(CstBlob *blob);
/**
 * Make the range of @dst equal to the range of @src by sharing extents, so that no data moves, and
 * verify the result. @src must be a lowest blob (see cst_blob_locate()); @dst may be a layer.
 * Offsets and length are multiples of both share units. UNSUPPORTED if this pair cannot share; the
 * content of @dst's range is then undefined.
 */
gboolean cst_blob_share(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                        uint64_t length, GError **error);

/** Return whether all @len bytes are zero. */
gboolean cst_bytes_are_zero(const void *buf, size_t len);

typedef enum {
    CST_COPY_DST_ZERO = 1 << 0,  /**< the destination reads as zeroes already: skip holes */
    CST_COPY_NO_SHARE = 1 << 1,  /**< copy the bytes even where extents could be shared */
    CST_COPY_SHARE_ONLY = 1 << 2 /**< share extents or fail with UNSUPPORTED (--reflink) */
} CstCopyFlags;

/**
 * Copy @length bytes from @src to @dst: by sharing extents if both sides can, else inside the
 * kernel, else by reading and writing on several threads. Holes and runs of zeroes are not written.
 * Extends @dst first if it is too short. The ranges must not overlap.
 *
 * Advances @task (may be NULL) by the bytes handled; the caller sets its total. Fails with
 * CANCELLED if the task is cancelled, and with DRY_RUN in a dry run. After a failure the content of
 * @dst's range is undefined.
 */
gboolean cst_blob_copy(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                       uint64_t length, unsigned flags, CstTask *task, GError **error);

/* --- kinds --------------------------------------------------------------------------------- */

/**
 * Create a blob of a regular file or a block device; other file types are INVALID. Consumes @fd,
 * also on failure. @name is for messages. @writable: @fd is open for writing as well. In a dry run
 * a writable blob is a dry-run layer (blob/dry.h) over the file.
 */
CstBlob *cst_blob_file_new(int fd, const char *name, gboolean writable, GError **error);
/**
 * Open the file or block device at @path, which becomes the blob's name. Links are followed as by
 * cst_place_init().
 */
CstBlob *cst_blob_file_open(const char *path, gboolean writable, GError **error);
/** As cst_blob_file_open(), with another name for the blob and for messages. */
CstBlob *cst_blob_file_open_named(const char *path, const char *name, gboolean writable,
                                  GError **error);
/** Create an empty file at @path and open it for writing; EXISTS if @path exists already. */
CstBlob *cst_blob_file_create(const char *path, GError **error);
/**
 * Turn flushes of this file into no-ops from now on. For a file that can be created again. Does
 * nothing for blobs of another kind.
 */
void cst_blob_file_skip_sync(CstBlob *blob);
/**
 * Return the descriptor of a file blob, or of the file below a dry-run layer, owned by the blob;
 * else -1.
 */
int cst_blob_file_fd(CstBlob *blob);

#define CST_BLOB_MEMORY_MAX (UINT64_C(1) << 30)
/**
 * Create a growable blob in memory, initially of @len bytes. Copies @data; NULL: zeroes. NO_SPACE
 * past CST_BLOB_MEMORY_MAX bytes.
 */
CstBlob *cst_blob_memory_new(const void *data, size_t len);

/* --- not in the library: identity, calls of pools, copying and wiping ------------------------- */

/** Return: TRUE if both blobs are files (cst_blob_file_fd()), and the same one. */
gboolean cst_blob_is_same_file(CstBlob *a, CstBlob *b);
/**
 * Return the descriptor of the file or device by which other programs know the blob's content,
 * owned by the blob; else -1. Use it to identify the blob. Reads and writes go through the blob.
 */
int cst_blob_node_fd(CstBlob *blob);

/**
 * Refuse calls on @blob while its storage does not answer. @liveness NULL: the storage never hangs.
 * Must be called before the blob is shared between threads. Acquires a reference to @liveness.
 */
void cst_blob_set_liveness(CstBlob *blob, CstLiveness *liveness);

/**
 * Set, drop or test a lock of the open file (CstBlobOps.lock). Return: 0, or -1 with errno;
 * EOPNOTSUPP if the blob has no locks.
 */
int cst_blob_lock(CstBlob *blob, int command, struct flock *lock);
/**
 * Extend the blob, an image that may be followed by zeroes, if other programs cannot read its size
 * (CstBlobOps.image_unit). Errors like cst_blob_resize().
 */
gboolean cst_blob_pad_image(CstBlob *blob, GError **error);
/**
 * Return whether the blob implements resize. A device or layer may still refuse a size
 * (UNSUPPORTED).
 */
gboolean cst_blob_can_resize(CstBlob *blob);
/**
 * Copy without moving data through this process (CstBlobOps.copy_range). UNSUPPORTED if this pair
 * of blobs cannot do it; the caller then reads and writes.
 */
gboolean cst_blob_copy_range(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                             uint64_t length, gboolean share_only, GError **error);
