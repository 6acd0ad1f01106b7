/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>

/** Values are libvirt's virStorageVolType. */
typedef enum {
    CST_VOL_FILE = 0,
    CST_VOL_BLOCK = 1,
    CST_VOL_DIR = 2,
    CST_VOL_NETWORK = 3,
    CST_VOL_NETDIR = 4,
    CST_VOL_PLOOP = 5
} CstVolType;

const char *cst_vol_type_name(CstVolType type);
gboolean cst_vol_type_parse(const char *name, CstVolType *ret_type);

typedef enum {
    CST_ENCRYPTION_NONE,
    CST_ENCRYPTION_DEFAULT,
    CST_ENCRYPTION_QCOW,
    CST_ENCRYPTION_LUKS,
    CST_ENCRYPTION_LUKS2
} CstEncryptionFormat;

typedef struct {
    CstEncryptionFormat format;
    GPtrArray *secrets; /**< of CstAuth-like secret references (by uuid or usage), never values */
    char *cipher_name, *cipher_mode, *cipher_hash;
    unsigned cipher_size;
    char *ivgen_name, *ivgen_hash;
    char *engine;
} CstEncryption;

typedef struct {
    gboolean by_uuid;
    CstUuid uuid;
    char *usage;
} CstSecretRef;

typedef struct {
    char *path;
    char *format; /**< format name as in XML ("qcow2"); NULL: not given */
    CstPerms perms;
} CstBackingDef;

typedef struct {
    struct timespec atime, mtime, ctime, btime; /**< tv_nsec == -2 (UTIME_OMIT): absent */
} CstTimes;

typedef struct {
    char *path;
    uint64_t start, end;
} CstVolExtent; /**< <source><device path><extent start end/> of logical and disk volumes */

typedef struct {
    CstVolType type;
    char *name;
    char *key;
    uint64_t capacity; /**< bytes */
    uint64_t allocation;
    uint64_t physical;
    gboolean has_capacity; /**< given in the XML */
    gboolean has_allocation;
    gboolean has_physical;
    GPtrArray *extents; /**< of CstVolExtent; NULL: none */
    char *path;
    char *format; /**< name as in XML; NULL: the type shows none */
    CstPerms perms;
    CstTimes *times;           /**< NULL: absent */
    CstEncryption *encryption; /**< NULL: none */
    char *compat;              /**< "0.10", "1.1"; NULL: not given */
    gboolean nocow;
    gboolean lazy_refcounts;
    gboolean extended_l2;
    uint64_t cluster_size;  /**< bytes; 0: not given */
    CstBackingDef *backing; /**< NULL: none */
} CstVolDef;

CstVolDef *cst_vol_def_new(void);
CstVolDef *cst_vol_def_copy(const CstVolDef *def);
void cst_vol_def_free(CstVolDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolDef, cst_vol_def_free)

typedef enum {
    CST_VOL_PARSE_VALIDATE = 1 << 0,
    CST_VOL_PARSE_NO_CAPACITY = 1 << 1, /**< capacity may be absent (vol-create-from) */
    CST_VOL_PARSE_OPT_CAPACITY = 1 << 2 /**< capacity may be absent when a backing store is given */
} CstVolParseFlags;

/** Parses one <volume> for a pool of @type; refuses what libvirt refuses, with the same code. */
CstVolDef *cst_vol_def_parse(const char *xml, CstPoolType type, unsigned flags, GError **error);

/** The <volume> document of a volume in a pool of @type. */
char *cst_vol_def_format(const CstVolDef *def, CstPoolType type, GError **error);

void cst_encryption_free(CstEncryption *encryption);
void cst_backing_def_free(CstBackingDef *backing);
