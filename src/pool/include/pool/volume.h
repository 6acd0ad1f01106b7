/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <time.h>

#include <model/declaration.h>
#include <model/vol_def.h>

/**
 * What is held for each listed volume: one small immutable record, shared by reference between the
 * pool's table, listings and a running scan. A change makes a new record. Ten thousands of them
 * are held, so what only some volumes have lives in a separate part.
 */

/** Shows cheaply whether the storage behind a record has changed since it was made. */
typedef struct {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
} CstVolumeStamp;

/** Why a file that an image names may be opened, or that it may not. */
typedef enum {
    CST_TRUST_NONE,  /**< nobody declared the reference: it is shown, and never followed */
    CST_TRUST_PLACE, /**< the image lies where only root writes; followed to other volumes */
    CST_TRUST_NAMED  /**< declared one by one: followed wherever it leads */
} CstTrust;

/** What the rarer volumes have: backing store, features, a problem. */
typedef struct {
    char *key;            /**< NULL: the same as the path */
    char *backing_path;   /**< as found in the image, made absolute; NULL: none */
    char *backing_format; /**< declared in the image; NULL: not declared */
    char *data_file;     /**< other file with the guest's data, as the image names it; NULL: none */
    const char *content; /**< the format that the content has, where it is not the declared one;
                              static; NULL: it is */
    const char *mark;    /**< how the technology marks the volume, of the type's volume_marks;
                              static; NULL: it doesn't */
    char *encryption;    /**< "luks", …; NULL: none */
    char *compat;        /**< qcow2: "1.1"; NULL: none */
    char *problem;       /**< why it can't be used; NULL: fine */
    uint64_t cluster_size;
    uint8_t backing_trust; /**< CstTrust */
    uint8_t data_trust;    /**< of data_file, and of the extents of an image of several files */
    gboolean lazy_refcounts;
    gboolean extended_l2;
    GPtrArray *extents; /**< of CstVolExtent: where it lies on devices; NULL: unknown */
    GPtrArray *options; /**< of CstPoolOption, in the type's namespace for volumes; NULL: none */
} CstVolumeExtra;

typedef enum {
    CST_VOLUME_SHARED = 1 << 0,     /**< others than root and our user can write where it lies */
    CST_VOLUME_DECLARED = 1 << 1,   /**< something is declared of its content */
    CST_VOLUME_RESTRICTED = 1 << 2, /**< its references are declared one by one */
    CST_VOLUME_FORMAT_KEPT = 1 << 3 /**< a record keeps the format that it has */
} CstVolumeFlags;

typedef struct {
    gint refs;
    uint8_t type;  /**< CstVolType */
    uint8_t flags; /**< CstVolumeFlags */
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    const char *format; /**< static string; NULL: the pool type shows none */
    uint64_t capacity;  /**< bytes */
    uint64_t allocation;
    uint64_t physical;
    CstVolumeStamp stamp;
    int64_t atime_ns;
    int64_t btime_ns;      /**< 0: unknown */
    CstVolumeExtra *extra; /**< NULL: nothing special */
    char name[];
} CstVolume;

/** Makes a record with one reference and everything else zero. @name is copied. */
CstVolume *cst_volume_new(const char *name);
/** Returns @volume, with a reference more. Any thread. */
CstVolume *cst_volume_ref(CstVolume *volume);
/** Frees it with the last reference. NULL: nothing. */
void cst_volume_unref(CstVolume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolume, cst_volume_unref)

/** Returns the extra part, made on first use; only while the record is being filled. */
CstVolumeExtra *cst_volume_extra(CstVolume *volume);

/** Returns the identity of the file behind a record; zero where it is none. */
CstFileId cst_volume_file_id(const CstVolume *volume);

/**
 * Decides for each file that the volume's image names whether it may be followed, from what
 * is declared (NULL: nothing) and from where it lies (CST_VOLUME_SHARED). Call it once the record
 * says what the image names.
 */
void cst_volume_judge(CstVolume *volume, const CstDeclaration *declaration);

/**
 * Whether both are names of one format, aliases ("vhd", "vpc") included; FALSE for unknown names.
 */
gboolean cst_volume_same_format(const char *a, const char *b);

/** Returns why the volume can't be used; NULL: it can. Borrowed. */
const char *cst_volume_problem(const CstVolume *volume);

/**
 * Whether the volume's format is that of an image, and the content has no header of it or of any
 * other image. The volume has a problem then that names the way out.
 */
gboolean cst_volume_header_is_lost(const CstVolume *volume);

/** Whether the storage behind both is the same and has not changed in between. */
gboolean cst_volume_stamp_equal(const CstVolumeStamp *a, const CstVolumeStamp *b);
