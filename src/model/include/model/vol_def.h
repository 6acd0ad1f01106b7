/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <time.h>

#include <model/pool_def.h>

/**
 * Volume definitions: structs and their XML (libvirt docs/formatstorage.rst). Strings are owned by
 * the struct and NULL if absent. The struct is large; lists of volumes use CstVolume instead. The
 * functions access no files; any thread.
 */

/** A reference to a secret by uuid or by usage, never its value. */
typedef struct {
    gboolean by_uuid; /**< by uuid, otherwise by usage */
    CstUuid uuid;
    char *usage;
} CstSecretRef;

typedef enum {
    CST_ENCRYPTION_NONE, /**< never in a parsed document */
    CST_ENCRYPTION_DEFAULT,
    CST_ENCRYPTION_QCOW,
    CST_ENCRYPTION_LUKS,
    CST_ENCRYPTION_LUKS2
} CstEncryptionFormat;

typedef struct {
    CstEncryptionFormat format;
    GPtrArray *secrets;   /**< of CstSecretRef, all passphrases; never NULL */
    char *cipher_name;    /**< LUKS only, as are the next five; NULL: not given */
    unsigned cipher_size; /**< bits */
    char *cipher_mode, *cipher_hash;
    char *ivgen_name, *ivgen_hash;
    char *engine; /**< "qemu", "librbd"; NULL: not given */
} CstEncryption;

#define CST_TIME_ABSENT (-2)

typedef struct {
    struct timespec atime, mtime, ctime, btime; /**< tv_nsec < 0 (CST_TIME_ABSENT): absent */
} CstTimes;

typedef struct {
    char *path;
    char *format; /**< format name as in XML ("qcow2"); NULL: not given */
    CstPerms perms;
    CstTimes *times; /**< NULL: absent */
} CstBackingDef;

typedef struct {
    char *path;
    uint64_t start, end;
} CstVolExtent; /**< <source><device path><extent start end/> of logical and disk volumes */

typedef struct {
    CstVolType type;
    char *name;
    char *key;
    uint64_t capacity;       /**< bytes the guest sees */
    uint64_t allocation;     /**< bytes used; the capacity if the XML does not give it */
    uint64_t physical;       /**< bytes of the container; 0: not shown */
    gboolean has_capacity;   /**< given in the XML */
    gboolean has_allocation; /**< given in the XML */
    gboolean has_physical;   /**< given in the XML (CST_VOL_PARSE_LIVE) */
    GPtrArray *extents;      /**< of CstVolExtent; NULL: no extents */
    char *path;
    char *format; /**< name as in XML; NULL: not shown by the type */
    char *mark;   /**< one of volume_marks, shown as <format>; NULL: default, or no marks */
    CstPerms perms;
    CstTimes *times;           /**< NULL: absent */
    CstEncryption *encryption; /**< NULL: not encrypted */
    char *compat;              /**< "0.10", "1.1"; NULL: not given */
    gboolean nocow;            /**< requested at creation; never formatted */
    gboolean has_features;     /**< <features> is present, even if empty (qcow2 version 3) */
    gboolean lazy_refcounts;
    gboolean extended_l2;
    uint64_t cluster_size;  /**< bytes; 0: not given */
    CstBackingDef *backing; /**< NULL: no backing store */
    GPtrArray *options;     /**< of CstPoolOption, in our own namespace; NULL: no options */
} CstVolDef;

/** Makes an empty definition. */
CstVolDef *cst_vol_def_new(void);
/** A deep copy, owned by the caller. */
CstVolDef *cst_vol_def_copy(const CstVolDef *def);
/** NULL is accepted. */
void cst_vol_def_free(CstVolDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolDef, cst_vol_def_free)

typedef enum {
    CST_VOL_PARSE_VALIDATE = 1 << 0,
    CST_VOL_PARSE_NO_CAPACITY = 1 << 1,  /**< capacity may be absent (vol-create-from) */
    CST_VOL_PARSE_OPT_CAPACITY = 1 << 2, /**< capacity may be absent if a backing store is given */
    /** Also parse physical, timestamps and source extents, for documents that a daemon wrote. */
    CST_VOL_PARSE_LIVE = 1 << 3
} CstVolParseFlags;

/**
 * Parses a <volume> document for a pool of @type, with libvirt's rules and error numbers:
 * XML_SYNTAX, XML, CONFIG (unknown format, feature, type), INVALID (unknown unit), OVERFLOW (more
 * than INT64_MAX bytes), XML_SCHEMA. Also rejects a name with "/" (STATE), unless the type has
 * nested names, and a name with an empty, "." or ".." part (XML). @flags: CstVolParseFlags.
 */
CstVolDef *cst_vol_def_parse(const char *xml, CstPoolType type, unsigned flags, GError **error);

/**
 * Formats the <volume> document of a volume in a pool of @type. Fails with INVALID if volumes of
 * such a pool cannot have the format.
 */
char *cst_vol_def_format(const CstVolDef *def, CstPoolType type, GError **error);

/** NULL is accepted. */
void cst_encryption_free(CstEncryption *encryption);
/** NULL is accepted. */
void cst_backing_def_free(CstBackingDef *backing);

/** Appends to def->extents. @start and @end are bytes on the device; copies @path. */
void cst_vol_def_add_extent(CstVolDef *def, const char *path, uint64_t start, uint64_t end);

/** Makes an encryption without secrets. */
CstEncryption *cst_encryption_new(CstEncryptionFormat format);
/** Adds a passphrase's secret; exactly one of @uuid and @usage is not NULL. */
void cst_encryption_add_secret(CstEncryption *encryption, const CstUuid *uuid, const char *usage);
/** A deep copy, owned by the caller. */
CstEncryption *cst_encryption_copy(const CstEncryption *encryption);
/** Makes a backing store without permissions and times. @format may be NULL. */
CstBackingDef *cst_backing_def_new(const char *path, const char *format);
