/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the helper process for a QMP monitor, and reports its answer. Describes a QEMU as the domain
 * that a pause suspends (see the header).
 */
#include <hypervisor/qmp.h>

#include <inttypes.h>
#include <string.h>

#include <base/child.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/process.h>
#include <base/text.h>

#include "connection.h"
#include "qmp_outcome.h"
#include "qmp_uri.h"

/* The commands of a helper have a limit each. */
#define COMMANDS 8

static GBytes *qmp_question_encode(const CstHypervisorVolume *volume, const CstQmpDisk *disk)
{
    g_autoptr(GVariant) question = g_variant_ref_sink(g_variant_new(
        QMP_QUESTION, disk->socket, (gint64)disk->pid, volume->is_device, (guint64)volume->device,
        (guint64)volume->inode, disk->format, disk->change, (guint64)disk->bytes));

    return g_variant_get_data_as_bytes(question);
}

static gboolean qmp_fail_unreadable(const CstQmpDisk *disk, GError **error)
{
    g_autofree char *text = qmp_reason_text(disk->socket, _("its answer cannot be read"), NULL);

    return cst_fail(error, CST_ERROR_FAILED, "%s", text);
}

/* Implements CstChildTake: keeps the answer, up to its maximal length. */
static gboolean qmp_answer_keep(const void *bytes, size_t length, gpointer data,
                                gboolean *ret_enough, GError **error)
{
    GByteArray *answer = data;

    *ret_enough = FALSE;
    if (length > QMP_PACKET_MAX - answer->len)
        return cst_fail(error, CST_ERROR_LIMIT, _("the answer has more than %d bytes"),
                        QMP_PACKET_MAX);
    g_byte_array_append(answer, bytes, (guint)length);
    return TRUE;
}

static gboolean qmp_answer_read(const CstQmpDisk *disk, GByteArray *packet, int status,
                                uint64_t *ret_capacity, gboolean *ret_sent, GError **error)
{
    g_autoptr(GBytes) bytes = g_bytes_new(packet->data, packet->len);
    g_autoptr(GVariant) answer =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(QMP_ANSWER), bytes, FALSE));
    g_autofree char *text = NULL;
    const char *detail;
    guint64 capacity;
    guint32 outcome;

    if (status != 0 || !g_variant_is_normal_form(answer))
        return qmp_fail_unreadable(disk, error);
    g_variant_get(answer, "(u&sbt)", &outcome, &detail, ret_sent, &capacity);
    if (outcome >= QMP_OUTCOME_LAST)
        return qmp_fail_unreadable(disk, error);
    if (outcome != QMP_DONE) {
        text = qmp_outcome_text(disk->socket, (QmpOutcome)outcome, detail);
        return cst_fail(error, qmp_outcome_code((QmpOutcome)outcome), "%s", text);
    }
    *ret_capacity = capacity;
    return TRUE;
}

static gboolean qmp_check_socket(const char *socket, GError **error)
{
    g_autofree char *plain = cst_text_escape(socket);

    if (*socket != '/' || strlen(socket) > CST_QMP_SOCKET_MAX || !g_utf8_validate(socket, -1, NULL))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' cannot be the socket of a monitor: name an absolute path of at "
                          "most %d bytes"),
                        plain, CST_QMP_SOCKET_MAX);
    return hypervisor_check_helper(error);
}

gboolean cst_qmp_resize(const CstHypervisorVolume *volume, const CstQmpDisk *disk, CstTask *task,
                        uint64_t *ret_capacity, gboolean *ret_sent, GError **error)
{
    const char *const argv[] = {HYPERVISOR_PROGRAM, HYPERVISOR_QMP, NULL};
    g_autoptr(GByteArray) packet = g_byte_array_new();
    const CstChildStream stream = {.take = qmp_answer_keep, .data = packet};
    CstChild child = {.argv = argv,
                      .timeout_s = COMMANDS * CST_QMP_REPLY_S + HYPERVISOR_START_S,
                      .stream = &stream};
    g_auto(CstChildResult) result = {0};
    g_autoptr(GBytes) input = NULL;
    gboolean ran;

    *ret_sent = FALSE;
    if (!qmp_check_socket(disk->socket, error))
        return FALSE;
    input = qmp_question_encode(volume, disk);
    child.input = g_bytes_get_data(input, &child.input_len);
    /* A helper that was killed may have sent the change. */
    *ret_sent = disk->change;
    cst_task_set_waiting(task, TRUE);
    ran = cst_child_run(&child, disk->change ? NULL : task, &result, error);
    cst_task_set_waiting(task, FALSE);
    return ran && qmp_answer_read(disk, packet, result.status, ret_capacity, ret_sent, error);
}

CstDomainDisk *cst_qmp_domain_disk(const char *socket, int64_t pid, GError **error)
{
    const QmpUri uri = {.socket = (char *)socket, .pid = pid, .start = qmp_process_start(pid)};
    CstDomainDisk *disk;

    if (!qmp_check_socket(socket, error))
        return NULL;
    if (uri.start == 0) {
        cst_fail(error, CST_ERROR_NOT_FOUND, _("process %" PRId64 " has ended"), pid);
        return NULL;
    }
    disk = g_new0(CstDomainDisk, 1);
    disk->domain = cst_process_describe(pid);
    disk->uri = qmp_uri_format(&uri);
    disk->uuid = qmp_uri_uuid(&uri);
    return disk;
}
