/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Flags and states with libvirt's numbers (libvirt-storage.h, libvirt-secret.h), as in the
 * protocol. Every layer uses them unchanged. Flags from 1 << 16 on are extensions of Cistern;
 * libvirt's daemon rejects them as unsupported.
 */

typedef enum {
    CST_POOL_INACTIVE = 0,
    CST_POOL_BUILDING = 1,
    CST_POOL_RUNNING = 2,
    CST_POOL_DEGRADED = 3,
    CST_POOL_INACCESSIBLE = 4
} CstPoolRunState;

typedef enum {
    CST_POOL_BUILD_REPAIR = 1,
    CST_POOL_BUILD_RESIZE = 2,
    CST_POOL_BUILD_NO_OVERWRITE = 4,
    CST_POOL_BUILD_OVERWRITE = 8
} CstPoolBuildFlags;

typedef enum { CST_POOL_DELETE_ZEROED = 1 } CstPoolDeleteFlags;

typedef enum {
    CST_POOL_CREATE_WITH_BUILD = 1,
    CST_POOL_CREATE_WITH_BUILD_OVERWRITE = 2,
    CST_POOL_CREATE_WITH_BUILD_NO_OVERWRITE = 4
} CstPoolCreateFlags;

typedef enum { CST_POOL_DEFINE_VALIDATE = 1 } CstPoolDefineFlags;
typedef enum { CST_STORAGE_XML_INACTIVE = 1 } CstStorageXmlFlags;

typedef enum {
    CST_LIST_POOLS_INACTIVE = 0x1,
    CST_LIST_POOLS_ACTIVE = 0x2,
    CST_LIST_POOLS_PERSISTENT = 0x4,
    CST_LIST_POOLS_TRANSIENT = 0x8,
    CST_LIST_POOLS_AUTOSTART = 0x10,
    CST_LIST_POOLS_NO_AUTOSTART = 0x20,
    CST_LIST_POOLS_DIR = 0x40,
    CST_LIST_POOLS_FS = 0x80,
    CST_LIST_POOLS_NETFS = 0x100,
    CST_LIST_POOLS_LOGICAL = 0x200,
    CST_LIST_POOLS_DISK = 0x400,
    CST_LIST_POOLS_ISCSI = 0x800,
    CST_LIST_POOLS_SCSI = 0x1000,
    CST_LIST_POOLS_MPATH = 0x2000,
    CST_LIST_POOLS_RBD = 0x4000,
    CST_LIST_POOLS_SHEEPDOG = 0x8000,
    CST_LIST_POOLS_GLUSTER = 0x10000,
    CST_LIST_POOLS_ZFS = 0x20000,
    CST_LIST_POOLS_VSTORAGE = 0x40000,
    CST_LIST_POOLS_ISCSI_DIRECT = 0x80000,
    CST_LIST_POOLS_ALL_FLAGS = 0xfffff
} CstListPoolsFlags;

typedef enum {
    CST_VOL_CREATE_PREALLOC_METADATA = 1,
    CST_VOL_CREATE_REFLINK = 2,
    CST_VOL_CREATE_VALIDATE = 4,
    CST_VOL_CREATE_PREALLOC_FALLOC = 1 << 16, /**< reserve all space */
    CST_VOL_CREATE_PREALLOC_FULL = 1 << 17,   /**< write zeroes to all of it */
    CST_VOL_CREATE_PREALLOC_OFF = 1 << 18,    /**< reserve no space, regardless of <allocation> */
    CST_VOL_CREATE_FORCE_SHARE = 1 << 19,     /**< copy a source that is open for writing */
    CST_VOL_CREATE_OVERWRITE = 1 << 20,       /**< copy onto a LUN, regardless of its content */
    CST_VOL_CREATE_LINKED = 1 << 21,          /**< a clone that is based on its source */
    CST_VOL_CREATE_LIVE = 1 << 22 /**< copy the connection's live snapshot of the source */
} CstVolCreateFlags;

#define CST_VOL_CREATE_PREALLOC_FLAGS                                    \
    (CST_VOL_CREATE_PREALLOC_METADATA | CST_VOL_CREATE_PREALLOC_FALLOC | \
     CST_VOL_CREATE_PREALLOC_FULL | CST_VOL_CREATE_PREALLOC_OFF)

typedef enum {
    CST_VOL_DELETE_ZEROED = 1,
    CST_VOL_DELETE_WITH_SNAPSHOTS = 2,
    CST_VOL_DELETE_AT_ONCE = 1 << 16 /**< ours: bypass the pool's trash */
} CstVolDeleteFlags;

typedef enum {
    CST_WIPE_ZERO = 0,
    CST_WIPE_NNSA = 1,
    CST_WIPE_DOD = 2,
    CST_WIPE_BSI = 3,
    CST_WIPE_GUTMANN = 4,
    CST_WIPE_SCHNEIER = 5,
    CST_WIPE_PFITZNER7 = 6,
    CST_WIPE_PFITZNER33 = 7,
    CST_WIPE_RANDOM = 8,
    CST_WIPE_TRIM = 9,
    CST_WIPE_LAST
} CstWipeAlgorithm;

typedef enum {
    CST_VOL_RESIZE_ALLOCATE = 1,
    CST_VOL_RESIZE_DELTA = 2,
    CST_VOL_RESIZE_SHRINK = 4
} CstVolResizeFlags;

typedef enum {
    CST_VOL_STREAM_SPARSE = 1,
    CST_VOL_STREAM_FORCE_SHARE = 1 << 16 /**< download a volume that is open for writing */
} CstVolStreamFlags;
typedef enum { CST_VOL_INFO_PHYSICAL = 1 } CstVolInfoFlags;

typedef enum {
    CST_POOL_EVENT_DEFINED = 0,
    CST_POOL_EVENT_UNDEFINED = 1,
    CST_POOL_EVENT_STARTED = 2,
    CST_POOL_EVENT_STOPPED = 3,
    CST_POOL_EVENT_CREATED = 4,
    CST_POOL_EVENT_DELETED = 5
} CstPoolEventKind;

typedef enum {
    CST_LIST_SECRETS_EPHEMERAL = 1,
    CST_LIST_SECRETS_NO_EPHEMERAL = 2,
    CST_LIST_SECRETS_PRIVATE = 4,
    CST_LIST_SECRETS_NO_PRIVATE = 8,
    CST_LIST_SECRETS_ALL_FLAGS = 0xf
} CstListSecretsFlags;

typedef enum { CST_SECRET_DEFINE_VALIDATE = 1 } CstSecretDefineFlags;
typedef enum { CST_SECRET_EVENT_DEFINED = 0, CST_SECRET_EVENT_UNDEFINED = 1 } CstSecretEventKind;

#define CST_SECRET_VALUE_MAX 65536 /* bytes */
