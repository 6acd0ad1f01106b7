/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disks of a QEMU (see the header).
 *
 * QEMU reports an image by its path. The path is resolved in the root or the working directory of
 * the process, and its device and inode number are compared with those of the volume.
 */
#include "qmp_disk.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define LAYERS_MAX   256
#define PLAIN_DRIVER "raw" /* the format of a disk without a format node */

void qmp_disk_clear(QmpDisk *disk)
{
    g_clear_pointer(&disk->name, g_free);
    g_clear_pointer(&disk->driver, g_free);
}

static gboolean stat_is_volume(const char *path, const CstHypervisorVolume *volume)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return FALSE;
    if (volume->is_device)
        return S_ISBLK(st.st_mode) && st.st_rdev == volume->device;
    return S_ISREG(st.st_mode) && st.st_dev == volume->device && st.st_ino == volume->inode;
}

/* @path may be NULL. A path "json:{…}" or a URL is not found. */
static gboolean path_is_volume(int64_t pid, const char *path, const CstHypervisorVolume *volume)
{
    g_autofree char *inside = NULL;

    if (!path || !*path)
        return FALSE;
    inside = g_strdup_printf("/proc/%" PRId64 "/%s%s", pid, *path == '/' ? "root" : "cwd/", path);
    return stat_is_volume(inside, volume) || (*path == '/' && stat_is_volume(path, volume));
}

/* Whether the volume is a backing file of the image with this "image" object. */
static gboolean image_has_volume_below(int64_t pid, JsonObject *image,
                                       const CstHypervisorVolume *volume)
{
    JsonObject *below = qmp_object_member(image, "backing-image");

    for (unsigned i = 0; below && i < LAYERS_MAX; i++) {
        if (path_is_volume(pid, qmp_text_member(below, "filename"), volume))
            return TRUE;
        below = qmp_object_member(below, "backing-image");
    }
    return FALSE;
}

/* The names go into a command without escapes. QEMU permits no other characters. */
static gboolean name_is_plain(const char *name)
{
    return name && *name &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                        "#._-") == strlen(name);
}

gboolean qmp_disk_has_format(const QmpDisk *disk, const char *format)
{
    const char *driver = disk->driver;

    if (!driver)
        return FALSE;
    if (strcmp(driver, "file") == 0 || strcmp(driver, "host_device") == 0)
        driver = PLAIN_DRIVER;
    return strcmp(driver, format) == 0;
}

static gboolean disk_adopt(QmpClient *client, JsonObject *device, JsonObject *inserted,
                           QmpDisk *disk)
{
    const char *node = qmp_text_member(inserted, "node-name");

    if (disk->name)
        return qmp_client_fail(client, QMP_SEVERAL_DISKS, NULL);
    disk->has_node = name_is_plain(node);
    disk->name = g_strdup(disk->has_node ? node : qmp_text_member(device, "device"));
    disk->driver = g_strdup(qmp_text_member(inserted, "drv"));
    disk->reads_only = qmp_true_member(inserted, "ro");
    if (!name_is_plain(disk->name) ||
        !qmp_size_member(qmp_object_member(inserted, "image"), "virtual-size", &disk->capacity))
        return qmp_client_fail(client, QMP_MALFORMED, NULL);
    return TRUE;
}

gboolean qmp_disk_find(QmpClient *client, int64_t pid, const CstHypervisorVolume *volume,
                       QmpDisk *ret_disk)
{
    JsonNode *reply = qmp_client_command(client, "{\"execute\": \"query-block\"}");
    gboolean below = FALSE;
    JsonArray *devices;

    qmp_disk_clear(ret_disk);
    if (!reply)
        return FALSE;
    if (!JSON_NODE_HOLDS_ARRAY(reply))
        return qmp_client_fail(client, QMP_MALFORMED, NULL);
    devices = json_node_get_array(reply);
    for (guint i = 0; i < json_array_get_length(devices); i++) {
        JsonNode *element = json_array_get_element(devices, i);
        JsonObject *device = JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL;
        JsonObject *inserted = qmp_object_member(device, "inserted");

        if (path_is_volume(pid, qmp_text_member(inserted, "file"), volume)) {
            if (!disk_adopt(client, device, inserted, ret_disk))
                return FALSE;
        } else if (image_has_volume_below(pid, qmp_object_member(inserted, "image"), volume)) {
            below = TRUE;
        }
    }
    if (below)
        return qmp_client_fail(client, QMP_BELOW_TOP, NULL);
    return ret_disk->name || qmp_client_fail(client, QMP_NO_DISK, NULL);
}

gboolean qmp_check_jobs(QmpClient *client)
{
    JsonNode *reply = qmp_client_command(client, "{\"execute\": \"query-block-jobs\"}");

    if (!reply)
        return FALSE;
    if (!JSON_NODE_HOLDS_ARRAY(reply))
        return qmp_client_fail(client, QMP_MALFORMED, NULL);
    return json_array_get_length(json_node_get_array(reply)) == 0 ||
           qmp_client_fail(client, QMP_HAS_JOB, NULL);
}

const char *qmp_read_status(QmpClient *client)
{
    JsonNode *reply = qmp_client_command(client, "{\"execute\": \"query-status\"}");
    const char *status;

    if (!reply)
        return NULL;
    status = JSON_NODE_HOLDS_OBJECT(reply) ? qmp_text_member(json_node_get_object(reply), "status")
                                           : NULL;
    if (!status)
        qmp_client_fail(client, QMP_MALFORMED, NULL);
    return status;
}
