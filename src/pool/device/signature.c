/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identifies the content of a block device with libblkid, and clears it. Formatting depends on the
 * result, so an uncertain result is an error and never "empty". A device is opened with O_EXCL
 * before it is cleared. The kernel refuses this while the device is mounted or part of another
 * device.
 */
#include <pool/device.h>

#include <blkid_library.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/units.h>
#include <blob/blob.h>

/*
 * Stores the type of the content, or for a partitioned device the type of its table. Returns FALSE
 * if libblkid found content without a name.
 */
static gboolean signature_probe_name(blkid_probe probe, char **ret_name)
{
    const char *name = NULL;

    if (blkid_probe_lookup_value(probe, "TYPE", &name, NULL) < 0 &&
        blkid_probe_lookup_value(probe, "PTTYPE", &name, NULL) < 0)
        return FALSE;
    *ret_name = g_strdup(name);
    return TRUE;
}

/*
 * Probes for file systems, RAIDs and partition tables. Returns 0 and sets *ret_name, NULL for an
 * empty device. Other return values: an error, or several signatures.
 */
static int probe_fd(int fd, char **ret_name)
{
    blkid_probe probe = blkid_new_probe();
    int found = -1;

    *ret_name = NULL;
    if (probe && blkid_probe_set_device(probe, fd, 0, 0) == 0) {
        blkid_probe_enable_superblocks(probe, 1);
        blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
        blkid_probe_enable_partitions(probe, 1);
        found = blkid_do_safeprobe(probe);
        if (found == 0 && !signature_probe_name(probe, ret_name))
            found = -1;
    }
    if (probe)
        blkid_free_probe(probe);
    return found == 1 ? 0 : found;
}

gboolean cst_device_signature(const char *path, char **ret_name, GError **error)
{
    g_auto(CstFd) fd = cst_node_open(path, O_RDONLY);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot open device '%s'"), path);
    if (!cst_library_load(&cst_blkid_library, error))
        return FALSE;
    if (probe_fd(fd, ret_name) != 0)
        return cst_fail(error, CST_ERROR_PROBE,
                        _("cannot identify the content of device '%s'; check it with 'wipefs %s'"),
                        path, path);
    return TRUE;
}

/*
 * Opens a block device exclusively. Returns -1 with BUSY if the kernel or another exclusive opener
 * uses it.
 */
static int open_alone(const char *path, int flags, GError **error)
{
    int fd = cst_node_open(path, flags | O_EXCL);

    if (fd < 0 && errno == EBUSY)
        cst_fail(error, CST_ERROR_BUSY, _("device '%s', or a partition of it, is in use"), path);
    else if (fd < 0)
        cst_fail_errno(error, errno, _("cannot open device '%s'"), path);
    return fd;
}

char *cst_device_uuid(const char *path)
{
    g_auto(CstFd) fd = cst_node_open(path, O_RDONLY);
    blkid_probe probe = NULL;
    const char *uuid = NULL;
    char *copy = NULL;

    if (fd >= 0 && cst_library_load(&cst_blkid_library, NULL))
        probe = blkid_new_probe();
    if (probe && blkid_probe_set_device(probe, fd, 0, 0) == 0) {
        blkid_probe_enable_superblocks(probe, 1);
        blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_UUID);
        if (blkid_do_safeprobe(probe) == 0 &&
            blkid_probe_lookup_value(probe, "UUID", &uuid, NULL) == 0)
            copy = g_strdup(uuid);
    }
    if (probe)
        blkid_free_probe(probe);
    return copy;
}

gboolean cst_device_is_free(const char *path, GError **error)
{
    g_auto(CstFd) fd = open_alone(path, O_RDONLY, error);

    return fd >= 0;
}

/* Also clears the end of the device, where some signatures are (RAID, GPT's backup). */
gboolean cst_device_clear(const char *path, GError **error)
{
    int fd = open_alone(path, O_RDWR, error);
    g_autoptr(CstBlob) blob = NULL;
    uint64_t size = 0, part;

    if (fd < 0)
        return FALSE;
    blob = cst_blob_file_new(fd, path, TRUE, error);
    if (!blob || !cst_blob_get_size(blob, &size, error))
        return FALSE;
    part = MIN(CST_MIB, size);
    return cst_blob_zero(blob, 0, part, 0, error) &&
           cst_blob_zero(blob, size - part, part, 0, error) && cst_blob_flush(blob, error);
}

/*
 * A lack of resources of this process, or a file that does not support such reads, is no error of
 * the device.
 */
static gboolean blames_device(int err)
{
    static const int others[] = {EMFILE, ENFILE, ENOMEM, EINTR, EACCES, EPERM, EINVAL, EISDIR};

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (err == others[i])
            return FALSE;
    return TRUE;
}

gboolean cst_device_touch(const char *path, GError **error)
{
    g_auto(CstFd) fd = cst_node_open(path, O_RDONLY | O_DIRECT);
    char block[4096] __attribute__((aligned(4096)));

    if (fd >= 0 && pread(fd, block, sizeof(block), 0) >= 0)
        return TRUE;
    return !blames_device(errno) || cst_fail_errno(error, errno, _("cannot read '%s'"), path);
}
