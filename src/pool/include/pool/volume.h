/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <time.h>

#include <model/vol_def.h>

/**
 * What is held for each listed volume: one small immutable record, shared by reference between the
 * pool's table, listings and a running scan. A change makes a new record. Ten thousands of them
 * are held, so what only some volumes have lives in a separate part.
 */

/** Tells cheaply whether the storage behind a record has changed since it was made. */
typedef struct {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
} CstVolumeStamp;

/** What the rarer volumes have: backing store, features, a problem. */
typedef struct {
    char *key;            /**< NULL: the same as the path */
    char *backing_path;   /**< as found in the image, made absolute; NULL: none */
    char *backing_format; /**< declared in the image; NULL: not declared */
    char *encryption;     /**< "luks", …; NULL: none */
    char *compat;         /**< qcow2: "1.1"; NULL: none */
    char *problem;        /**< why it can't be used; NULL: fine */
    uint64_t cluster_size;
    gboolean lazy_refcounts;
    gboolean extended_l2;
    GPtrArray *extents; /**< of CstVolExtent: where it lies on devices; NULL: not told */
    GPtrArray *options; /**< of CstPoolOption, in the type's namespace for volumes; NULL: none */
} CstVolumeExtra;

typedef struct {
    gint refs;
    uint8_t type; /**< CstVolType */
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

/** One reference, everything else zero. */
CstVolume *cst_volume_new(const char *name);
CstVolume *cst_volume_ref(CstVolume *volume);
void cst_volume_unref(CstVolume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolume, cst_volume_unref)

/** The extra part, made on first use; only while the record is being filled. */
CstVolumeExtra *cst_volume_extra(CstVolume *volume);

/** NULL: fine. */
const char *cst_volume_problem(const CstVolume *volume);

gboolean cst_volume_stamp_equal(const CstVolumeStamp *a, const CstVolumeStamp *b);
