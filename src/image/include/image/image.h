/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/findings.h>
#include <blob/blob.h>

/**
 * The image engine: image formats with one checked dispatcher. All calls work on blobs. The engine
 * never opens a file that an image refers to. A caller that needs a chain opens the backing blob
 * itself and passes it in.
 */

/** A format, with its name in qemu-img and libvirt's XML ("raw", "qcow2", "vpc", …). */
typedef struct CstImageFormat CstImageFormat;

/** Returns the name, such as "qcow2"; borrowed. Name and format live as long as the program. */
const char *cst_image_format_name(const CstImageFormat *format);
/**
 * Returns the name for libvirt's volume XML: "ploop" for parallels, and "raw" for formats without a
 * name there (luks, which is raw with <encryption>, and vhdx).
 */
const char *cst_image_format_xml_name(const CstImageFormat *format);
/** Returns whether the bytes of the file are the bytes of the guest, as for raw and iso. */
gboolean cst_image_format_is_plain(const CstImageFormat *format);
/** Like cst_image_format_is_plain(), for the name of a format. FALSE for NULL or an unknown
 * name. */
gboolean cst_image_name_is_plain(const char *name);
/**
 * Returns whether any bytes are a valid image of @format. Such a format is plain, and its files
 * have no mark. An iso is plain as well, but has a volume descriptor.
 */
gboolean cst_image_format_is_raw(const CstImageFormat *format);
/** Returns whether an image of @format is only an encrypted container, as for luks. */
gboolean cst_image_format_is_container(const CstImageFormat *format);
/** Returns whether an image of @format records the size of the guest's sectors. */
gboolean cst_image_format_has_sector_size(const CstImageFormat *format);
/**
 * Finds a format by name. NULL with INVALID for an unknown name. Accepts "vhd" for "vpc", "ploop"
 * for "parallels" and "host_device" for "raw".
 */
const CstImageFormat *cst_image_format_find(const char *name, GError **error);
/** Returns all formats in the order of probing, NULL-terminated; borrowed. */
const CstImageFormat *const *cst_image_formats(void);
/** Returns whether cst_image_create() supports @format. */
gboolean cst_image_format_can_create(const CstImageFormat *format);
/**
 * Returns whether cst_image_open() supports @format. It may still be UNSUPPORTED with
 * CST_IMAGE_WRITE.
 */
gboolean cst_image_format_can_open(const CstImageFormat *format);

/* --- inspecting untrusted images ----------------------------------------------------------- */

/**
 * The result of an inspection. Strings come from the image verbatim up to their first NUL. They may
 * have any bytes, UTF-8 or not, so code that prints them must escape them.
 */
typedef struct {
    const CstImageFormat *format;
    uint64_t capacity;        /**< size of the guest's disk in bytes */
    gboolean corrupt;         /**< the header is damaged or hostile; problem has the details */
    char *problem;            /**< why the image is corrupt or cannot be opened; NULL: no problem */
    char *backing;            /**< backing reference in the image, never followed */
    char *backing_format;     /**< declared in the image or certain (a VMDK's parent is a VMDK);
                                   NULL: not declared */
    gboolean backing_not_raw; /**< qed: the image declares only that the backing format is not
                                   raw, so probing is safe */
    char *data_file;  /**< external file with the guest's data, never followed: of qcow2 ("" when
                           the image has no name for it), or the first file of a VMDK descriptor */
    char *encryption; /**< "luks", "luks2", "aes"; NULL: not encrypted */
    char *compat;     /**< qcow2: "0.10" or "1.1" */
    uint64_t cluster_size; /**< bytes of a block, grain or cluster; 0: the format has no clusters */
    unsigned sector_size;  /**< vhdx: logical sector of the guest's disk, 512 or 4096; 0: the
                                format has no field for it, and the sector has 512 bytes */
    gboolean lazy_refcounts;
    gboolean extended_l2;
    gboolean dirty;          /**< not closed cleanly: tables may need a repair, or a log a replay */
    unsigned snapshots;      /**< number of internal snapshots */
    unsigned bitmaps;        /**< number of persistent bitmaps, from the header, not verified */
    char *compression;       /**< "zlib", "zstd" */
    unsigned refcount_bits;  /**< qcow2; 0: the format has no refcounts */
    gboolean marked_corrupt; /**< qcow2: a program that found damage has marked the image */
    gboolean data_file_raw;  /**< qcow2: the data file alone reads like the guest's disk */
    gboolean has_cid;        /**< vmdk: cid and parent_cid are known */
    uint32_t cid;            /**< changes with the content */
    uint32_t parent_cid;     /**< cid of the parent when the image was made; 0xffffffff: no
                                  parent */
    char *subformat;         /**< "monolithicSparse", "dynamic", "fixed", … */
} CstImageInfo;

/** Frees the members of @info, not @info itself. */
void cst_image_info_clear(CstImageInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstImageInfo, cst_image_info_clear)

/** Number of bytes at the start of a file for probing. A scanner may read them itself. */
#define CST_IMAGE_PROBE_LEN 4096

/**
 * Guesses the format from the first bytes alone. Never returns NULL ("raw" when no format matches).
 * Pure. Recognises the formats of libvirt's probe (storage_file_probe.c), with these differences:
 *
 * - vhdx, luks, VMDK's text descriptors and COWD extents are recognised as well, because their
 *   content is no raw disk, and qemu probes them alike;
 * - a magic number at the start has priority over an ISO 9660 one at 32 KiB (libvirt: the reverse),
 *   because in an image of small clusters the guest controls the bytes at 32 KiB;
 * - a magic number with an unknown version, or without a header, is of its format, with a problem
 *   (libvirt: raw), because an unreadable image is no empty disk;
 * - bochs, cloop and dmg are never guessed.
 *
 * ISO 9660 is recognised only with a @len of 33 KiB. A fixed VHD has only a footer at its end.
 * cst_image_inspect() reads both places itself.
 */
const CstImageFormat *cst_image_probe(const uint8_t *head, size_t len, uint64_t size);

/**
 * Describes an untrusted image with bounded memory (at most 200 KiB). Reads only @blob. A NULL
 * @format is probed first. A damaged image is not an error: ret_info->corrupt and ->problem report
 * it, and the other members have the readable values. FALSE only when the blob cannot be read. Raw
 * costs three reads, qcow2 one.
 */
gboolean cst_image_inspect(CstBlob *blob, const CstImageFormat *format, CstImageInfo *ret_info,
                           GError **error);

/** One of the files of an image. */
typedef struct {
    char *file;            /**< name in the image; NULL: the image's own file, or no file */
    const char *kind;      /**< type of a VMDK extent: "SPARSE", "FLAT", …; "": unknown. Static
                                string */
    uint64_t capacity;     /**< bytes of the guest */
    uint64_t cluster_size; /**< 0: unknown until it is opened */
    gboolean compressed;
} CstImagePart;

/** Frees @part and its name. @part may be NULL. */
void cst_image_part_free(CstImagePart *part);

/**
 * Lists the files of an untrusted image of several files, as an array of CstImagePart pointers,
 * which the array frees. NULL without an error for formats with a single file. Opens no file of the
 * list.
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
 * Opens and creates the files of an image of several files (vmdk extents, a qcow2 external data
 * file). The engine never opens a file by itself. It calls these functions with the name in the
 * image, and the caller decides.
 */
typedef struct {
    /** Opens @name and returns a new reference. NULL when it is missing, or not allowed
     * (DENIED). */
    CstBlob *(*open)(const char *name, gboolean writable, gpointer data, GError **error);
    /** Creates an empty file in the image's directory. EXISTS when the file exists. NULL: creation
     * is unsupported. */
    CstBlob *(*create)(const char *name, gpointer data, GError **error);
    gpointer data; /**< must outlive the image, which may call again when it grows */
} CstImageFiles;

/** Options of a new image. An option that the format does not support is ARGUMENT_UNSUPPORTED when
 * set. */
typedef struct {
    uint64_t capacity; /**< bytes; rounded up to 512, except for raw */
    CstPreallocation preallocation;
    const char *backing;        /**< text to store as the reference; NULL: no backing image */
    const char *backing_format; /**< required with backing */
    CstBlob *backing_guest;     /**< guest view of the backing image, for formats that store its
                                     identity; never written to. vmdk requires it with backing.
                                     Without it vpc and vhdx cannot detect a replaced backing
                                     image */
    const char *file_name; /**< vmdk: final name of the image without directory, which it stores
                                and names its extents after; NULL: the blob's name */
    const char *compat;    /**< qcow2: "0.10" or "1.1"; NULL = "1.1" */
    uint64_t cluster_size; /**< 0: the format's default */
    gboolean lazy_refcounts;
    gboolean extended_l2;
    const char *data_file;      /**< qcow2: name of a file for the guest's bytes, which @files
                                     creates; NULL: they are in the image */
    gboolean data_file_raw;     /**< that file alone reads like the guest's disk */
    const char *compression;    /**< qcow2: "zlib" or "zstd", for clusters compressed later */
    unsigned refcount_bits;     /**< qcow2: 1, 2, 4 … 64; 0 = 16 */
    unsigned table_size;        /**< qed: clusters of a table, 1, 2, 4, 8 or 16; 0 = 4 */
    const char *subformat;      /**< "fixed", "monolithicSparse", …; NULL: the format's default */
    uint64_t block_size;        /**< vhdx: bytes; 0: chosen by capacity */
    unsigned sector_size;       /**< vhdx: 512 or 4096; 0 = 512 */
    gboolean round_size;        /**< vpc: round the capacity up to whole cylinders */
    const char *adapter_type;   /**< vmdk: "ide", "lsilogic", …; NULL: "ide" */
    const char *hw_version;     /**< vmdk: version of the virtual hardware, a number; NULL: "4" */
    gboolean zeroed_grain;      /**< vmdk: tables may mark grains as zero */
    uint64_t log_size;          /**< vhdx: bytes of the log, rounded up to 1 MiB; 0: 1 MiB */
    const CstImageFiles *files; /**< creates the files of a vmdk of several files, or the data
                                     file of qcow2; NULL: such images are refused */
} CstImageCreate;

/**
 * Writes a new empty image onto @blob, and replaces existing content without reading it. The image
 * reads as zeroes, or as its backing image. The caller flushes the blob for durability. @task
 * advances by the capacity when space is preallocated.
 */
gboolean cst_image_create(CstBlob *blob, const CstImageFormat *format,
                          const CstImageCreate *options, CstTask *task, GError **error);

/* --- opening ------------------------------------------------------------------------------- */

typedef struct CstImage CstImage;

typedef enum {
    CST_IMAGE_WRITE = 1 << 0,
    /**
     * Issue no write barriers. For an image that is deleted when the work on it fails (a volume
     * being created). After cst_image_flush() all data is still on the disk.
     */
    CST_IMAGE_NO_BARRIERS = 1 << 1,
    /**
     * All writes will leave the guest's content unchanged (content copied from the backing image,
     * zeroes freed), so the image's dirty bitmaps stay valid. A backing image is accepted even
     * without a backing reference in the image.
     */
    CST_IMAGE_SAME_CONTENT = 1 << 2,
    /**
     * For lists of snapshots and bitmaps: the data file of a qcow2 image stays closed, and the
     * guest's bytes cannot be read.
     */
    CST_IMAGE_NO_DATA = 1 << 3
} CstImageOpenFlags;

/** How to open an image. */
typedef struct {
    unsigned flags;             /**< CstImageOpenFlags */
    CstBlob *backing;           /**< guest view of the backing image; NULL: not available */
    const CstImageFiles *files; /**< for images of several files; NULL: such images are refused */
    const char *snapshot;       /**< show the content of this snapshot, for reading only;
                                     NOT_FOUND. NULL: the present content */
} CstImageOpen;

/**
 * Opens @blob as @format, without probing. The image references the blob.
 *
 * how->backing is the guest view of the backing image, which the caller has opened, if the image
 * has a backing reference. The image references it. It may be shorter or longer than the image.
 * MISMATCH when the image records another identity of its backing image (vmdk, vpc, vhdx). Without
 * it such an image opens, but content of the backing image cannot be read (INVALID), nor partly
 * overwritten.
 *
 * Opening for writing repairs a QED or Parallels image, or a qcow2 image with lazy refcounts, that
 * was not closed cleanly. STATE when damage remains, or when the image is marked as corrupt.
 *
 * UNSUPPORTED for formats that can only be described, for read-only formats with WRITE, for unknown
 * features, for encrypted images (qcow2: when the content is read or written), and for a qcow2
 * image with an external data file, unless how->files opens it ("": the image has no name for it),
 * for writing as well with WRITE. CORRUPT when the image is damaged.
 */
CstImage *cst_image_open_as(CstBlob *blob, const CstImageFormat *format, const CstImageOpen *how,
                            GError **error);
/** Like cst_image_open_as(), for an image of one file. */
CstImage *cst_image_open(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                         CstBlob *backing, GError **error);
/**
 * Writes out cached changes and closes the image. @image may be NULL. Errors are lost, so call
 * cst_image_flush() before.
 */
void cst_image_free(CstImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstImage, cst_image_free)

/** Default size of a disk's logical sector in bytes. */
#define CST_SECTOR_SIZE 512u

/** Returns the size of the guest's disk in bytes. */
uint64_t cst_image_capacity(CstImage *image);
/** Returns the size of the disk's logical sector in bytes: 512, or 4096 for a VHDX image that
 * records it. */
unsigned cst_image_sector_size(CstImage *image);
/** Like cst_image_sector_size(), for a guest's view. 512 for a blob that is no view of an image. */
unsigned cst_guest_sector_size(CstBlob *guest);

/**
 * Returns the guest's view as a blob (reads, writes, extents, zero, discard, flush), so that one
 * copy loop serves every pair of formats. Consumes @image, which is freed with the blob. The last
 * unref writes out cached changes that cst_blob_flush() has not. Any number of threads may use the
 * blob, but not during a resize. For raw it is the physical blob, so copies between raw images
 * share extents if possible.
 */
CstBlob *cst_image_guest_blob(CstImage *image);

/**
 * Makes all earlier writes durable. When it returns, they survive a power cut and are found when
 * the image is opened again.
 */
gboolean cst_image_flush(CstImage *image, GError **error);

/**
 * Returns the number of bytes for each call of cst_image_write_compressed(); 0: the image cannot be
 * compressed.
 */
uint64_t cst_image_compression_unit(CstImage *image);
/**
 * Writes one unit compressed, or uncompressed if compression saves no space. @offset is a multiple
 * of the unit. The last unit may be shorter at the end of the image. Compression takes most of the
 * time and needs no lock, so call it from as many threads as processors. UNSUPPORTED when the image
 * or its format cannot be compressed.
 */
gboolean cst_image_write_compressed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                                    GError **error);

/**
 * Changes the size of the guest's disk (rounded up to 512, except for raw). Shrinking discards data
 * without further confirmation. Added bytes read as zeroes, even if a longer backing image has data
 * there. @preallocation applies to the added bytes. Dirty bitmaps follow the size, as in QEMU, and
 * added bytes are clean. UNSUPPORTED when the image has snapshots or bitmaps of an unknown kind
 * that would not survive the change. No thread may read or write the guest's bytes during the call.
 */
gboolean cst_image_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                          CstTask *task, GError **error);

/* --- checking -------------------------------------------------------------------------------- */

typedef enum {
    CST_CHECK_REPAIR_LEAKS = 1 << 0,
    CST_CHECK_REPAIR_ALL = 1 << 1 /**< leaks and errors */
} CstCheckFlags;

/** The result of a check, counted as by qemu-img check. Numbers of clusters (blocks, grains). */
typedef struct {
    uint64_t errors;       /**< inconsistencies that can lose or have lost data */
    uint64_t leaks;        /**< allocated space without a reference */
    uint64_t errors_fixed; /**< number of repaired errors */
    uint64_t leaks_fixed;
    uint64_t total_clusters; /**< of the guest's view */
    uint64_t allocated_clusters;
    uint64_t fragmented_clusters;
    uint64_t compressed_clusters;
    uint64_t image_end;    /**< offset of the end of the space in use, in bytes */
    CstFindings *findings; /**< borrowed: list of the errors and leaks; NULL: count only */
} CstImageCheck;

/**
 * Verifies all metadata of @blob as @format, and makes the repairs of @flags. Damage of the image
 * is not a failure. FALSE when the check is impossible (UNSUPPORTED: the format has no check;
 * CORRUPT: too damaged for a walk). @blob must be writable to repair.
 *
 * The extents of an image of several files are checked and repaired as well. @files opens them
 * (NULL: such images are refused). Their numbers are added up, and image_end is 0. A plain extent
 * that is too short is one error, and its repair extends the file to the required length.
 */
gboolean cst_image_check_as(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                            const CstImageFiles *files, CstImageCheck *ret_check, CstTask *task,
                            GError **error);
/**
 * Checks like cst_image_check_as(), for a caller that shows the errors. After a repair that changed
 * the image, the image is checked a second time, and the remaining errors and leaks come from the
 * second check. @findings lists them (NULL: count only).
 */
gboolean cst_image_check_list(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                              const CstImageFiles *files, CstFindings *findings,
                              CstImageCheck *ret_check, CstTask *task, GError **error);
/** Like cst_image_check_as(), for images of one file. */
gboolean cst_image_check(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                         CstImageCheck *ret_check, CstTask *task, GError **error);
