/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>
#include <image/amend.h>
#include <image/bitmap.h>
#include <image/image.h>
#include <image/luks.h>
#include <image/snapshot.h>

#include "inspection.h"
#include "measuring.h"

/**
 * A format: what registry.c lists and image.c calls. Callbacks are grouped by capability; a NULL
 * one is a capability that the format lacks, and image.c turns it into one clear error. Only
 * image.c calls through this table: it has checked state, range and capability before, and it
 * asserts that a failure has set an error.
 */

/** Bytes at the end of a file that CstImageFormat.probe_tail looks at. */
#define CST_IMAGE_TAIL_LEN 512

/** Which members of CstImageCreate beyond capacity a format knows. */
typedef enum {
    CST_CREATE_BACKING = 1 << 0,
    CST_CREATE_COMPAT = 1 << 1,
    CST_CREATE_CLUSTER_SIZE = 1 << 2,
    CST_CREATE_LAZY_REFCOUNTS = 1 << 3,
    CST_CREATE_EXTENDED_L2 = 1 << 4,
    CST_CREATE_COMPRESSION = 1 << 5,
    CST_CREATE_REFCOUNT_BITS = 1 << 6,
    CST_CREATE_METADATA = 1 << 7, /**< preallocation of metadata */
    CST_CREATE_SUBFORMAT = 1 << 8,
    CST_CREATE_BLOCK_SIZE = 1 << 9,
    CST_CREATE_SECTOR_SIZE = 1 << 10,
    CST_CREATE_FORCE_SIZE = 1 << 11,
    CST_CREATE_ADAPTER_TYPE = 1 << 12,
    CST_CREATE_DATA_FILE = 1 << 13,
    CST_CREATE_STATIC = 1 << 14, /**< subformat has "dynamic" and "static", and no others */
    CST_CREATE_HW_VERSION = 1 << 15,
    CST_CREATE_ZEROED_GRAIN = 1 << 16,
    CST_CREATE_LOG_SIZE = 1 << 17,
    CST_CREATE_TABLE_SIZE = 1 << 18
} CstCreateOptions;

/** Internal snapshots; see image/snapshot.h. Images are open for writing except for list and
 * changed. */
typedef struct {
    GPtrArray *(*list)(CstImage *image, GError **error);
    gboolean (*create)(CstImage *image, const char *name, CstTask *task, GError **error);
    gboolean (*revert)(CstImage *image, const char *name, CstTask *task, GError **error);
    gboolean (*remove)(CstImage *image, const char *name, CstTask *task, GError **error);
    gboolean (*rename)(CstImage *image, const char *name, const char *new_name, GError **error);
    gboolean (*changed)(CstImage *image, const char *since, const char *until, CstTask *task,
                        CstChanged *changed, GError **error);
} CstSnapshotOps;

/** Dirty bitmaps; see image/bitmap.h. Images are open for writing except for list, sources and
 * ranges. */
typedef struct {
    GPtrArray *(*list)(CstImage *image, GError **error);
    gboolean (*add)(CstImage *image, const char *name, uint64_t granularity, gboolean enabled,
                    GError **error);
    gboolean (*remove)(CstImage *image, const char *name, GError **error);
    gboolean (*clear)(CstImage *image, const char *name, GError **error);
    gboolean (*enable)(CstImage *image, const char *name, gboolean enabled, GError **error);
    /** Both images are of this format and of one size. */
    gboolean (*merge)(CstImage *image, const char *name, CstImage *source, const char *source_name,
                      GError **error);
    GArray *(*ranges)(CstImage *image, const char *name, guint max, CstTask *task, GError **error);
} CstBitmapOps;

/** Bytes at a fixed offset that identify a format; len 0: none. */
typedef struct {
    size_t offset;
    const char *bytes;
    size_t len;
} CstImageMagic;

#define CST_IMAGE_MAGIC(offset, text)  \
    {                                  \
        offset, text, sizeof(text) - 1 \
    }

struct CstImageFormat {
    const char *name;
    const char *alias;    /**< a second name that is understood; NULL: none */
    const char *xml_name; /**< for libvirt's volume XML; NULL: as name */

    /* --- inspecting ---------------------------------------------------------------------- */

    /**
     * Returns how certain the first @len bytes of a blob of @size bytes are of this format, from 0
     * (not at all) to 100 (beyond doubt). Pure and cheap. NULL: the format is never guessed.
     */
    int (*probe)(const uint8_t *head, size_t len, uint64_t size);

    /**
     * Returns whether the last CST_IMAGE_TAIL_LEN bytes of a blob of @size bytes, at @tail, mark an
     * image that has no mark at its beginning. Pure. NULL: the format has no such images.
     */
    gboolean (*probe_tail)(const uint8_t *tail, uint64_t size);

    /**
     * Bytes that no other format has there. A blob that has them and that no probe is sure of is an
     * image of this format with a damaged header, or of an unknown version.
     */
    CstImageMagic magic[2];

    /**
     * Fills inspection->info (its format is set already). Reads only through @inspection. Damage
     * goes to cst_inspection_problem(), and the rest is filled in as far as it makes sense.
     */
    void (*inspect)(CstInspection *inspection);

    /** See cst_image_inspect_parts(); @parts is to be filled. NULL: one file. */
    void (*inspect_parts)(CstInspection *inspection, GPtrArray *parts);

    /** See cst_image_inspect_luks(); leaves the version 0 where there is no header. NULL: never. */
    void (*inspect_luks)(CstInspection *inspection, CstImageLuks *luks);

    /* --- creating ------------------------------------------------------------------------ */

    unsigned create_options; /**< CstCreateOptions */
    /** The subformat whose data is always compressed; NULL: there is none. */
    const char *compressed_subformat;
    /** options->capacity is a multiple of 512; only what create_options names is set. */
    gboolean (*create)(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                       CstTask *task, GError **error);

    /**
     * The size of the file (files) that create() makes of the same options, and an upper bound of
     * what it has grown to when the source has been copied into it. Fails where create() would.
     * NULL only where create is.
     */
    gboolean (*measure)(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                        GError **error);

    /* --- opening ------------------------------------------------------------------------- */

    /** The guest's bytes are the blob's bytes: the guest's view is the blob itself. */
    gboolean is_plain;
    /** Plain, and any bytes are an image: what is of no other format is taken for this one. */
    gboolean is_raw;
    /** The file is an encrypted container and nothing else. */
    gboolean is_container;
    /**
     * A block without an entry holds nothing, with or without a backing image, which is something
     * else than a block of zeroes. With CST_IMAGE_SAME_CONTENT open() takes a backing image then,
     * whatever the header says of one.
     */
    gboolean is_layered;
    /** Of a format without open: what to do instead, to be shown; marked with N_(). */
    const char *instead;
    /**
     * Allocates the format's struct (its head is a CstImage, which image.c fills in afterwards)
     * and sets @head->capacity. With CST_IMAGE_WRITE nothing is written yet, but for a log that has
     * to be replayed first.
     */
    CstImage *(*open)(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                      GError **error);
    /** Writes out what is still held back, frees the format's part and the struct. Never fails. */
    void (*close)(CstImage *image);

    /* --- the guest's bytes; ranges lie inside the capacity, length > 0; many threads -------- */

    gboolean (*pread)(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error);
    gboolean (*extent)(CstImage *image, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                       GError **error);
    /**
     * As CstBlobOps.locate: in the image's file, another file of it, or the backing image. NULL:
     * no location is reported.
     */
    gboolean (*locate)(CstImage *image, uint64_t offset, uint64_t length,
                       CstBlobLocation *ret_location, GError **error);
    gboolean (*pwrite)(CstImage *image, const void *buf, size_t len, uint64_t offset,
                       GError **error);
    /**
     * Returns the unit in bytes in which take_shared() takes over data as CstBlobOps.take_shared
     * says; 0: this image can't. A format has both callbacks or neither.
     */
    uint64_t (*share_unit)(CstImage *image);
    gboolean (*take_shared)(CstImage *image, uint64_t offset, CstBlob *src, uint64_t src_offset,
                            uint64_t length, GError **error);
    gboolean (*zero)(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                     GError **error);
    gboolean (*discard)(CstImage *image, uint64_t offset, uint64_t length, GError **error);
    /** Returns when everything written so far is on the disk, and found after a power cut. */
    gboolean (*flush)(CstImage *image, GError **error);

    /* --- compressed writing; both or none ----------------------------------------------- */

    /** Returns the bytes that are compressed together; 0: this image can't be compressed. */
    uint64_t (*packed_unit)(CstImage *image);
    /** Writes one unit, or the shorter last one, compressed; otherwise as pwrite. */
    gboolean (*write_packed)(CstImage *image, const void *buf, size_t len, uint64_t offset,
                             GError **error);

    /* --- size ---------------------------------------------------------------------------- */

    /** @capacity is a multiple of 512; sets image->capacity. */
    gboolean (*resize)(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                       CstTask *task, GError **error);

    unsigned amend_options; /**< CstCreateOptions that amend() changes, beside the size */
    /** See cst_image_amend(); a size is a multiple of 512. */
    gboolean (*amend)(CstImage *image, const CstImageAmend *amend, CstTask *task, GError **error);

    /* --- what is below ------------------------------------------------------------------- */

    /**
     * See image/backing.h. What was written before is on the disk first; one atomic step. @parent:
     * the new backing image where it is at hand and of this format; else NULL.
     */
    gboolean (*set_backing)(CstImage *image, const char *name, const char *format, CstImage *parent,
                            GError **error);
    /** See cst_image_expect() and cst_image_follow(); @parent is of this format. Both or none. */
    gboolean (*expect)(CstImage *image, CstImage *parent, GError **error);
    gboolean (*follow)(CstImage *image, CstImage *parent, GError **error);
    /** See cst_image_empty(). */
    gboolean (*empty)(CstImage *image, CstTask *task, GError **error);

    /* --- space --------------------------------------------------------------------------- */

    /** Returns the unit in bytes in which zero() frees space; NULL: any number of bytes. */
    uint64_t (*zero_unit)(CstImage *image);
    /** See cst_image_trim(). */
    gboolean (*trim)(CstImage *image, CstTask *task, GError **error);

    /* --- check --------------------------------------------------------------------------- */

    /**
     * See cst_image_check_as(). *ret_check is zeroed, but for its findings, which stay; there are
     * none when @flags ask for a repair. Works on images that open() refuses.
     */
    gboolean (*check)(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                      unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);

    /* --- groups; NULL: the format has none ------------------------------------------------- */

    const CstSnapshotOps *snapshots;
    const CstBitmapOps *bitmaps;
};

/* --- what a check counts, and lists --------------------------------------------------------- */

/** Adds @count to the errors of @check, and lists them as one finding, if @check has a list. */
void cst_check_errors(CstImageCheck *check, uint64_t count, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/** The same for leaks. */
void cst_check_leaks(CstImageCheck *check, uint64_t count, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/**
 * A run of neighbouring units of the file with the same fault, listed as one finding. The caller
 * counts the units in its CstImageCheck.
 */
typedef struct {
    CstFindings *findings; /**< borrowed */
    uint64_t unit;         /**< bytes */
    CstFindingKind kind;
    const char *what; /**< marked with N_() */
    uint64_t first, count;
} CstCheckRun;

/**
 * Adds unit @number, which has the fault @what, to the run; lists the old run first if the unit
 * does not continue it. Faults are compared by pointer.
 */
void cst_check_run_add(CstCheckRun *run, CstFindingKind kind, uint64_t number, const char *what);
/** Lists the run that is still open, if any. Call it once after the last cst_check_run_add(). */
void cst_check_run_end(CstCheckRun *run);

/** Head of every opened image. */
struct CstImage {
    const CstImageFormat *format;
    CstBlob *blob;
    CstBlob *backing; /**< NULL: none */
    gboolean writable;
    uint64_t capacity;
    unsigned sector_size; /**< set by open(); 0: 512 */
};

/**
 * Returns the image whose guest's view @blob is (borrowed), or NULL when @blob is anything else,
 * such as the view of a plain image.
 */
CstImage *cst_guest_image(CstBlob *blob);
/** The same, but only for an image of @format; else NULL. @blob may be NULL. */
CstImage *cst_guest_image_of(CstBlob *blob, const CstImageFormat *format);

/**
 * Fills @inspection->info with what the image says of itself as one of @format. FALSE only when the
 * blob could not be read.
 */
gboolean cst_inspection_run(CstInspection *inspection, const CstImageFormat *format,
                            GError **error);

/**
 * Inspects an image of one file that is to be opened. Fails with CORRUPT or UNSUPPORTED when the
 * header has a problem or the image is encrypted, and with INVALID when @how has a backing image
 * that the image does not name. The caller clears *ret_info.
 */
gboolean cst_image_inspect_for_open(CstBlob *blob, const CstImageFormat *format,
                                    const CstImageOpen *how, CstImageInfo *ret_info,
                                    GError **error);

/**
 * Calls the measure() callback of measuring->format, which must have one; the options have been
 * checked.
 */
gboolean cst_format_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                            GError **error);
/** Returns the unit in bytes in which zeroing frees space in @image; 0: any number of bytes. */
uint64_t cst_image_zero_unit(CstImage *image);

/** Checks that @format knows every option that is set; else fails with ARGUMENT_UNSUPPORTED. */
gboolean cst_image_check_create(const CstImageFormat *format, const CstImageCreate *options,
                                GError **error);

/** What registry.c lists; nothing else refers to them. */
extern const CstImageFormat cst_format_raw;
extern const CstImageFormat cst_format_qcow2;
extern const CstImageFormat cst_format_qcow;
extern const CstImageFormat cst_format_qed;
extern const CstImageFormat cst_format_vdi;
extern const CstImageFormat cst_format_vmdk;
extern const CstImageFormat cst_format_vpc;
extern const CstImageFormat cst_format_vhdx;
extern const CstImageFormat cst_format_parallels;
extern const CstImageFormat cst_format_cow;
extern const CstImageFormat cst_format_luks;
extern const CstImageFormat cst_format_iso;
extern const CstImageFormat cst_format_bochs;
extern const CstImageFormat cst_format_cloop;
extern const CstImageFormat cst_format_dmg;
