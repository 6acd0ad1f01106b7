/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

#include <base/uuid.h>
#include <model/chains.h>
#include <model/growth.h>
#include <model/limits.h>
#include <model/pool_type.h>
#include <model/promise.h>
#include <model/usage.h>

/**
 * Pool definitions: structs, their XML (libvirt docs/formatstorage.rst) and validation. Strings are
 * owned by the struct and NULL if absent. The functions access no storage and may be called from
 * any thread.
 */

#define CST_PERMS_UNSET ((uint32_t)-1)

typedef struct {
    uint32_t mode; /**< permission bits; CST_PERMS_UNSET: not given */
    uint32_t uid;  /**< CST_PERMS_UNSET: not given ("-1" in XML) */
    uint32_t gid;
    char *label;
} CstPerms;

/** All members are unset. (A zeroed struct would set mode 0 and owner root.) */
#define CST_PERMS_INIT                                                          \
    {                                                                           \
        .mode = CST_PERMS_UNSET, .uid = CST_PERMS_UNSET, .gid = CST_PERMS_UNSET \
    }

typedef struct {
    char *name;
    uint16_t port; /**< 0: the default */
} CstHost;

typedef struct {
    uint64_t start; /**< bytes from the start of the device */
    uint64_t end;   /**< first byte after the extent */
    int type;       /**< for the disk backend's own use; not in the XML */
} CstDeviceExtent;

typedef struct {
    char *path;
    int part_separator;   /**< -1 unset, 0 no, 1 yes */
    GArray *free_extents; /**< of CstDeviceExtent, set by the disk backend; NULL: unknown */
} CstPoolDevice;

typedef enum { CST_ADAPTER_NONE, CST_ADAPTER_SCSI_HOST, CST_ADAPTER_FC_HOST } CstAdapterType;

typedef struct {
    CstAdapterType type;
    char *name;   /**< scsi_host */
    char *parent; /**< fc_host */
    char *parent_wwnn, *parent_wwpn, *parent_fabric_wwn;
    char *wwnn, *wwpn;
    int managed;              /**< -1 unset, 0 no, 1 yes */
    gboolean has_parent_addr; /**< <parentaddr> with its PCI address and unique_id */
    uint32_t pci_domain, pci_bus, pci_slot, pci_function;
    uint32_t unique_id; /**< at most INT32_MAX */
} CstAdapter;

typedef enum { CST_AUTH_NONE, CST_AUTH_CHAP, CST_AUTH_CEPH } CstAuthType;

typedef struct {
    CstAuthType type;
    char *username;
    gboolean by_uuid; /**< the secret is named by uuid, otherwise by usage */
    CstUuid secret_uuid;
    char *secret_usage;
    char *secret_type; /**< <secret type='…'>, kept as written; NULL: not given */
} CstAuth;

typedef struct {
    GPtrArray *hosts;   /**< of CstHost */
    GPtrArray *devices; /**< of CstPoolDevice */
    char *dir;
    char *name;
    CstAdapter adapter;
    char *initiator_iqn;
    CstAuth auth;
    char *vendor;
    char *product;
    int format;         /**< index into the type's format list; 0: the first */
    char *protocol_ver; /**< NFS version as written ("3", "4.1"); NULL: not given */
} CstPoolSource;

/** An entry of an option list (a GPtrArray; NULL: an empty list). */
typedef struct {
    char *key;   /**< option name; fs and netfs: the mount option */
    char *value; /**< fs and netfs: NULL */
} CstPoolOption;

/** Appends an option to *options, which is created if it is NULL. Copies the strings. */
void cst_options_add(GPtrArray **options, const char *key, const char *value);
/** Returns the last value of @key, borrowed; NULL if it is not given. */
const char *cst_options_get(const GPtrArray *options, const char *key);
/** Returns a deep copy; NULL for NULL. */
GPtrArray *cst_options_copy(const GPtrArray *options);

typedef enum {
    CST_REFRESH_ALLOC_UNSET,
    CST_REFRESH_ALLOC_DEFAULT,
    CST_REFRESH_ALLOC_CAPACITY
} CstRefreshAlloc;

/** A pool definition; with live values, the state of a pool. */
typedef struct {
    CstPoolType type;
    char *name;
    CstUuid uuid;
    uint64_t capacity, allocation, available; /**< bytes; live state, not definition */
    int feature_cow;                          /**< -1 unset, 0 no, 1 yes */
    CstPoolSource source;
    char *target_path;
    CstPerms target_perms;
    CstRefreshAlloc refresh_alloc;
    GPtrArray *options;  /**< of CstPoolOption, in the namespace of the type; NULL: no options */
    uint32_t trash_days; /**< ours: days for which deleted volumes are kept; 0: no trash */
    CstThresholds thresholds; /**< ours */
    CstPoolLimits limits;     /**< ours */
    CstAutoextend autoextend; /**< ours */
    CstChainLimits chains;    /**< ours */
} CstPoolDef;

/** The maximum of trash_days: a hundred years. */
#define CST_TRASH_DAYS_MAX 36500

/** Makes an empty definition with the defaults of @type. */
CstPoolDef *cst_pool_def_new(CstPoolType type);
/** A deep copy, owned by the caller. */
CstPoolDef *cst_pool_def_copy(const CstPoolDef *def);
/** NULL is accepted. */
void cst_pool_def_free(CstPoolDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPoolDef, cst_pool_def_free)

typedef enum {
    CST_PARSE_VALIDATE = 1 << 0, /**< check against the RelaxNG schema first (model/schema.h) */
    /** Also parse capacity, allocation and available, for documents that a daemon wrote. */
    CST_PARSE_LIVE = 1 << 1
} CstParseFlags;

/**
 * Parses a <pool> document with libvirt's rules: the same defaults (a generated uuid, pool name and
 * source name from each other, a normalised target path) and the same checks. @flags:
 * CstParseFlags. Errors, with libvirt's numbers: XML_SYNTAX (not well-formed), XML (missing or
 * malformed parts), CONFIG (for example an unknown format), NO_SUPPORT (cow for types without it),
 * XML_SCHEMA and ARGUMENT_UNSUPPORTED (CST_PARSE_VALIDATE).
 */
CstPoolDef *cst_pool_def_parse(const char *xml, unsigned flags, GError **error);

/**
 * Formats the <pool> document, newline-terminated, with libvirt's order of elements and units.
 * Fails with INVALID if @def has an unknown type or format.
 */
char *cst_pool_def_format(const CstPoolDef *def, GError **error);

/** Formats the <source> element as a separate document. */
char *cst_pool_source_format(const CstPoolSource *source, CstPoolType type, GError **error);
/** Formats a <sources> document of @n_sources sources: the result of find-storage-pool-sources. */
char *cst_pool_source_list_format(const CstPoolSource *sources, gsize n_sources, CstPoolType type,
                                  GError **error);
/**
 * Parses a <source> document, the argument of find-storage-pool-sources. The caller clears
 * *ret_source.
 */
gboolean cst_pool_source_parse(const char *xml, CstPoolType type, CstPoolSource *ret_source,
                               GError **error);
/** Sets @source to the defaults of @type (format and directory) for an absent <source>. */
void cst_pool_source_init(CstPoolSource *source, CstPoolType type);
/** Frees the memory that @source owns and zeroes it. */
void cst_pool_source_clear(CstPoolSource *source);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstPoolSource, cst_pool_source_clear)

/** Appends an option of the type's namespace; @value NULL for mount options. */
void cst_pool_def_add_option(CstPoolDef *def, const char *key, const char *value);

/** Appends a host to @source; copies @name. @port 0: the default. */
void cst_pool_source_add_host(CstPoolSource *source, const char *name, uint16_t port);
/** Appends a device to @source; copies @path. */
void cst_pool_source_add_device(CstPoolSource *source, const char *path);

/**
 * Formats the state file of an active pool, as libvirt writes it to run/libvirt/storage/NAME.xml:
 * <poolstate> around the pool document, without the head comment (model/file_header.h). Errors as
 * for cst_pool_def_format().
 */
char *cst_pool_state_format(const CstPoolDef *def, GError **error);
/** Parses a state file, with or without the head comment. Errors as for cst_pool_def_parse(). */
CstPoolDef *cst_pool_state_parse(const char *xml, GError **error);

/** Returns the part of @def that no other pool may share. An unknown type has CST_CONFLICT_NONE. */
CstConflict cst_pool_def_conflict(const CstPoolDef *def);

/**
 * Whether two definitions describe the same storage, so that only one may be defined ("Storage
 * source conflict with pool: '…'"). Compares definitions only: adapters given by address are not
 * resolved in sysfs. Do not compare a pool with itself.
 */
gboolean cst_pool_def_same_source(const CstPoolDef *a, const CstPoolDef *b);

/**
 * Formats the <storagepoolCapabilities> document (pool-capabilities), with an entry for each type
 * that libvirt lists. @supported: for each type; NULL: all are supported.
 */
char *cst_pool_capabilities_format(const gboolean supported[CST_POOL_TYPE_LAST]);
