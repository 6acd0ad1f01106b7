/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-build of a pool on a device: creates the directory, and a file system if the flags request
 * it. A device in use is never formatted. A device with content is formatted only with the
 * overwrite flag; libblkid detects the content. An interrupted build leaves an empty device or a
 * partial file system.
 */
#include "mount.h"

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <pool/device.h>
#include <pool/tool.h>

/*
 * The command that makes a file system, and libblkid's name for it. The options suppress all
 * interactive questions.
 */
typedef struct {
    const char *name; /* name of the format (pool_type.c) */
    const char *signature;
    const char *package;
    const char *argv[6]; /* the arguments before the device */
} FileSystem;

static const FileSystem file_systems[] = {
    {"ext2", "ext2", "e2fsprogs", {"mkfs.ext2", "-q", "-F"}},
    {"ext3", "ext3", "e2fsprogs", {"mkfs.ext3", "-q", "-F"}},
    {"ext4", "ext4", "e2fsprogs", {"mkfs.ext4", "-q", "-F"}},
    {"xfs", "xfs", "xfsprogs", {"mkfs.xfs", "-q", "-f"}},
    {"btrfs", "btrfs", "btrfs-progs", {"mkfs.btrfs", "-q", "-f"}},
    {"vfat", "vfat", "dosfstools", {"mkfs.vfat", "-I"}},
    {"ntfs", "ntfs", "ntfs-3g", {"mkfs.ntfs", "-q", "-Q", "-F"}},
    {"udf", "udf", "udftools", {"mkfs.udf"}},
    {"hfs+", "hfsplus", "hfsprogs", {"mkfs.hfsplus"}},
    {"gfs2", "gfs2", "gfs2-utils", {"mkfs.gfs2", "-q", "-O", "-p", "lock_nolock"}},
    {"ocfs2", "ocfs2", "ocfs2-tools", {"mkfs.ocfs2", "-q", "-F", "-M", "local"}},
};

/* Returns the command for the file system of @def, or NULL with CONFIG if it cannot be made. */
static const FileSystem *find_file_system(const CstPoolDef *def, GError **error)
{
    const char *name = cst_pool_format_name(def->type, def->source.format);

    for (size_t i = 0; i < G_N_ELEMENTS(file_systems); i++)
        if (g_strcmp0(file_systems[i].name, name) == 0)
            return &file_systems[i];
    cst_fail(error, CST_ERROR_CONFIG,
             _("no file system of type '%s' can be made for pool '%s'; name one that can in "
               "<source><format>, ext4 or xfs for example"),
             name, def->name);
    return NULL;
}

static gboolean check_flags(unsigned flags, GError **error)
{
    return cst_flags_check(flags, CST_POOL_BUILD_OVERWRITE | CST_POOL_BUILD_NO_OVERWRITE,
                           "virStorageBackendFileSystemBuild", error) &&
           cst_flags_exclusive(flags, CST_POOL_BUILD_OVERWRITE, "VIR_STORAGE_POOL_BUILD_OVERWRITE",
                               CST_POOL_BUILD_NO_OVERWRITE, "VIR_STORAGE_POOL_BUILD_NO_OVERWRITE",
                               error);
}

static gboolean format_check_device(const MountState *state, GError **error)
{
    struct stat st;

    if (!cst_node_stat(state->source, &st))
        return cst_fail(error, CST_ERROR_STATE,
                        _("Source device does not exist when formatting pool '%s'"),
                        state->dir.head.def->name);
    return S_ISBLK(st.st_mode) ||
           cst_fail(error, CST_ERROR_INVALID, _("'%s' is no block device"), state->source);
}

/* Fails if the device is in use, or has content that must not be overwritten. */
static gboolean check_content(const MountState *state, const FileSystem *made, gboolean overwrite,
                              GError **error)
{
    if (!cst_tool_exists(made->argv[0]))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("there is no '%s' on this host; install package '%s'"), made->argv[0],
                        made->package);
    return cst_device_refuse_used(state->source, error) &&
           (overwrite || cst_device_refuse_content(state->source, made->signature, error));
}

/* Runs the tool, and verifies the new file system by its signature on the device. */
static gboolean format_make_fs(const MountState *state, const FileSystem *made, GError **error)
{
    const char *argv[G_N_ELEMENTS(made->argv) + 2] = {NULL};
    const CstTool tool = {
        .argv = argv, .package = made->package, .timeout_s = mount_times.format_s};
    g_autofree char *found = NULL;
    size_t count = 0;

    for (; count < G_N_ELEMENTS(made->argv) && made->argv[count]; count++)
        argv[count] = made->argv[count];
    argv[count] = state->source;
    if (!cst_tool_run(&tool, NULL, NULL, error) ||
        !cst_device_signature(state->source, &found, error))
        return FALSE;
    return g_strcmp0(found, made->signature) == 0 ||
           cst_fail(error, CST_ERROR_FAILED, _("'%s' claims success, but '%s' carries no '%s'"),
                    made->argv[0], state->source, made->signature);
}

/*
 * Returns the command for the file system to make. Returns NULL with an error if it cannot be made,
 * or must not be made.
 */
static const FileSystem *format_choose_fs(const MountState *state, unsigned flags, GError **error)
{
    const FileSystem *made;

    if (!format_check_device(state, error))
        return NULL;
    made = find_file_system(state->dir.head.def, error);
    return made && check_content(state, made, flags & CST_POOL_BUILD_OVERWRITE, error) ? made
                                                                                       : NULL;
}

/* All checks come before the creation of the directory, where a dry run ends. */
gboolean mount_build_fs(CstPoolState *state, unsigned flags, GError **error)
{
    const MountState *mounted = (const MountState *)state;
    const FileSystem *made = NULL;

    if (!check_flags(flags, error) ||
        (flags && !(made = format_choose_fs(mounted, flags, error))) ||
        !cst_dir_build(state, 0, error))
        return FALSE;
    if (!made)
        return TRUE;
    if (!cst_device_clear(mounted->source, error))
        return FALSE;
    CST_CRASH_POINT("fs.build.cleared");
    return format_make_fs(mounted, made, error);
}
