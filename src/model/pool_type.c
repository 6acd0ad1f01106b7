/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of pool types, and conversions between types, formats and their names. A row has the
 * permitted content of a type's documents, its defaults and its conflicts. The operations of a type
 * are in its backend (src/pool). Lists of formats are in libvirt's order, because clients see them
 * in the capabilities and a source format is an index into its list.
 */
#include <model/pool_type.h>

#include <model/flags.h>

#include "xml_read.h"

/*
 * The capabilities list only these. btrfs and ntfs are ours; libvirt mounts such devices as "auto".
 */
#define FS_FORMATS                                                                                 \
    "auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+", "xfs", \
        "ocfs2", "vmfs"
static const char *const fs_formats_listed[] = {FS_FORMATS, NULL};
static const char *const fs_formats[] = {FS_FORMATS, "btrfs", "ntfs", NULL};
static const char *const netfs_formats[] = {"auto", "nfs", "glusterfs", "cifs", NULL};
static const char *const disk_formats[] = {"unknown", "dos",  "dvh", "gpt",  "mac",
                                           "bsd",     "pc98", "sun", "lvm2", NULL};
static const char *const logical_formats[] = {"unknown", "lvm2", NULL};

/* The list in the capabilities begins with "none", which is not accepted for a volume. */
#define FILE_FORMATS                                                                          \
    "raw", "dir", "bochs", "cloop", "dmg", "iso", "vpc", "vdi", "fat", "vhd", "ploop", "cow", \
        "qcow", "qcow2", "qed", "vmdk"
static const char *const file_formats_listed[] = {"none", FILE_FORMATS, NULL};
/* The last three are ours. libvirt would treat such images as raw, which risks their data. */
static const char *const file_formats[] = {FILE_FORMATS, "vhdx", "parallels", "luks", NULL};
static const char *const partition_marks[] = {
    "none", "linux", "fat16", "fat32", "linux-swap", "linux-lvm", "linux-raid", "extended", NULL};
static const char *const no_formats_listed[] = {NULL};

static const CstPoolNamespace fs_options = {
    .prefix = "fs",
    .uri = "http://libvirt.org/schemas/storagepool/fs/1.0",
    .element = "mount_opts",
    .has_value = FALSE,
    .what = "fs mount option",
};

static const CstPoolNamespace rbd_options = {
    .prefix = "rbd",
    .uri = "http://libvirt.org/schemas/storagepool/rbd/1.0",
    .element = "config_opts",
    .has_value = TRUE,
    .what = "rbd option",
};

static const char *const logical_option_names[] = {
    "thin", "thin-pool", "thin-pool-size", "thin-pool-metadata-size", "snapshot-size", NULL};
static const CstPoolNamespace logical_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "logical pool option",
    .names = logical_option_names,
};

/*
 * The sector size of a VHDX and the undeclared references of an image are formatted, but have no
 * effect in a parsed document.
 */
static const char *const file_volume_option_names[] = {"content", "undeclared-backing",
                                                       "undeclared-data-file", "sector-size", NULL};
static const CstPoolNamespace file_volume_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "volume option",
    .names = file_volume_option_names,
};

static const char *const logical_volume_option_names[] = {"thin", "thin-pool", "data-percent",
                                                          NULL};
static const CstPoolNamespace logical_volume_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "logical volume option",
    .names = logical_volume_option_names,
};

static const char *const iscsi_option_names[] = {"mutual-username", "mutual-secret", NULL};
static const CstPoolNamespace iscsi_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "iscsi pool option",
    .names = iscsi_option_names,
};

static const char *const iscsi_direct_option_names[] = {"mutual-username", "mutual-secret",
                                                        "timeout", NULL};
static const CstPoolNamespace iscsi_direct_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "iscsi-direct pool option",
    .names = iscsi_direct_option_names,
};

static const char *const gluster_option_names[] = {"transport", "timeout", NULL};
static const CstPoolNamespace gluster_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "gluster pool option",
    .names = gluster_option_names,
};

static const char *const mpath_volume_option_names[] = {"wwid", "paths", NULL};
static const CstPoolNamespace mpath_volume_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "multipath volume option",
    .names = mpath_volume_option_names,
};

static const char *const rbd_volume_option_names[] = {"features", "object-size", "data-pool",
                                                      "allocation", NULL};
static const CstPoolNamespace rbd_volume_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "RBD volume option",
    .names = rbd_volume_option_names,
};

/* Options have any name: properties of ZFS under their own names, and options of the backend. */
static const CstPoolNamespace zfs_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "zfs pool option",
};

static const CstPoolNamespace zfs_volume_options = {
    .prefix = "cistern",
    .uri = CST_XML_NAMESPACE,
    .element = "options",
    .has_value = TRUE,
    .what = "zfs volume option",
};

static const CstPoolTypeInfo type_table[CST_POOL_TYPE_LAST] = {
    [CST_POOL_DIR] = {.name = "dir",
                      .list_flag = CST_LIST_POOLS_DIR,
                      .has_target = TRUE,
                      .cow_feature = TRUE,
                      .volume_options = &file_volume_options,
                      .volume_type = CST_VOL_FILE,
                      .volume_formats = file_formats,
                      .listed_formats = file_formats_listed,
                      .default_volume_format = "raw",
                      .conflict = CST_CONFLICT_TARGET},
    [CST_POOL_FS] = {.name = "fs",
                     .list_flag = CST_LIST_POOLS_FS,
                     .source_parts = CST_SOURCE_DEVICE,
                     .device_required = TRUE,
                     .source_formats = fs_formats,
                     .listed_source_formats = fs_formats_listed,
                     .has_target = TRUE,
                     .cow_feature = TRUE,
                     .options = &fs_options,
                     .volume_options = &file_volume_options,
                     .volume_type = CST_VOL_FILE,
                     .volume_formats = file_formats,
                     .listed_formats = file_formats_listed,
                     .default_volume_format = "raw",
                     .conflict = CST_CONFLICT_DEVICE},
    [CST_POOL_NETFS] = {.name = "netfs",
                        .list_flag = CST_LIST_POOLS_NETFS,
                        .source_parts = CST_SOURCE_HOST | CST_SOURCE_DIR,
                        .source_formats = netfs_formats,
                        .has_target = TRUE,
                        .options = &fs_options,
                        .volume_options = &file_volume_options,
                        .volume_type = CST_VOL_FILE,
                        .volume_formats = file_formats,
                        .listed_formats = file_formats_listed,
                        .default_volume_format = "raw",
                        .conflict = CST_CONFLICT_HOST_DIR},
    [CST_POOL_LOGICAL] = {.name = "logical",
                          .list_flag = CST_LIST_POOLS_LOGICAL,
                          .source_parts = CST_SOURCE_NAME | CST_SOURCE_DEVICE,
                          .source_formats = logical_formats,
                          .default_source_format = 1, /* lvm2 */
                          .has_target = TRUE,
                          .target_prefix = "/dev/",
                          .options = &logical_options,
                          .volume_options = &logical_volume_options,
                          .volume_type = CST_VOL_BLOCK,
                          .allocation_is_limit = TRUE,
                          .conflict = CST_CONFLICT_DEVICE},
    [CST_POOL_DISK] = {.name = "disk",
                       .list_flag = CST_LIST_POOLS_DISK,
                       .source_parts = CST_SOURCE_DEVICE,
                       .device_required = TRUE,
                       .source_formats = disk_formats,
                       .has_target = TRUE,
                       .volume_type = CST_VOL_BLOCK,
                       .volume_marks = partition_marks,
                       .listed_formats = partition_marks,
                       .default_volume_format = "none",
                       .placed_names = TRUE,
                       .conflict = CST_CONFLICT_DEVICE},
    [CST_POOL_ISCSI] = {.name = "iscsi",
                        .list_flag = CST_LIST_POOLS_ISCSI,
                        .source_parts = CST_SOURCE_HOST | CST_SOURCE_DEVICE | CST_SOURCE_INITIATOR,
                        .has_target = TRUE,
                        .options = &iscsi_options,
                        .volume_type = CST_VOL_BLOCK,
                        .conflict = CST_CONFLICT_INITIATOR},
    [CST_POOL_ISCSI_DIRECT] = {.name = "iscsi-direct",
                               .list_flag = CST_LIST_POOLS_ISCSI_DIRECT,
                               .source_parts =
                                   CST_SOURCE_HOST | CST_SOURCE_DEVICE | CST_SOURCE_INITIATOR,
                               .initiator_required = TRUE,
                               .options = &iscsi_direct_options,
                               .volume_type = CST_VOL_NETWORK},
    [CST_POOL_SCSI] = {.name = "scsi",
                       .list_flag = CST_LIST_POOLS_SCSI,
                       .source_parts = CST_SOURCE_ADAPTER,
                       .has_target = TRUE,
                       .volume_type = CST_VOL_BLOCK,
                       .conflict = CST_CONFLICT_ADAPTER},
    [CST_POOL_MPATH] = {.name = "mpath",
                        .list_flag = CST_LIST_POOLS_MPATH,
                        .has_target = TRUE,
                        .volume_options = &mpath_volume_options,
                        .volume_type = CST_VOL_BLOCK,
                        .conflict = CST_CONFLICT_TYPE},
    [CST_POOL_RBD] = {.name = "rbd",
                      .list_flag = CST_LIST_POOLS_RBD,
                      .source_parts = CST_SOURCE_HOST | CST_SOURCE_NAME,
                      .source_name_required = TRUE,
                      .options = &rbd_options,
                      .volume_options = &rbd_volume_options,
                      .volume_type = CST_VOL_NETWORK,
                      .volume_formats = file_formats,
                      /* libvirt lists the default only. */
                      .listed_formats = no_formats_listed,
                      .default_volume_format = "raw"},
    [CST_POOL_SHEEPDOG] = {.name = "sheepdog",
                           .list_flag = CST_LIST_POOLS_SHEEPDOG,
                           .source_parts = CST_SOURCE_HOST | CST_SOURCE_NAME,
                           .source_name_required = TRUE,
                           .volume_type = CST_VOL_NETWORK,
                           .conflict = CST_CONFLICT_HOST},
    [CST_POOL_GLUSTER] = {.name = "gluster",
                          .list_flag = CST_LIST_POOLS_GLUSTER,
                          .source_parts = CST_SOURCE_HOST | CST_SOURCE_NAME | CST_SOURCE_DIR,
                          .default_dir = "/",
                          .options = &gluster_options,
                          .volume_options = &file_volume_options,
                          .volume_type = CST_VOL_NETWORK,
                          .url_scheme = "gluster",
                          .volume_formats = file_formats,
                          .listed_formats = file_formats_listed,
                          .default_volume_format = "raw",
                          .conflict = CST_CONFLICT_HOST_DIR},
    [CST_POOL_ZFS] = {.name = "zfs",
                      .list_flag = CST_LIST_POOLS_ZFS,
                      .source_parts = CST_SOURCE_NAME | CST_SOURCE_DEVICE,
                      .has_target = TRUE,
                      .target_prefix = "/dev/zvol/",
                      .options = &zfs_options,
                      .volume_options = &zfs_volume_options,
                      .volume_type = CST_VOL_BLOCK,
                      .nested_names = TRUE,
                      .conflict = CST_CONFLICT_DEVICE},
    [CST_POOL_VSTORAGE] = {.name = "vstorage",
                           .list_flag = CST_LIST_POOLS_VSTORAGE,
                           .source_parts = CST_SOURCE_NAME,
                           .has_target = TRUE,
                           .volume_type = CST_VOL_FILE,
                           .volume_formats = file_formats,
                           .listed_formats = file_formats_listed,
                           .default_volume_format = "raw",
                           .conflict = CST_CONFLICT_NAME},
};

static const char *const vol_type_names[] = {"file",   "block", "dir", "network",
                                             "netdir", "ploop", NULL};

const CstPoolTypeInfo *cst_pool_type_info(CstPoolType type)
{
    return (unsigned)type < CST_POOL_TYPE_LAST ? &type_table[type] : NULL;
}

gboolean cst_pool_type_has_files(CstPoolType type)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    return info && (info->volume_type == CST_VOL_FILE || info->url_scheme);
}

CstVolType cst_pool_new_volume_type(CstPoolType type)
{
    return cst_pool_type_has_files(type) ? CST_VOL_FILE : cst_pool_type_info(type)->volume_type;
}

CstVolType cst_pool_shown_type(CstPoolType type, CstVolType volume_type)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    if (!info || !info->url_scheme)
        return volume_type;
    switch (volume_type) {
    case CST_VOL_FILE: return CST_VOL_NETWORK;
    case CST_VOL_DIR: return CST_VOL_NETDIR;
    default: return volume_type;
    }
}

const char *cst_pool_type_name(CstPoolType type)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    return info ? info->name : NULL;
}

gboolean cst_pool_type_parse(const char *name, CstPoolType *ret_type)
{
    for (int type = 0; type < CST_POOL_TYPE_LAST; type++) {
        if (g_strcmp0(type_table[type].name, name) == 0) {
            *ret_type = type;
            return TRUE;
        }
    }
    return FALSE;
}

const char *cst_pool_format_name(CstPoolType type, int format)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    if (!info || !info->source_formats || format < 0 ||
        (guint)format >= g_strv_length((char **)info->source_formats))
        return NULL;
    return info->source_formats[format];
}

gboolean cst_pool_format_parse(CstPoolType type, const char *name, int *ret_format)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);
    int format = -1;

    if (info && info->source_formats && name)
        format = cst_name_index(info->source_formats, name);
    if (format < 0)
        return FALSE;
    *ret_format = format;
    return TRUE;
}

const char *cst_vol_type_name(CstVolType type)
{
    return (unsigned)type < G_N_ELEMENTS(vol_type_names) - 1 ? vol_type_names[type] : NULL;
}

gboolean cst_vol_type_parse(const char *name, CstVolType *ret_type)
{
    int type = name ? cst_name_index(vol_type_names, name) : -1;

    if (type < 0)
        return FALSE;
    *ret_type = type;
    return TRUE;
}

gboolean cst_pool_volume_mark_ok(CstPoolType type, const char *mark)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    return info && info->volume_marks && mark && cst_name_index(info->volume_marks, mark) >= 0;
}

gboolean cst_pool_volume_format_ok(CstPoolType type, const char *format)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    return info && info->volume_formats && format &&
           cst_name_index(info->volume_formats, format) >= 0;
}
