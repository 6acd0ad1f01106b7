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
 */
#include "qmp_helper.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/text.h>
#include <hypervisor/qmp.h>

#include "qmp_disk.h"

#define ALARM_S 60 /* of the process */

typedef struct {
    QmpClient client;
    CstHypervisorVolume volume;
    CstQmpDisk grown; /* borrows its texts from @question */
    QmpDisk disk;
    gboolean sent;
    GVariant *question;
} QmpHelper;

/* --- the checks ------------------------------------------------------------------------------- */

/* In other states the guest may have failed requests, or another QEMU has the disk next. */
static gboolean qmp_check_status(QmpHelper *helper)
{
    static const char *const fit[] = {"running", "paused", "prelaunch", "suspended", NULL};
    const char *status = qmp_read_status(&helper->client);

    return status &&
           (g_strv_contains(fit, status) || qmp_client_fail(&helper->client, QMP_STOPPED, status));
}

static gboolean qmp_find_disk(QmpHelper *helper)
{
    QmpClient *client = &helper->client;

    if (!qmp_disk_find(client, helper->grown.pid, &helper->volume, &helper->disk))
        return FALSE;
    if (!qmp_disk_has_format(&helper->disk, helper->grown.format))
        return qmp_client_fail(client, QMP_OTHER_FORMAT, helper->disk.driver);
    return !helper->disk.reads_only || qmp_client_fail(client, QMP_READ_ONLY, NULL);
}

static gboolean qmp_grow(QmpHelper *helper)
{
    g_autofree char *command = g_strdup_printf(
        "{\"execute\": \"block_resize\", \"arguments\": {\"%s\": \"%s\", "
        "\"size\": %" PRIu64 "}}",
        helper->disk.has_node ? "node-name" : "device", helper->disk.name, helper->grown.bytes);

    helper->sent = TRUE;
    if (!qmp_client_command(&helper->client, command)) {
        helper->sent = helper->client.outcome != QMP_REFUSED;
        return FALSE;
    }
    return qmp_find_disk(helper);
}

static gboolean qmp_resize(QmpHelper *helper)
{
    if (!qmp_client_connect(&helper->client, helper->grown.socket, helper->grown.pid) ||
        !qmp_check_status(helper) || !qmp_find_disk(helper) || !qmp_check_jobs(&helper->client))
        return FALSE;
    if (helper->disk.capacity > helper->grown.bytes)
        return qmp_client_fail(&helper->client, QMP_LARGER, NULL);
    return !helper->grown.change || helper->disk.capacity == helper->grown.bytes ||
           qmp_grow(helper);
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
    g_variant_get(helper->question, "(&sxbtt&sbt)", &helper->grown.socket, &pid,
                  &helper->volume.is_device, &device, &inode, &helper->grown.format,
                  &helper->grown.change, &size);
    helper->grown.pid = pid;
    helper->grown.bytes = size;
    helper->volume.device = device;
    helper->volume.inode = inode;
    return strlen(helper->grown.socket) <= CST_QMP_SOCKET_MAX;
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
                                         helper->sent, (guint64)helper->disk.capacity));

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
