/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <time.h>

#include <model/declaration.h>
#include <model/vol_def.h>

/**
 * The record of a listed volume. Records are small and immutable, and are shared by reference
 * between the pool's table, listings and a running scan. A change makes a new record. A pool may
 * have tens of thousands of records, so rare properties are in a separate part.
 */

/** Detects cheaply whether the storage of a record has changed since the record was made. */
typedef struct {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
} CstVolumeStamp;

/** Why a file that an image references may be opened, or that it may not. */
typedef enum {
    CST_TRUST_NONE,  /**< the reference is not declared: it is shown, and never followed */
    CST_TRUST_PLACE, /**< the image is in a place where only root writes; followed to other
                          volumes */
    CST_TRUST_NAMED  /**< declared individually: followed to any file */
} CstTrust;

/** Rare properties of a volume: backing store, features, a problem. */
typedef struct {
    char *key;            /**< NULL: the same as the path */
    char *backing_path;   /**< from the image, made absolute; NULL: no backing file */
    char *backing_format; /**< declared in the image; NULL: not declared */
    char *data_file;      /**< external data file, as the image names it; NULL: no data file */
    const char *content;  /**< format of the content if it differs from the declared format; static;
                               NULL: it does not differ */
    const char *mark;     /**< the technology's mark of the volume, of the type's volume_marks;
                               static; NULL: unmarked */
    char *encryption;     /**< "luks", …; NULL: not encrypted */
    const char *compat;   /**< qcow2: "1.1"; interned; NULL: not applicable */
    char *problem;        /**< why the volume cannot be used; NULL: it can */
    uint64_t cluster_size;
    uint32_t snapshots;     /**< number of snapshots in the image's header */
    uint8_t backing_trust;  /**< CstTrust */
    uint8_t data_trust;     /**< of data_file, and of the extents of an image of several files */
    uint8_t lazy_refcounts; /**< gboolean */
    uint8_t extended_l2;    /**< gboolean */
    GPtrArray *extents;     /**< of CstVolExtent: its location on devices; NULL: unknown */
    GPtrArray *options;     /**< of CstPoolOption, in the type's namespace for volumes; NULL: no
                                 options */
} CstVolumeExtra;

typedef enum {
    CST_VOLUME_SHARED = 1 << 0,     /**< users other than root and our user can write to its
                                         directory */
    CST_VOLUME_DECLARED = 1 << 1,   /**< its content has a declaration */
    CST_VOLUME_RESTRICTED = 1 << 2, /**< its references are declared individually */
    CST_VOLUME_FORMAT_KEPT = 1 << 3 /**< the format is recorded */
} CstVolumeFlags;

typedef struct {
    gint refs;
    uint8_t type;         /**< CstVolType */
    uint8_t flags;        /**< CstVolumeFlags */
    uint8_t shares_extra; /**< gboolean: other records have the same @extra */
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    const char *format; /**< static string; NULL: the pool type has no formats */
    uint64_t capacity;  /**< bytes */
    uint64_t allocation;
    uint64_t physical;
    CstVolumeStamp stamp;
    int64_t atime_ns;
    int64_t btime_ns;      /**< 0: unknown */
    CstVolumeExtra *extra; /**< NULL: no rare properties */
    char name[];
} CstVolume;

/** Makes a record with one reference and all other members zero. @name is copied. */
CstVolume *cst_volume_new(const char *name);
/** Returns @volume with a new reference. Any thread. */
CstVolume *cst_volume_ref(CstVolume *volume);
/** Drops a reference; the last one frees the record. Accepts NULL. */
void cst_volume_unref(CstVolume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolume, cst_volume_unref)

/**
 * Returns the extra part, created on first use. Call it only while the record is being filled in.
 */
CstVolumeExtra *cst_volume_extra(CstVolume *volume);

/**
 * Shares the extra part with other records of images that have the same properties, if it is the
 * part of an image without references, snapshots and problems. Most images of a pool are such, and
 * the part would take half of their memory. Call it when the part has its properties.
 * cst_volume_extra() then makes a part of the record's own again.
 */
void cst_volume_share_extra(CstVolume *volume);

/**
 * Returns the bytes to which the volume can grow: its capacity, or its allocation if that is
 * larger, and the capacity once more for each snapshot inside of the image. Snapshots that the
 * pool's technology keeps are not included. At most INT64_MAX.
 */
uint64_t cst_volume_promise(const CstVolume *volume);
/** Returns the promise that the volume would have with the capacity @capacity. */
uint64_t cst_volume_promise_at(const CstVolume *volume, uint64_t capacity);

/** Returns the identity of the file of a record; zero if the volume is not a file. */
CstFileId cst_volume_file_id(const CstVolume *volume);

/**
 * Decides for each file that the volume's image references whether it may be followed. The decision
 * uses @declaration (may be NULL) and the place of the image (CST_VOLUME_SHARED). Call it after the
 * record has the references of the image.
 */
void cst_volume_judge(CstVolume *volume, const CstDeclaration *declaration);

/**
 * Whether both are names of one format, including aliases ("vhd", "vpc"). FALSE for unknown names.
 */
gboolean cst_volume_same_format(const char *a, const char *b);

/**
 * Returns the path of the base as the volume's document shows it. Returns NULL if there is no base,
 * or if its reference is not declared. The caller frees it.
 */
char *cst_volume_backing(const CstVolume *volume);

/** Returns why the volume cannot be used, borrowed; NULL if it can. */
const char *cst_volume_problem(const CstVolume *volume);

/**
 * Whether the volume has an image format, but its content has no header of that or another image
 * format. The volume then has a problem that names a remedy.
 */
gboolean cst_volume_header_is_lost(const CstVolume *volume);

/** Whether both stamps are of the same storage without a change in between. */
gboolean cst_volume_stamp_equal(const CstVolumeStamp *a, const CstVolumeStamp *b);
