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
 * The vtable of an image format. registry.c lists the formats. Callbacks are grouped by capability.
 * A NULL callback means that the format lacks the capability, and the dispatcher turns it into one
 * clear error. Only the dispatcher (the files of dispatch.h, guest.c and registry.c) calls through
 * this table. It checks state, range and capability before a call, and asserts that a failure has
 * set an error.
 */

/** Bytes at the end of a file for CstImageFormat.probe_tail. */
#define CST_IMAGE_TAIL_LEN 512

/** Members of CstImageCreate, besides capacity, that a format supports. */
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
    CST_CREATE_STATIC = 1 << 14, /**< subformat has only "dynamic" and "static" */
    CST_CREATE_HW_VERSION = 1 << 15,
    CST_CREATE_ZEROED_GRAIN = 1 << 16,
    CST_CREATE_LOG_SIZE = 1 << 17,
    CST_CREATE_TABLE_SIZE = 1 << 18
} CstCreateOptions;

/** Internal snapshots; see image/snapshot.h. Images are open for writing, except for list and
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

/** Dirty bitmaps; see image/bitmap.h. Images are open for writing, except for list and ranges. */
typedef struct {
    GPtrArray *(*list)(CstImage *image, GError **error);
    gboolean (*add)(CstImage *image, const char *name, uint64_t granularity, gboolean enabled,
                    GError **error);
    gboolean (*remove)(CstImage *image, const char *name, GError **error);
    gboolean (*clear)(CstImage *image, const char *name, GError **error);
    gboolean (*enable)(CstImage *image, const char *name, gboolean enabled, GError **error);
    /** Both images have this format and the same size. */
    gboolean (*merge)(CstImage *image, const char *name, CstImage *source, const char *source_name,
                      GError **error);
    GArray *(*ranges)(CstImage *image, const char *name, guint max, CstTask *task, GError **error);
} CstBitmapOps;

/** Bytes at a fixed offset that identify a format; len 0: unused. */
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
    const char *alias;    /**< second name; NULL: no second name */
    const char *xml_name; /**< name for libvirt's volume XML; NULL: same as name */

    /* --- inspecting ---------------------------------------------------------------------- */

    /**
     * Returns the certainty that the first @len bytes of a blob of @size bytes are of this format,
     * from 0 (no match) to 100 (certain). Pure and cheap. NULL: the format is never guessed.
     */
    int (*probe)(const uint8_t *head, size_t len, uint64_t size);

    /**
     * Returns whether the last CST_IMAGE_TAIL_LEN bytes at @tail of a blob of @size bytes mark an
     * image without a mark at its beginning. Pure. NULL: the format has no such images.
     */
    gboolean (*probe_tail)(const uint8_t *tail, uint64_t size);

    /**
     * Bytes that are unique to this format. If no probe recognises a blob with these bytes, it is
     * an image of this format with a damaged header, or of an unknown version.
     */
    CstImageMagic magic[2];

    /**
     * Fills in inspection->info, except its format, which is set. Reads only through @inspection.
     * Reports damage with cst_inspection_problem(), and fills in the other members as far as
     * possible.
     */
    void (*inspect)(CstInspection *inspection);

    /** Appends to @parts; see cst_image_inspect_parts(). NULL: the format has a single file. */
    void (*inspect_parts)(CstInspection *inspection, GPtrArray *parts);

    /** See cst_image_inspect_luks(). Leaves the version 0 if the image has no header. NULL: the
     * format has no encryption with LUKS. */
    void (*inspect_luks)(CstInspection *inspection, CstImageLuks *luks);

    /* --- creating ------------------------------------------------------------------------ */

    unsigned create_options; /**< CstCreateOptions */
    /** The subformat whose data is always compressed; NULL: the format has no such subformat. */
    const char *compressed_subformat;
    /** options->capacity is a multiple of 512. Only the options of create_options are set. */
    gboolean (*create)(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                       CstTask *task, GError **error);

    /**
     * Calculates the size of the file or files that create() would make with the same options, and
     * an upper bound of the size after a copy of the source. Fails if create() would fail. NULL
     * only if create is NULL.
     */
    gboolean (*measure)(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                        GError **error);

    /* --- opening ------------------------------------------------------------------------- */

    /** The guest's bytes are the blob's bytes, so the guest's view is the blob itself. */
    gboolean is_plain;
    /** Plain, and any bytes are a valid image. A blob of no other format has this format. */
    gboolean is_raw;
    /** The file is only an encrypted container. */
    gboolean is_container;
    /**
     * A block without an entry is unallocated, with or without a backing image, and differs from a
     * block of zeroes. With CST_IMAGE_SAME_CONTENT, open() accepts a backing image regardless of
     * the header.
     */
    gboolean is_layered;
    /** For a format without open: an alternative to show to the user; marked with N_(). */
    const char *instead;
    /**
     * Allocates the format's struct, whose head is a CstImage, and sets @head->capacity. image.c
     * fills in the other members of the head. Does not write to the image, except to replay a log
     * with CST_IMAGE_WRITE.
     */
    CstImage *(*open)(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                      GError **error);
    /** Writes cached changes, and frees the format's members and the struct. Never fails. */
    void (*close)(CstImage *image);

    /* --- the guest's bytes; ranges are inside the capacity, length > 0; many threads -------- */

    gboolean (*pread)(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error);
    gboolean (*extent)(CstImage *image, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                       GError **error);
    /**
     * Like CstBlobOps.locate: a location in the image's file, another file of it, or the backing
     * image. NULL: no location is reported.
     */
    gboolean (*locate)(CstImage *image, uint64_t offset, uint64_t length,
                       CstBlobLocation *ret_location, GError **error);
    gboolean (*pwrite)(CstImage *image, const void *buf, size_t len, uint64_t offset,
                       GError **error);
    /**
     * Returns the unit in bytes for take_shared(), which has the contract of
     * CstBlobOps.take_shared; 0: this image cannot share. A format has both callbacks or neither.
     */
    uint64_t (*share_unit)(CstImage *image);
    gboolean (*take_shared)(CstImage *image, uint64_t offset, CstBlob *src, uint64_t src_offset,
                            uint64_t length, GError **error);
    gboolean (*zero)(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                     GError **error);
    gboolean (*discard)(CstImage *image, uint64_t offset, uint64_t length, GError **error);
    /** Makes all earlier writes durable. When it returns, they are found after a power cut. */
    gboolean (*flush)(CstImage *image, GError **error);

    /* --- compressed writing; both or neither -------------------------------------------- */

    /** Returns the number of bytes that are compressed together; 0: this image cannot be
     * compressed. */
    uint64_t (*packed_unit)(CstImage *image);
    /** Writes one unit, or the shorter last one, compressed if possible, else like pwrite. */
    gboolean (*write_packed)(CstImage *image, const void *buf, size_t len, uint64_t offset,
                             GError **error);

    /* --- size ---------------------------------------------------------------------------- */

    /** Sets image->capacity to @capacity, a multiple of 512. */
    gboolean (*resize)(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                       CstTask *task, GError **error);

    unsigned amend_options; /**< CstCreateOptions, besides the size, that amend() changes */
    /** See cst_image_amend(). A size is a multiple of 512. */
    gboolean (*amend)(CstImage *image, const CstImageAmend *amend, CstTask *task, GError **error);

    /* --- backing image ------------------------------------------------------------------- */

    /**
     * Replaces the backing reference in one atomic step, after all earlier writes are on the disk;
     * see image/backing.h. @parent is the new backing image if it is available and of this format,
     * else NULL.
     */
    gboolean (*set_backing)(CstImage *image, const char *name, const char *format, CstImage *parent,
                            GError **error);
    /** See cst_image_expect() and cst_image_follow(). @parent is of this format. Both or
     * neither. */
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
     * See cst_image_check_as(). *ret_check is zeroed, except for its findings, which are NULL if
     * @flags request a repair. The callback keeps the pointer. Works on images that open() refuses.
     */
    gboolean (*check)(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                      unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);

    /* --- groups; NULL: the format lacks the group ------------------------------------------ */

    const CstSnapshotOps *snapshots;
    const CstBitmapOps *bitmaps;
};

/* --- counts and findings of a check --------------------------------------------------------- */

/** Adds @count to the errors of @check, and lists them as one finding if @check has a list. */
void cst_check_errors(CstImageCheck *check, uint64_t count, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/** Adds @count to the leaks of @check, and lists them as one finding if @check has a list. */
void cst_check_leaks(CstImageCheck *check, uint64_t count, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/**
 * A run of adjacent units of the file with the same fault, listed as one finding. The caller counts
 * the units in its CstImageCheck.
 */
typedef struct {
    CstFindings *findings; /**< borrowed */
    uint64_t unit;         /**< bytes */
    CstFindingKind kind;
    const char *what; /**< marked with N_() */
    uint64_t first, count;
} CstCheckRun;

/**
 * Adds unit @number with the fault @what to the run. Lists the old run first if the unit does not
 * continue it. Faults are compared by pointer.
 */
void cst_check_run_add(CstCheckRun *run, CstFindingKind kind, uint64_t number, const char *what);
/** Lists the open run, if any. Call it once after the last cst_check_run_add(). */
void cst_check_run_end(CstCheckRun *run);

/** Head of every opened image. */
struct CstImage {
    const CstImageFormat *format;
    CstBlob *blob;
    CstBlob *backing; /**< NULL: no backing image */
    gboolean writable;
    uint64_t capacity;
    unsigned sector_size; /**< set by open(); 0: 512 */
};

/**
 * Returns the image of the guest's view @blob; borrowed. NULL when @blob is another blob, such as
 * the view of a plain image.
 */
CstImage *cst_guest_image(CstBlob *blob);
/** Like cst_guest_image(), but returns NULL unless the image has @format. @blob may be NULL. */
CstImage *cst_guest_image_of(CstBlob *blob, const CstImageFormat *format);

/**
 * Inspects the image as @format and fills in @inspection->info. FALSE only when the blob cannot be
 * read.
 */
gboolean cst_inspection_run(CstInspection *inspection, const CstImageFormat *format,
                            GError **error);

/**
 * Inspects an image of one file before it is opened. CORRUPT or UNSUPPORTED when the header has a
 * problem or the image is encrypted, INVALID when @how has a backing image but the image has no
 * reference to one. The caller clears *ret_info.
 */
gboolean cst_image_inspect_for_open(CstBlob *blob, const CstImageFormat *format,
                                    const CstImageOpen *how, CstImageInfo *ret_info,
                                    GError **error);

/**
 * Calls the measure() callback of measuring->format, which must have one. The caller has checked
 * the options.
 */
gboolean cst_format_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                            GError **error);
/** Returns the unit in bytes in which zeroing frees space in @image; 0: any number of bytes. */
uint64_t cst_image_zero_unit(CstImage *image);

/** Checks that @format supports every option that is set. Otherwise fails with
 * ARGUMENT_UNSUPPORTED. */
gboolean cst_image_check_create(const CstImageFormat *format, const CstImageCreate *options,
                                GError **error);

/** The formats of registry.c. No other file refers to them. */
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
