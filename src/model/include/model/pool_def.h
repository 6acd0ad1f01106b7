/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

#include <base/uuid.h>

/**
 * Pool definitions: plain structs, their XML (libvirt docs/formatstorage.rst) and validation.
 * Strings are owned by the struct and NULL when absent.
 */

typedef enum {
    CST_POOL_DIR,
    CST_POOL_FS,
    CST_POOL_NETFS,
    CST_POOL_LOGICAL,
    CST_POOL_DISK,
    CST_POOL_ISCSI,
    CST_POOL_ISCSI_DIRECT,
    CST_POOL_SCSI,
    CST_POOL_MPATH,
    CST_POOL_RBD,
    CST_POOL_GLUSTER,
    CST_POOL_ZFS,
    CST_POOL_TYPE_LAST
} CstPoolType;

/** "dir", "fs", …; NULL outside the enum. */
const char *cst_pool_type_name(CstPoolType type);
gboolean cst_pool_type_parse(const char *name, CstPoolType *ret_type);

#define CST_PERMS_UNSET ((uint32_t)-1)

typedef struct {
    uint32_t mode; /**< permission bits, CST_PERMS_UNSET: not given */
    uint32_t uid;  /**< CST_PERMS_UNSET: not given ("-1" in XML) */
    uint32_t gid;
    char *label;
} CstPerms;

typedef struct {
    char *name;
    uint16_t port; /**< 0: default */
} CstHost;

typedef struct {
    uint64_t start;
    uint64_t end;
    int type; /**< CstDeviceExtentType: 0 free, … as disk pools list them */
} CstDeviceExtent;

typedef struct {
    char *path;
    int part_separator;   /**< -1 unset, 0 no, 1 yes */
    GArray *free_extents; /**< of CstDeviceExtent, filled by the disk backend; NULL: none */
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
    uint32_t pci_domain, pci_bus, pci_slot, pci_function, unique_id;
} CstAdapter;

typedef enum { CST_AUTH_NONE, CST_AUTH_CHAP, CST_AUTH_CEPH } CstAuthType;

typedef struct {
    CstAuthType type;
    char *username;
    gboolean by_uuid; /**< secret named by uuid, otherwise by usage */
    CstUuid secret_uuid;
    char *secret_usage;
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
    int format;         /**< index into the type's format list; 0 its default */
    char *protocol_ver; /**< netfs: "3", "4.1" */
} CstPoolSource;

typedef struct {
    char *key; /**< rbd: option name; fs/netfs: the mount option, value NULL */
    char *value;
} CstPoolOption;

typedef enum {
    CST_REFRESH_ALLOC_UNSET,
    CST_REFRESH_ALLOC_DEFAULT,
    CST_REFRESH_ALLOC_CAPACITY
} CstRefreshAlloc;

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
    GPtrArray *options; /**< of CstPoolOption; rbd config_opts or fs/netfs mount_opts; NULL: none */
} CstPoolDef;

CstPoolDef *cst_pool_def_new(CstPoolType type);
CstPoolDef *cst_pool_def_copy(const CstPoolDef *def);
void cst_pool_def_free(CstPoolDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPoolDef, cst_pool_def_free)

typedef enum {
    CST_PARSE_VALIDATE = 1 << 0 /**< check against the RelaxNG schema first */
} CstParseFlags;

/**
 * Parses one <pool> document, fills what libvirt fills (generated uuid, name from source name,
 * default target path cleaned) and refuses what libvirt refuses with the same code.
 */
CstPoolDef *cst_pool_def_parse(const char *xml, unsigned flags, GError **error);

/** The <pool> document, newline-terminated, element order and units as libvirt's. */
char *cst_pool_def_format(const CstPoolDef *def, GError **error);

/** <source> alone, as find-storage-pool-sources lists it. */
char *cst_pool_source_format(const CstPoolSource *source, CstPoolType type, GError **error);
/** Parses the srcSpec argument of find-storage-pool-sources. */
gboolean cst_pool_source_parse(const char *xml, CstPoolType type, CstPoolSource *ret_source,
                               GError **error);
void cst_pool_source_clear(CstPoolSource *source);

/**
 * Run-state file of an active pool, as libvirt writes it in run/libvirt/storage/NAME.xml:
 * <poolstate> around the pool document.
 */
char *cst_pool_state_format(const CstPoolDef *def, GError **error);
CstPoolDef *cst_pool_state_parse(const char *xml, GError **error);

/** Name of source format @format of @type ("nfs"), NULL where the type has none. */
const char *cst_pool_format_name(CstPoolType type, int format);
gboolean cst_pool_format_parse(CstPoolType type, const char *name, int *ret_format);

/** TRUE when both describe the same storage, as define/create refuse ("already defined"). */
gboolean cst_pool_def_same_source(const CstPoolDef *a, const CstPoolDef *b);

/** The <storagepoolCapabilities> document (pool-capabilities). @supported per type, NULL: all. */
char *cst_pool_capabilities_format(const gboolean supported[CST_POOL_TYPE_LAST]);
