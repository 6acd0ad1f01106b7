/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/findings.h>
#include <blob/blob.h>

/**
 * The image engine: formats behind one checked dispatch. Everything works over blobs; nothing here
 * opens a file that an image points to: whoever wants a chain opens the backing blob itself and
 * hands it over.
 */

/** A format, by its name as qemu-img and libvirt's XML spell it ("raw", "qcow2", "vpc", …). */
typedef struct CstImageFormat CstImageFormat;

/** "qcow2"; borrowed, and lives as long as the program, as formats do. */
const char *cst_image_format_name(const CstImageFormat *format);
/**
 * The name for libvirt's volume XML, whose list is closed: "ploop" for parallels, "raw" for what it
 * has no word for (luks, which is raw with <encryption>, and vhdx).
 */
const char *cst_image_format_xml_name(const CstImageFormat *format);
/** Returns whether the bytes of the file are the bytes of the guest, as for raw and iso. */
gboolean cst_image_format_is_plain(const CstImageFormat *format);
/** The same for the name of a format; FALSE for NULL or an unknown name. */
gboolean cst_image_name_is_plain(const char *name);
/**
 * Returns whether any bytes are an image of @format: a plain format of which nothing in a file
 * shows that it is one. An iso is plain as well, but has a volume descriptor.
 */
gboolean cst_image_format_is_raw(const CstImageFormat *format);
/** Returns whether an image is an encrypted container and nothing else, as for luks. */
gboolean cst_image_format_is_container(const CstImageFormat *format);
/** Returns whether an image of @format records the size of the guest's sectors. */
gboolean cst_image_format_has_sector_size(const CstImageFormat *format);
/**
 * Finds a format by name; NULL with INVALID for an unknown one. Accepts "vhd" for "vpc", "ploop"
 * for "parallels" and "host_device" for "raw".
 */
const CstImageFormat *cst_image_format_find(const char *name, GError **error);
/** Returns all formats in the order in which they are probed, NULL-terminated; borrowed. */
const CstImageFormat *const *cst_image_formats(void);
/** Returns whether cst_image_create() knows @format. */
gboolean cst_image_format_can_create(const CstImageFormat *format);
/**
 * Returns whether cst_image_open() knows @format; it may still be UNSUPPORTED with CST_IMAGE_WRITE.
 */
gboolean cst_image_format_can_open(const CstImageFormat *format);

/* --- inspecting untrusted images ----------------------------------------------------------- */

/**
 * What an image says of itself. Strings come from the image verbatim up to their first NUL: they
 * may hold any bytes, UTF-8 or not, and whoever prints them escapes them.
 */
typedef struct {
    const CstImageFormat *format;
    uint64_t capacity;    /**< bytes the guest sees */
    gboolean corrupt;     /**< the header is damaged or hostile; problem says how */
    char *problem;        /**< why the image is corrupt or can't be opened; NULL: none */
    char *backing;        /**< reference found in the image, never followed */
    char *backing_format; /**< declared in the image or certain (a VMDK's parent is a VMDK); NULL:
                             not */
    gboolean backing_not_raw; /**< qed: the format is not declared, but that it is another one than
                                   raw, so that looking at the content can't be deceived */
    char *data_file;  /**< external file with the guest's data, never followed: of qcow2 ("" when
                           the image does not name it), or the first one of a VMDK descriptor */
    char *encryption; /**< "luks", "luks2", "aes"; NULL: none */
    char *compat;     /**< qcow2: "0.10" or "1.1" */
    uint64_t cluster_size; /**< bytes per block, grain or cluster; 0: not a notion of the format */
    unsigned sector_size;  /**< vhdx: logical sector of the guest's disk, 512 or 4096; 0: not a
                                notion of the format, and the sector has 512 bytes */
    gboolean lazy_refcounts;
    gboolean extended_l2;
    gboolean dirty;          /**< not closed cleanly: tables may need repair, or a log a replay */
    unsigned snapshots;      /**< internal ones */
    unsigned bitmaps;        /**< persistent ones; a number from the header, not believed yet */
    char *compression;       /**< "zlib", "zstd" */
    unsigned refcount_bits;  /**< qcow2; 0: not a notion of the format */
    gboolean marked_corrupt; /**< qcow2: a program that found damage said so */
    gboolean data_file_raw;  /**< qcow2: the data file alone reads as the guest's disk does */
    gboolean has_cid;        /**< vmdk: what follows is known */
    uint32_t cid;            /**< changes with the content */
    uint32_t parent_cid;     /**< what it was of the parent; 0xffffffff: none */
    char *subformat;         /**< "monolithicSparse", "dynamic", "fixed", … */
} CstImageInfo;

/** Frees what is in @info, not @info itself. */
void cst_image_info_clear(CstImageInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstImageInfo, cst_image_info_clear)

/** The first bytes of a file that probing needs. A scanner may read them itself. */
#define CST_IMAGE_PROBE_LEN 4096

/**
 * Guesses the format from the first bytes alone; never NULL ("raw" when nothing matches). Pure.
 * What is recognised is what libvirt's probe recognises (storage_file_probe.c), with these
 * differences:
 *
 * - vhdx, luks and VMDK's text descriptors and COWD extents are recognised as well: what is inside
 *   is no raw disk, and qemu sees the same there;
 * - a magic number at the start wins over an ISO 9660 one at 32 KiB (libvirt: the other way round),
 *   because in an image of small clusters the guest decides what is at 32 KiB;
 * - a magic number before a version that there is not, or before nothing, is of its format, with a
 *   problem (libvirt: raw): what has become unreadable is no empty disk;
 * - bochs, cloop and dmg are never guessed.
 *
 * ISO 9660 shows only with @len of 33 KiB, and a fixed VHD has nothing but a footer at its end.
 * cst_image_inspect() reads both places by itself.
 */
const CstImageFormat *cst_image_probe(const uint8_t *head, size_t len, uint64_t size);

/**
 * Describes an untrusted image: bounded memory (at most 200 KiB), reads only @blob. @format NULL:
 * probe first. A damaged image is not an error: ret_info->corrupt and ->problem say so, with what
 * could be read. FALSE only when the blob can't be read. Raw costs three reads, qcow2 one.
 */
gboolean cst_image_inspect(CstBlob *blob, const CstImageFormat *format, CstImageInfo *ret_info,
                           GError **error);

/** One of the files that an image consists of. */
typedef struct {
    char *file;            /**< as the image names it; NULL: the image's own file, or none at all */
    const char *kind;      /**< of a VMDK extent: "SPARSE", "FLAT", …; "": unknown. Static */
    uint64_t capacity;     /**< bytes of the guest */
    uint64_t cluster_size; /**< 0: not known without opening it */
    gboolean compressed;
} CstImagePart;

/** Frees @part and its name; NULL is allowed. */
void cst_image_part_free(CstImagePart *part);

/**
 * What an untrusted image of several files says of them, as an array of CstImagePart pointers that
 * frees them; NULL without an error for formats that are one file. Opens none of them.
 */
GPtrArray *cst_image_inspect_parts(CstBlob *blob, const CstImageFormat *format, GError **error);

/* --- creating ------------------------------------------------------------------------------ */

typedef enum {
    CST_PREALLOC_OFF,
    CST_PREALLOC_METADATA,
    CST_PREALLOC_FALLOC,
    CST_PREALLOC_FULL
} CstPreallocation;

/**
 * Some images are several files (vmdk extents, a qcow2 external data file). The engine never opens
 * one by itself: it asks here, with the name as the image has it, and the caller decides.
 */
typedef struct {
    /** Opens @name; a new reference. NULL when it is missing, or not allowed (DENIED). */
    CstBlob *(*open)(const char *name, gboolean writable, gpointer data, GError **error);
    /** Creates an empty file beside the image's; EXISTS when there is one. NULL: can't. */
    CstBlob *(*create)(const char *name, gpointer data, GError **error);
    gpointer data; /**< must live as long as the image, which may ask again when it grows */
} CstImageFiles;

/** An option that the format does not know is ARGUMENT_UNSUPPORTED when set. */
typedef struct {
    uint64_t capacity; /**< bytes; rounded up to 512, except for raw */
    CstPreallocation preallocation;
    const char *backing;        /**< text to store as the reference; NULL: none */
    const char *backing_format; /**< must come with backing */
    CstBlob *backing_guest;     /**< guest view of the backing image, for formats that store its
                                   identity (vmdk: needed with backing; vpc, vhdx: without, nobody
                                   notices when another one is put in its place); never written to */
    const char *file_name; /**< vmdk: the name that the image will have, without directory, which
                                it stores and names its extents after; NULL: the blob's */
    const char *compat;    /**< qcow2: "0.10" or "1.1"; NULL = "1.1" */
    uint64_t cluster_size; /**< 0: the format's default */
    gboolean lazy_refcounts;
    gboolean extended_l2;
    const char *data_file;    /**< qcow2: name of a file for the guest's bytes, which @files makes;
                                   NULL: they are in the image */
    gboolean data_file_raw;   /**< that file alone reads as the guest's disk does */
    const char *compression;  /**< qcow2: "zlib" or "zstd", for clusters compressed later */
    unsigned refcount_bits;   /**< qcow2: 1, 2, 4 … 64; 0 = 16 */
    unsigned table_size;      /**< qed: clusters of a table, 1, 2, 4, 8 or 16; 0 = 4 */
    const char *subformat;    /**< "fixed", "monolithicSparse", …; NULL: the format's default */
    uint64_t block_size;      /**< vhdx: bytes; 0: chosen by capacity */
    unsigned sector_size;     /**< vhdx: 512 or 4096; 0 = 512 */
    gboolean round_size;      /**< vpc: round the capacity up to whole cylinders */
    const char *adapter_type; /**< vmdk: "ide", "lsilogic", …; NULL: "ide" */
    const char *hw_version;   /**< vmdk: of the virtual hardware, a number; NULL: "4" */
    gboolean zeroed_grain;    /**< vmdk: grains may be marked as zero in the tables */
    uint64_t log_size;        /**< vhdx: bytes of its log, rounded up to 1 MiB; 0: 1 MiB */
    const CstImageFiles *files; /**< vmdk of several files, data file of qcow2: how to make them;
                                     NULL: refused */
} CstImageCreate;

/**
 * Writes a new empty image onto @blob (existing content is ignored and replaced). It reads as
 * zeroes, or as its backing image. The caller flushes the blob when it wants it durable. @task
 * advances by capacity in all when space is preallocated.
 */
gboolean cst_image_create(CstBlob *blob, const CstImageFormat *format,
                          const CstImageCreate *options, CstTask *task, GError **error);

/* --- opening ------------------------------------------------------------------------------- */

typedef struct CstImage CstImage;

typedef enum {
    CST_IMAGE_WRITE = 1 << 0,
    /**
     * No write barriers: for an image that is thrown away when the work on it does not finish (a
     * volume being made). cst_image_flush() still ends with everything on the disk.
     */
    CST_IMAGE_NO_BARRIERS = 1 << 1,
    /**
     * What is going to be written is what the guest sees anyway (the backing image's content copied
     * up, zeroes given up), so the image's dirty bitmaps stay valid. A backing is accepted even
     * when the image names none.
     */
    CST_IMAGE_SAME_CONTENT = 1 << 2,
    /**
     * For lists of snapshots and bitmaps: a qcow2 image's data file stays closed, and the guest's
     * bytes can't be read.
     */
    CST_IMAGE_NO_DATA = 1 << 3
} CstImageOpenFlags;

/** How to open an image. */
typedef struct {
    unsigned flags;             /**< CstImageOpenFlags */
    CstBlob *backing;           /**< guest view of the backing image; NULL: none at hand */
    const CstImageFiles *files; /**< for images of several files; NULL: such are refused */
    const char *snapshot;       /**< show what this one of its snapshots holds, for reading only;
                                   NOT_FOUND. NULL: what the image holds now */
} CstImageOpen;

/**
 * Opens @blob as @format (never guessed); the image references the blob. @backing, if the image has
 * a backing reference, is the guest view of the backing image, already opened by the caller, and
 * is referenced; it may be shorter or longer than the image. MISMATCH when the image records
 * another identity of its backing image (vmdk, vpc, vhdx). Without @backing such an image opens,
 * but what it does not hold itself can't be read (INVALID), nor partly overwritten.
 *
 * A QED or Parallels image, or a qcow2 image with lazy refcounts, that was not closed cleanly is
 * repaired when it is opened for writing; what is left of its damage then is STATE.
 *
 * Formats that are only read are UNSUPPORTED with WRITE, and so are those that can only be
 * described, with or without. Unknown features and encryption with WRITE or read are UNSUPPORTED,
 * and so is a qcow2 image whose data are in an external file, unless how->files opens that ("": the
 * image does not name it), for writing as well with WRITE; an image that is marked as corrupt and
 * opened for writing is STATE; a damaged one CORRUPT.
 */
CstImage *cst_image_open_as(CstBlob *blob, const CstImageFormat *format, const CstImageOpen *how,
                            GError **error);
/** The same for an image of one file. */
CstImage *cst_image_open(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                         CstBlob *backing, GError **error);
/**
 * Writes out cached changes and closes; NULL is allowed. Errors are lost: call cst_image_flush()
 * before to see them.
 */
void cst_image_free(CstImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstImage, cst_image_free)

/** Bytes of a disk's logical sector, unless the image records another size. */
#define CST_SECTOR_SIZE 512u

/** Returns the size in bytes that the guest sees. */
uint64_t cst_image_capacity(CstImage *image);
/** Returns the bytes of the disk's logical sector: 512, or 4096 for a VHDX image that says so. */
unsigned cst_image_sector_size(CstImage *image);
/** The same for a guest's view; 512 for a blob that is no view of an image. */
unsigned cst_guest_sector_size(CstBlob *guest);

/**
 * The guest's view as a blob (reads, writes, extents, zero, discard, flush), so that one copy loop
 * serves every pair of formats. Takes over @image: it is freed with the blob, whose last unref
 * writes out what cst_blob_flush() has not. Many threads may use it; resizing is not among them.
 * For raw it is the physical blob, so copies between raw images share extents where possible.
 */
CstBlob *cst_image_guest_blob(CstImage *image);

/**
 * Returns when all that was written before survives a power cut, and is found when the image is
 * opened again.
 */
gboolean cst_image_flush(CstImage *image, GError **error);

/**
 * Returns the number of bytes that cst_image_write_compressed() takes at a time; 0: the image can't
 * be compressed.
 */
uint64_t cst_image_compression_unit(CstImage *image);
/**
 * Writes one unit (at a multiple of it; what is left at the end of the image) compressed, or as it
 * is when that would not save anything. Compressing takes most of the time and no lock: call from
 * as many threads as there are processors. UNSUPPORTED where the image or its format can't.
 */
gboolean cst_image_write_compressed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                                    GError **error);

/**
 * Changes the guest-visible size (rounded up to 512, except for raw); shrinking cuts data off and
 * the caller has asked for it. What is added reads as zeroes, whatever a longer backing image holds
 * there.
 * @preallocation is for what is added. Dirty bitmaps follow the size, as in QEMU: what is added is
 * not dirty. UNSUPPORTED when the image's snapshots could not survive it, or bitmaps of an unknown
 * kind. Nobody may read or write the guest's bytes meanwhile.
 */
gboolean cst_image_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                          CstTask *task, GError **error);

/* --- checking -------------------------------------------------------------------------------- */

typedef enum {
    CST_CHECK_REPAIR_LEAKS = 1 << 0,
    CST_CHECK_REPAIR_ALL = 1 << 1 /**< leaks and errors */
} CstCheckFlags;

/** What a check found, as qemu-img check counts it. Numbers of clusters (blocks, grains). */
typedef struct {
    uint64_t errors;       /**< inconsistencies that can lose or have lost data */
    uint64_t leaks;        /**< space that nothing refers to */
    uint64_t errors_fixed; /**< of those, repaired */
    uint64_t leaks_fixed;
    uint64_t total_clusters; /**< of the guest's view */
    uint64_t allocated_clusters;
    uint64_t fragmented_clusters;
    uint64_t compressed_clusters;
    uint64_t image_end; /**< bytes: the end of what is in use */
    CstFindings
        *findings; /**< borrowed: list of the errors and leaks; NULL: they are only counted */
} CstImageCheck;

/**
 * Verifies all metadata of @blob as @format, and repairs what @flags ask for. Finding damage is
 * not a failure; FALSE means that the check could not be done (UNSUPPORTED: the format has none;
 * CORRUPT: too damaged to be walked). @blob must be writable to repair.
 *
 * The extents of an image of several files are checked and repaired as well: @files opens them
 * (NULL: such images are refused). Their numbers are added up, image_end is 0, and a plain extent
 * that is too short is one error, whose repair makes it as long as it has to be.
 */
gboolean cst_image_check_as(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                            const CstImageFiles *files, CstImageCheck *ret_check, CstTask *task,
                            GError **error);
/**
 * Checks as cst_image_check_as() does, for a caller that shows what is wrong: after a repair that
 * changed something the image is checked a second time, and the remaining errors and leaks are
 * those of the second check. @findings lists them (NULL: they are only counted).
 */
gboolean cst_image_check_list(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                              const CstImageFiles *files, CstFindings *findings,
                              CstImageCheck *ret_check, CstTask *task, GError **error);
/** cst_image_check_as() for images of one file. */
gboolean cst_image_check(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                         CstImageCheck *ret_check, CstTask *task, GError **error);
