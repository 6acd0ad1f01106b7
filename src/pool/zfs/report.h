/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * What zfs and zpool report with -H and -p: lines of fields, separated by tabs, with exact numbers.
 * A report is believed as a whole: a line that has another form makes it CORRUPT. Immutable once
 * made. The parsers are pure; any thread.
 */

/** A file system or a volume. */
typedef struct {
    char *name;         /**< of the whole dataset, "tank/vm/disk" */
    gboolean is_volume; /**< otherwise a file system; sizes are 0 then */
    char *guid;
    uint64_t available;  /**< bytes that could be written in it */
    uint64_t referenced; /**< bytes that it holds */
    uint64_t size;       /**< of the device */
    uint64_t reserved;   /**< bytes set aside for it */
    uint64_t block;      /**< volblocksize */
    char *compression;
    char *origin; /**< the snapshot "tank/vm/disk@snap" that it is a clone of; NULL: none */
    char *encryption_root; /**< dataset whose key it is encrypted with; NULL: it is not */
    gboolean locked;       /**< that key is not loaded */
    char *replaces;        /**< our own mark on a draft (swap.c); NULL: none */
} ZfsDataset;

/** The fields of a line, for zfs list -o. */
#define ZFS_DATASET_FIELDS                                                     \
    "name,type,guid,available,referenced,volsize,refreservation,volblocksize," \
    "compression,origin,encryptionroot,keystatus," ZFS_REPLACES
/** The mark's property. */
#define ZFS_REPLACES "cistern:replaces"

/**
 * Parses zfs list's lines into an array of ZfsDataset, which frees them. CORRUPT.
 */
GPtrArray *zfs_datasets_parse(const char *text, GError **error);
/** The dataset of that name; NULL: there is none. Borrowed. */
const ZfsDataset *zfs_datasets_find(const GPtrArray *datasets, const char *name);

/** A snapshot, or a bookmark, which remembers when one was taken. */
typedef struct {
    char *dataset;     /**< what it is a snapshot of */
    char *name;        /**< behind the '@', or the '#' */
    gboolean bookmark; /**< it holds nothing; sizes are 0 */
    char *guid;
    uint64_t txg;    /**< transaction group that made it; those of a dataset all differ */
    int64_t created; /**< seconds since the epoch */
    uint64_t size;   /**< of the device */
    uint64_t used;   /**< bytes that only it holds */
    GStrv clones;    /**< datasets; empty rather than NULL */
} ZfsSnapshot;

#define ZFS_SNAPSHOT_FIELDS "name,guid,createtxg,creation,volsize,used,clones"

/** As zfs_datasets_parse(), for lines of ZFS_SNAPSHOT_FIELDS. */
GPtrArray *zfs_snapshots_parse(const char *text, GError **error);

/** A pool of devices. */
typedef struct {
    char *name;
    char *guid;
    uint64_t size, allocated;
    char *health; /**< "ONLINE" */
} ZfsPool;

#define ZFS_POOL_FIELDS "name,guid,size,allocated,health"

/** Parses zpool list's line about one pool. CORRUPT. Free with zfs_pool_free(). */
ZfsPool *zfs_pool_parse(const char *text, GError **error);
/** A copy; free it. */
ZfsPool *zfs_pool_copy(const ZfsPool *pool);
/** NULL is accepted. */
void zfs_pool_free(ZfsPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ZfsPool, zfs_pool_free)

/**
 * Parses what zfs program -j prints of a program that returned a text; free it. It has letters,
 * digits, blanks and what else ZFS takes in names. CORRUPT.
 */
char *zfs_answer_parse(const char *text, GError **error);
