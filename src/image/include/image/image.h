/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <blob/blob.h>

/**
 * The image engine: formats behind one checked dispatch. Everything works over blobs; nothing here
 * opens a file that an image points to: whoever wants a chain opens the backing blob itself and
 * hands it over.
 */

/** A format, by its name as qemu-img and libvirt's XML spell it ("raw", "qcow2", "vpc", …). */
typedef struct CstImageFormat CstImageFormat;

const char *cst_image_format_name(const CstImageFormat *format);
/** NULL with INVALID for an unknown name. "vhd" is accepted for "vpc". */
const CstImageFormat *cst_image_format_find(const char *name, GError **error);
/** All formats in probing order, NULL-terminated. */
const CstImageFormat *const *cst_image_formats(void);
gboolean cst_image_format_can_create(const CstImageFormat *format);

/* --- looking, without trusting ------------------------------------------------------------- */

typedef struct {
    const CstImageFormat *format;
    uint64_t capacity;     /**< bytes the guest sees */
    gboolean corrupt;      /**< the header is damaged or hostile; problem says how */
    char *problem;         /**< NULL: none */
    char *backing;         /**< reference found in the image, verbatim, never followed */
    char *backing_format;  /**< declared in the image; NULL: not declared */
    char *data_file;       /**< qcow2 external data file, verbatim, never followed */
    char *encryption;      /**< "luks", "luks2", "aes"; NULL: none */
    char *compat;          /**< qcow2: "0.10" or "1.1" */
    uint64_t cluster_size; /**< bytes; 0: not a notion of the format */
    gboolean lazy_refcounts;
    gboolean extended_l2;
    gboolean dirty;
    unsigned snapshots;
    char *compression; /**< "zlib", "zstd" */
    char *subformat;   /**< "monolithicSparse", "dynamic", "fixed", … */
} CstImageInfo;

void cst_image_info_clear(CstImageInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstImageInfo, cst_image_info_clear)

/** The bytes that probing looks at first. A scanner may read them itself and ask with them. */
#define CST_IMAGE_PROBE_LEN 4096

/** Best guess from the first bytes alone; never NULL ("raw" when nothing matches). Pure. */
const CstImageFormat *cst_image_probe(const uint8_t *head, size_t len, uint64_t size);

/**
 * Describes an untrusted image: bounded memory, reads only @blob. @format NULL: probe first.
 * A damaged image is not an error: ret_info->corrupt and ->problem say so, with what could be read.
 * FALSE only when the blob can't be read.
 */
gboolean cst_image_inspect(CstBlob *blob, const CstImageFormat *format, CstImageInfo *ret_info,
                           GError **error);

/* --- making -------------------------------------------------------------------------------- */

typedef enum {
    CST_PREALLOC_OFF,
    CST_PREALLOC_METADATA,
    CST_PREALLOC_FALLOC,
    CST_PREALLOC_FULL
} CstPreallocation;

typedef struct {
    uint64_t capacity; /**< bytes; rounded up to 512 */
    CstPreallocation preallocation;
    const char *backing;        /**< text to store as the reference; NULL: none */
    const char *backing_format; /**< must come with backing */
    const char *compat;         /**< qcow2: NULL = "1.1" */
    uint64_t cluster_size;      /**< 0: the format's default */
    gboolean lazy_refcounts;
    gboolean extended_l2;
} CstImageCreate;

/** Writes a new empty image onto @blob (existing content is ignored and replaced). */
gboolean cst_image_create(CstBlob *blob, const CstImageFormat *format,
                          const CstImageCreate *options, CstTask *task, GError **error);

/* --- opening ------------------------------------------------------------------------------- */

typedef struct CstImage CstImage;

typedef enum { CST_IMAGE_WRITE = 1 << 0 } CstImageOpenFlags;

/**
 * Opens @blob as @format (never guessed). @backing, if the image has a backing reference, is the
 * guest view of the backing image, already opened by the caller, and is referenced; without it
 * opening an image that needs one fails with INVALID unless CST_IMAGE_WRITE is absent and only
 * metadata is wanted.
 */
CstImage *cst_image_open(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                         CstBlob *backing, GError **error);
/** Flushes and closes. Errors of the last flush are reported by cst_image_flush(), call it first.
 */
void cst_image_free(CstImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstImage, cst_image_free)

/**
 * The guest's view as a blob (reads, writes, extents, zero, discard, flush), so that one copy loop
 * serves every pair of formats. Takes over @image: it is freed with the blob.
 */
CstBlob *cst_image_guest_blob(CstImage *image);

gboolean cst_image_flush(CstImage *image, GError **error);

/** Changes the guest-visible size; shrinking cuts data off and the caller has asked for it. */
gboolean cst_image_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                          CstTask *task, GError **error);
