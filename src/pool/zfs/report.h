/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * Parses the reports of zfs and zpool with -H and -p: lines of fields, separated by tabs, with
 * exact numbers. A report is accepted only as a whole: an invalid line makes it CORRUPT. A parsed
 * report is immutable. The parsers are pure; any thread.
 */

/** A file system or a volume. */
typedef struct {
    char *name;         /**< full name of the dataset, "tank/vm/disk" */
    gboolean is_volume; /**< FALSE: a file system; its sizes are 0 */
    char *guid;
    uint64_t available;  /**< bytes that could be written to it */
    uint64_t referenced; /**< bytes of its content */
    uint64_t size;       /**< of the device, in bytes */
    uint64_t reserved;   /**< reserved bytes */
    uint64_t block;      /**< volblocksize */
    char *compression;
    char *origin; /**< origin of a clone, the snapshot "tank/vm/disk@snap"; NULL: not a clone */
    char *encryption_root; /**< dataset with its encryption key; NULL: not encrypted */
    gboolean locked;       /**< the key is not loaded */
    char *replaces;        /**< our own mark on a draft (swap.c); NULL: no mark */
} ZfsDataset;

/** The fields of a line, for zfs list -o. */
#define ZFS_DATASET_FIELDS                                                     \
    "name,type,guid,available,referenced,volsize,refreservation,volblocksize," \
    "compression,origin,encryptionroot,keystatus," ZFS_REPLACES
/** The property of the mark. */
#define ZFS_REPLACES "cistern:replaces"

/**
 * Parses the lines of zfs list. Returns an array of ZfsDataset, which frees its elements. CORRUPT.
 */
GPtrArray *zfs_datasets_parse(const char *text, GError **error);
/** Returns the dataset of that name, borrowed; NULL if it does not exist. */
const ZfsDataset *zfs_datasets_find(const GPtrArray *datasets, const char *name);

/** A snapshot, or a bookmark, which records the transaction group of a snapshot. */
typedef struct {
    char *dataset;     /**< dataset of the snapshot */
    char *name;        /**< after the '@' or the '#' */
    gboolean bookmark; /**< it has no content; sizes are 0 */
    char *guid;
    uint64_t txg;      /**< transaction group of the creation; unique within a dataset */
    int64_t created;   /**< seconds since the epoch */
    uint64_t size;     /**< of the device, in bytes */
    uint64_t used;     /**< bytes that are not shared */
    GStrv clones;      /**< datasets; empty instead of NULL */
    char *consistency; /**< record of the consistency; NULL: no record */
} ZfsSnapshot;

#define ZFS_SNAPSHOT_FIELDS "name,guid,createtxg,creation,volsize,used,clones," ZFS_CONSISTENCY
/** The property of the record. */
#define ZFS_CONSISTENCY "cistern:consistency"

/**
 * Like zfs_datasets_parse(), for lines of ZFS_SNAPSHOT_FIELDS. The text may have the line of the
 * volume, which is left out. Without it, inherited records are taken for the snapshots' own.
 */
GPtrArray *zfs_snapshots_parse(const char *text, GError **error);

/** A ZFS pool. */
typedef struct {
    char *name;
    char *guid;
    uint64_t size, allocated;
    char *health; /**< "ONLINE" */
} ZfsPool;

#define ZFS_POOL_FIELDS "name,guid,size,allocated,health"

/** Parses the line of zpool list for one pool. CORRUPT. Free with zfs_pool_free(). */
ZfsPool *zfs_pool_parse(const char *text, GError **error);
/** Returns a copy. Free with zfs_pool_free(). */
ZfsPool *zfs_pool_copy(const ZfsPool *pool);
/** Frees @pool. Accepts NULL. */
void zfs_pool_free(ZfsPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ZfsPool, zfs_pool_free)

/**
 * Parses the output of zfs program -j for a program that returned a string. The string may have
 * letters, digits, blanks and the other characters of ZFS's names. The caller frees it. CORRUPT.
 */
char *zfs_answer_parse(const char *text, GError **error);
