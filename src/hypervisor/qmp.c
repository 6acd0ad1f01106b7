/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the helper process for a QMP monitor, and reports its answer (see the header). */
#include <hypervisor/qmp.h>

#include <string.h>

#include <base/child.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>

#include "connection.h"
#include "qmp_protocol.h"

/* The commands of a helper have a limit each. */
#define COMMANDS 8

static const struct {
    CstErrorCode code;
    const char *reason;
} qmp_outcomes[QMP_OUTCOME_LAST] = {
    [QMP_NO_LIBRARY] = {CST_ERROR_FAILED, N_("a library is missing")},
    [QMP_NO_SOCKET] = {CST_ERROR_NOT_FOUND, N_("there is no such socket")},
    [QMP_DENIED] = {CST_ERROR_DENIED, N_("permission denied")},
    [QMP_UNCONNECTED] = {CST_ERROR_FAILED, N_("cannot connect")},
    [QMP_OTHER_PROCESS] = {CST_ERROR_BUSY, N_("the monitor belongs to another process than the "
                                              "one that has the volume open; name the monitor of "
                                              "that QEMU")},
    [QMP_SILENT] = {CST_ERROR_TIMEOUT, N_("the monitor does not answer; a monitor serves one "
                                          "client, so end the other one")},
    [QMP_CLOSED] = {CST_ERROR_FAILED, N_("the monitor closed the connection; try again")},
    [QMP_MALFORMED] = {CST_ERROR_FAILED, N_("the answer is no QMP; name a monitor in the mode "
                                            "control (-qmp unix:PATH,server=on,wait=off)")},
    [QMP_TOO_LONG] = {CST_ERROR_LIMIT, N_("a line of the answer is too long")},
    [QMP_REFUSED] = {CST_ERROR_FAILED, N_("QEMU refused")},
    [QMP_NO_DISK] = {CST_ERROR_NOT_FOUND, N_("no disk of QEMU shows the volume by its path; shut "
                                             "the machine down first")},
    [QMP_BELOW_TOP] = {CST_ERROR_INVALID, N_("the volume is a backing file of a disk; name the "
                                             "volume on top")},
    [QMP_SEVERAL_DISKS] = {CST_ERROR_BUSY, N_("several disks show the volume; shut the machine "
                                              "down first")},
    [QMP_READ_ONLY] = {CST_ERROR_INVALID, N_("the disk is read-only; shut the machine down first")},
    [QMP_OTHER_FORMAT] = {CST_ERROR_INVALID, N_("QEMU uses the volume in another format; shut the "
                                                "machine down first")},
    [QMP_HAS_JOB] = {CST_ERROR_BUSY, N_("QEMU has a block job; wait for its end, or end it "
                                        "(block-job-cancel)")},
    [QMP_STOPPED] = {CST_ERROR_BUSY, N_("the guest does not run; resume it (cont), or shut the "
                                        "machine down first")},
    [QMP_LARGER] = {CST_ERROR_INVALID, N_("the guest's disk is larger than that; request a larger "
                                          "size")},
};

static GBytes *qmp_question_encode(const CstHypervisorVolume *volume, const CstQmpDisk *disk)
{
    g_autoptr(GVariant) question = g_variant_ref_sink(g_variant_new(
        QMP_QUESTION, disk->socket, (gint64)disk->pid, volume->is_device, (guint64)volume->device,
        (guint64)volume->inode, disk->format, disk->change, (guint64)disk->bytes));

    return g_variant_get_data_as_bytes(question);
}

static gboolean qmp_fail(const CstQmpDisk *disk, CstErrorCode code, const char *reason,
                         const char *detail, GError **error)
{
    g_autofree char *socket = cst_text_escape(disk->socket);

    return *detail ? cst_fail(error, code, _("the monitor at '%s': %s: %s"), socket, reason, detail)
                   : cst_fail(error, code, _("the monitor at '%s': %s"), socket, reason);
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
    const char *detail;
    guint64 capacity;
    guint32 outcome;

    if (status != 0 || !g_variant_is_normal_form(answer))
        return qmp_fail(disk, CST_ERROR_FAILED, _("its answer cannot be read"), "", error);
    g_variant_get(answer, "(u&sbt)", &outcome, &detail, ret_sent, &capacity);
    if (outcome >= QMP_OUTCOME_LAST)
        return qmp_fail(disk, CST_ERROR_FAILED, _("its answer cannot be read"), "", error);
    if (outcome != QMP_DONE)
        return qmp_fail(disk, qmp_outcomes[outcome].code, _(qmp_outcomes[outcome].reason), detail,
                        error);
    *ret_capacity = capacity;
    return TRUE;
}

static gboolean qmp_check_question(const CstQmpDisk *disk, GError **error)
{
    g_autofree char *socket = cst_text_escape(disk->socket);

    if (*disk->socket != '/' || strlen(disk->socket) > CST_QMP_SOCKET_MAX ||
        !g_utf8_validate(disk->socket, -1, NULL))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' cannot be the socket of a monitor: name an absolute path of at "
                          "most %d bytes"),
                        socket, CST_QMP_SOCKET_MAX);
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
    if (!qmp_check_question(disk, error))
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
