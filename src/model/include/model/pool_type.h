/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The table of pool types. Code that treats types differently reads the type's row instead of
 * switching on the type, so that a new type needs only one row. Names and defaults are libvirt's
 * (docs/formatstorage.rst, docs/formatstoragecaps.rst).
 */

/**
 * In the order of libvirt's capabilities. A type without a backend is valid; its definitions are
 * kept.
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
    CST_POOL_SHEEPDOG,
    CST_POOL_GLUSTER,
    CST_POOL_ZFS,
    CST_POOL_VSTORAGE,
    CST_POOL_TYPE_LAST
} CstPoolType;

/** The values are libvirt's virStorageVolType. */
typedef enum {
    CST_VOL_FILE = 0,
    CST_VOL_BLOCK = 1,
    CST_VOL_DIR = 2,
    CST_VOL_NETWORK = 3,
    CST_VOL_NETDIR = 4,
    CST_VOL_PLOOP = 5
} CstVolType;

/** The parts of <source> that a type shows in its XML. */
typedef enum {
    CST_SOURCE_HOST = 1 << 0, /**< at least one is required */
    CST_SOURCE_DEVICE = 1 << 1,
    CST_SOURCE_DIR = 1 << 2,     /**< required */
    CST_SOURCE_ADAPTER = 1 << 3, /**< required */
    CST_SOURCE_NAME = 1 << 4,    /**< defaults to the pool's name, and vice versa */
    CST_SOURCE_INITIATOR = 1 << 5
} CstSourceParts;

/**
 * The property that makes two pools of one host conflict if it is equal
 * (cst_pool_def_same_source()).
 */
typedef enum {
    CST_CONFLICT_NONE,
    CST_CONFLICT_TARGET,    /**< the same target path */
    CST_CONFLICT_HOST,      /**< the same single host */
    CST_CONFLICT_HOST_DIR,  /**< the same single host, source directory and name */
    CST_CONFLICT_NAME,      /**< the same source name */
    CST_CONFLICT_DEVICE,    /**< a common device, also between different types of this kind */
    CST_CONFLICT_INITIATOR, /**< a common device and the same initiator */
    CST_CONFLICT_ADAPTER,   /**< the same adapter */
    CST_CONFLICT_TYPE       /**< one pool of the type per host */
} CstConflict;

/**
 * The namespace of Cistern's own elements, which libvirt's parser ignores. Its meaning is stable.
 */
#define CST_XML_NAMESPACE "urn:cistern:storage:1.0"

/** A list of options in an XML namespace. The document declares the namespace if it has options. */
typedef struct {
    const char *prefix; /**< "rbd" */
    const char *uri;
    const char *element;      /**< "config_opts" */
    gboolean has_value;       /**< an option has name and value; otherwise only a name */
    const char *what;         /**< in messages: "rbd option", "fs mount option" */
    const char *const *names; /**< NULL-terminated list of known names; NULL: any name */
} CstPoolNamespace;

/** A row of the table of pool types. Static. */
typedef struct {
    const char *name;              /**< "dir" */
    unsigned list_flag;            /**< its filter bit in a listing, such as CST_LIST_POOLS_DIR */
    unsigned source_parts;         /**< of CstSourceParts */
    gboolean source_name_required; /**< <source><name> must be given */
    gboolean device_required;      /**< at least one <device> */
    gboolean initiator_required;   /**< <initiator><iqn> */
    const char *default_dir;       /**< <dir> if not given; NULL: no default */
    const char *const *source_formats; /**< NULL-terminated; NULL: no <format> */
    /** The formats in <storagepoolCapabilities>; NULL: all. */
    const char *const *listed_source_formats;
    int default_source_format; /**< index into source_formats */
    gboolean has_target;       /**< <target> with path and permissions */
    const char *target_prefix; /**< target path is this prefix and the source name; NULL: target
                                  path is given */
    gboolean cow_feature;      /**< <features><cow/> may be set */
    const CstPoolNamespace *options;        /**< of pools; NULL: no options */
    const CstPoolNamespace *volume_options; /**< NULL: no options */
    CstVolType volume_type;                 /**< default type of volumes */
    /**
     * Volumes are files and directories that clients reach by URLs of this scheme. Records have
     * CST_VOL_FILE and CST_VOL_DIR; documents have "network" and "netdir". The target path is the
     * URL of their directory, which no document shows. NULL: not such a type.
     */
    const char *url_scheme;
    const char *const *volume_formats; /**< accepted formats, NULL-terminated; NULL: no <format> */
    /**
     * Values of <format> for volumes that are always raw: the mark that the technology puts on them
     * (a partition's type). NULL-terminated; NULL: no marks.
     */
    const char *const *volume_marks;
    /** The formats in <storagepoolCapabilities>. "none" there is not accepted for a volume. */
    const char *const *listed_formats;
    const char *default_volume_format; /**< a format or a mark */
    gboolean nested_names;             /**< volume names may contain '/' (nested datasets) */
    gboolean placed_names; /**< a name determines the position of its volume (partitions) */
    /** A volume cannot hold more than its allocation, even if its capacity is larger (LVM). */
    gboolean allocation_is_limit;
    CstConflict conflict;
} CstPoolTypeInfo;

/** Returns the row of @type; NULL outside the enum. */
const CstPoolTypeInfo *cst_pool_type_info(CstPoolType type);

/** Whether volumes of pools of @type are files, regardless of their type in documents. */
gboolean cst_pool_type_has_files(CstPoolType type);
/** Returns the volume type that clients see for a record with @volume_type. */
CstVolType cst_pool_shown_type(CstPoolType type, CstVolType volume_type);
/** Returns the type in the record of a new volume of pools of @type, unless it is a directory. */
CstVolType cst_pool_new_volume_type(CstPoolType type);

/** Returns the name of @type ("dir"); static; NULL outside the enum. */
const char *cst_pool_type_name(CstPoolType type);
/** Returns FALSE for an unknown name; *ret_type is then unchanged. */
gboolean cst_pool_type_parse(const char *name, CstPoolType *ret_type);

/**
 * Returns the name of source format @format of @type ("nfs"); NULL if the type does not have it.
 */
const char *cst_pool_format_name(CstPoolType type, int format);
/** Returns FALSE if @type has no source format @name. */
gboolean cst_pool_format_parse(CstPoolType type, const char *name, int *ret_format);

/** Returns the name of a volume type ("file"); static; NULL outside the enum. */
const char *cst_vol_type_name(CstVolType type);
/** Returns FALSE for an unknown name. */
gboolean cst_vol_type_parse(const char *name, CstVolType *ret_type);

/** Whether the technology of pools of @type can mark volumes as @mark ("linux-swap"). */
gboolean cst_pool_volume_mark_ok(CstPoolType type, const char *mark);
/** Whether volumes in pools of @type may have @format ("qcow2"). */
gboolean cst_pool_volume_format_ok(CstPoolType type, const char *format);
