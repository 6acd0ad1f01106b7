/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The texts of the failures of a QMP monitor for people. */
#include "qmp_outcome.h"

#include <base/i18n.h>
#include <base/text.h>

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
    [QMP_MIGRATES] = {CST_ERROR_BUSY, N_("QEMU has a migration; wait for its end, or end it "
                                         "(migrate_cancel)")},
    [QMP_UNVERIFIED] = {CST_ERROR_FAILED, N_("QEMU has not reported that it resumed the guest; "
                                             "try again")},
    [QMP_LOST] = {CST_ERROR_FAILED, N_("the connection was lost; try again")},
};

CstErrorCode qmp_outcome_code(QmpOutcome outcome)
{
    return qmp_outcomes[outcome].code;
}

char *qmp_reason_text(const char *socket, const char *reason, const char *detail)
{
    g_autofree char *plain = cst_text_escape(socket);

    return detail && *detail
               ? g_strdup_printf(_("the monitor at '%s': %s: %s"), plain, reason, detail)
               : g_strdup_printf(_("the monitor at '%s': %s"), plain, reason);
}

char *qmp_outcome_text(const char *socket, QmpOutcome outcome, const char *detail)
{
    return qmp_reason_text(socket, _(qmp_outcomes[outcome].reason), detail);
}
