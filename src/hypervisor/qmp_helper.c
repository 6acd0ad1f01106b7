/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper process that talks to a QMP monitor. The process protects its caller from a monitor
 * that sends malformed data, for example JSON that is nested too deeply for the parser.
 *
 *   1. The process that listens at the socket is the one that has the volume open.
 *   2. query-status: the guest runs, or an administrator paused it.
 *   3. query-block: exactly one disk has the volume as its top image, in the volume's format.
 *   4. query-block-jobs: no disk has a job.
 *   5. block_resize, and query-block again.
 *
 * QEMU reports an image by its path. The path is resolved in the root or the working directory of
 * the process, and its device and inode number are compared with those of the volume.
 */
#include "qmp_helper.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/text.h>
#include <hypervisor/qmp.h>

#include "qmp_client.h"

#define LAYERS_MAX   256
#define PLAIN_DRIVER "raw" /* the format of a disk without a format node */
#define ALARM_S      60    /* of the process */

typedef struct {
    QmpClient client;
    CstHypervisorVolume volume;
    CstQmpDisk disk;   /* borrows its texts from @question */
    char *name;        /* of the disk's node or device; NULL: not found */
    gboolean has_node; /* @name is that of a node */
    gboolean sent;
    uint64_t capacity; /* of the disk, in bytes */
    GVariant *question;
} QmpHelper;

/* --- the disk --------------------------------------------------------------------------------- */

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
static gboolean qmp_path_is_volume(const QmpHelper *helper, const char *path)
{
    g_autofree char *inside = NULL;

    if (!path || !*path)
        return FALSE;
    inside = g_strdup_printf("/proc/%" PRId64 "/%s%s", helper->disk.pid,
                             *path == '/' ? "root" : "cwd/", path);
    return stat_is_volume(inside, &helper->volume) ||
           (*path == '/' && stat_is_volume(path, &helper->volume));
}

/* Whether the volume is a backing file of the image with this "image" object. */
static gboolean image_has_volume_below(const QmpHelper *helper, JsonObject *image)
{
    JsonObject *below = qmp_object_member(image, "backing-image");

    for (unsigned i = 0; below && i < LAYERS_MAX; i++) {
        if (qmp_path_is_volume(helper, qmp_text_member(below, "filename")))
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

static gboolean driver_is_format(const char *driver, const char *format)
{
    if (!driver)
        return FALSE;
    if (strcmp(driver, "file") == 0 || strcmp(driver, "host_device") == 0)
        driver = PLAIN_DRIVER;
    return strcmp(driver, format) == 0;
}

static gboolean disk_adopt(QmpHelper *helper, JsonObject *device, JsonObject *inserted)
{
    const char *node = qmp_text_member(inserted, "node-name");

    if (helper->name)
        return qmp_client_fail(&helper->client, QMP_SEVERAL_DISKS, NULL);
    if (!driver_is_format(qmp_text_member(inserted, "drv"), helper->disk.format))
        return qmp_client_fail(&helper->client, QMP_OTHER_FORMAT, qmp_text_member(inserted, "drv"));
    if (qmp_true_member(inserted, "ro"))
        return qmp_client_fail(&helper->client, QMP_READ_ONLY, NULL);
    helper->has_node = name_is_plain(node);
    helper->name = g_strdup(helper->has_node ? node : qmp_text_member(device, "device"));
    if (!name_is_plain(helper->name) ||
        !qmp_size_member(qmp_object_member(inserted, "image"), "virtual-size", &helper->capacity))
        return qmp_client_fail(&helper->client, QMP_MALFORMED, NULL);
    return TRUE;
}

/* Finds the disk of the volume in the reply of query-block. */
static gboolean disk_find(QmpHelper *helper)
{
    JsonNode *reply = qmp_client_command(&helper->client, "{\"execute\": \"query-block\"}");
    gboolean below = FALSE;
    JsonArray *devices;

    g_clear_pointer(&helper->name, g_free);
    if (!reply)
        return FALSE;
    if (!JSON_NODE_HOLDS_ARRAY(reply))
        return qmp_client_fail(&helper->client, QMP_MALFORMED, NULL);
    devices = json_node_get_array(reply);
    for (guint i = 0; i < json_array_get_length(devices); i++) {
        JsonNode *element = json_array_get_element(devices, i);
        JsonObject *device = JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL;
        JsonObject *inserted = qmp_object_member(device, "inserted");

        if (qmp_path_is_volume(helper, qmp_text_member(inserted, "file"))) {
            if (!disk_adopt(helper, device, inserted))
                return FALSE;
        } else if (image_has_volume_below(helper, qmp_object_member(inserted, "image"))) {
            below = TRUE;
        }
    }
    if (below)
        return qmp_client_fail(&helper->client, QMP_BELOW_TOP, NULL);
    return helper->name || qmp_client_fail(&helper->client, QMP_NO_DISK, NULL);
}

/* --- the checks ------------------------------------------------------------------------------- */

/* In other states the guest may have failed requests, or another QEMU has the disk next. */
static gboolean qmp_check_status(QmpHelper *helper)
{
    static const char *const fit[] = {"running", "paused", "prelaunch", "suspended", NULL};
    JsonNode *reply = qmp_client_command(&helper->client, "{\"execute\": \"query-status\"}");
    const char *status;

    if (!reply)
        return FALSE;
    status = JSON_NODE_HOLDS_OBJECT(reply) ? qmp_text_member(json_node_get_object(reply), "status")
                                           : NULL;
    if (!status)
        return qmp_client_fail(&helper->client, QMP_MALFORMED, NULL);
    return g_strv_contains(fit, status) || qmp_client_fail(&helper->client, QMP_STOPPED, status);
}

static gboolean qmp_check_jobs(QmpHelper *helper)
{
    JsonNode *reply = qmp_client_command(&helper->client, "{\"execute\": \"query-block-jobs\"}");

    if (!reply)
        return FALSE;
    if (!JSON_NODE_HOLDS_ARRAY(reply))
        return qmp_client_fail(&helper->client, QMP_MALFORMED, NULL);
    return json_array_get_length(json_node_get_array(reply)) == 0 ||
           qmp_client_fail(&helper->client, QMP_HAS_JOB, NULL);
}

static gboolean qmp_grow(QmpHelper *helper)
{
    g_autofree char *command = g_strdup_printf(
        "{\"execute\": \"block_resize\", \"arguments\": {\"%s\": \"%s\", "
        "\"size\": %" PRIu64 "}}",
        helper->has_node ? "node-name" : "device", helper->name, helper->disk.bytes);

    helper->sent = TRUE;
    if (!qmp_client_command(&helper->client, command)) {
        helper->sent = helper->client.outcome != QMP_REFUSED;
        return FALSE;
    }
    return disk_find(helper);
}

static gboolean qmp_resize(QmpHelper *helper)
{
    if (!qmp_client_connect(&helper->client, helper->disk.socket, helper->disk.pid) ||
        !qmp_check_status(helper) || !disk_find(helper) || !qmp_check_jobs(helper))
        return FALSE;
    if (helper->capacity > helper->disk.bytes)
        return qmp_client_fail(&helper->client, QMP_LARGER, NULL);
    return !helper->disk.change || helper->capacity == helper->disk.bytes || qmp_grow(helper);
}

/* --- the process ------------------------------------------------------------------------------ */

static gboolean qmp_read_question(QmpHelper *helper)
{
    g_autofree char *buf = g_malloc(QMP_PACKET_MAX);
    size_t len = fread(buf, 1, QMP_PACKET_MAX, stdin);
    g_autoptr(GBytes) bytes = g_bytes_new(buf, len);
    guint64 device, inode, size;
    gint64 pid;

    helper->question =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(QMP_QUESTION), bytes, FALSE));
    if (!g_variant_is_normal_form(helper->question))
        return FALSE;
    g_variant_get(helper->question, "(&sxbtt&sbt)", &helper->disk.socket, &pid,
                  &helper->volume.is_device, &device, &inode, &helper->disk.format,
                  &helper->disk.change, &size);
    helper->disk.pid = pid;
    helper->disk.bytes = size;
    helper->volume.device = device;
    helper->volume.inode = inode;
    return strlen(helper->disk.socket) <= CST_QMP_SOCKET_MAX;
}

static gboolean qmp_write_answer(const QmpHelper *helper)
{
    g_autofree char *valid =
        g_utf8_make_valid(helper->client.detail ? helper->client.detail : "", -1);
    g_autofree char *plain = cst_text_escape(valid);
    g_autofree char *detail =
        g_utf8_substring(plain, 0, MIN(g_utf8_strlen(plain, -1), QMP_DETAIL_MAX / 4));
    g_autoptr(GVariant) answer =
        g_variant_ref_sink(g_variant_new(QMP_ANSWER, (guint32)helper->client.outcome, detail,
                                         helper->sent, (guint64)helper->capacity));

    return fwrite(g_variant_get_data(answer), 1, g_variant_get_size(answer), stdout) ==
               g_variant_get_size(answer) &&
           fflush(stdout) == 0;
}

void qmp_helper_main(int argc, char **argv)
{
    QmpHelper helper = {.client.fd = -1};
    g_autoptr(GError) error = NULL;

    (void)argv;
    if (argc != 2 || !qmp_read_question(&helper))
        _exit(EXIT_FAILURE);
    alarm(ALARM_S);
    if (!cst_library_load(&cst_json_glib_library, &error))
        qmp_client_fail(&helper.client, QMP_NO_LIBRARY, error->message);
    else
        qmp_resize(&helper);
    _exit(qmp_write_answer(&helper) ? EXIT_SUCCESS : EXIT_FAILURE);
}
