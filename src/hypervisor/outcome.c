/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The texts of outcomes and gaps for people. */
#include "outcome.h"

#include <base/i18n.h>

static const struct {
    CstErrorCode code;
    const char *reason;
} outcomes[PAUSE_OUTCOME_LAST] = {
    [PAUSE_ENDED] = {CST_ERROR_NOT_FOUND, N_("it does not run any more")},
    [PAUSE_NO_DISK] = {CST_ERROR_NOT_FOUND, N_("a volume is not a disk of it")},
    [PAUSE_BELOW_TOP] = {CST_ERROR_INVALID, N_("a volume is a backing file of a disk; name the "
                                               "volume of the disk itself")},
    [PAUSE_SHAREABLE] = {CST_ERROR_INVALID, N_("shut it down first, because other domains may "
                                               "write to its shareable disk")},
    [PAUSE_HAS_JOB] = {CST_ERROR_BUSY, N_("it has a job (virsh domjobinfo); try again later")},
    [PAUSE_HAS_BLOCK_JOB] = {CST_ERROR_BUSY, N_("a disk has a block job (virsh blockjob); try "
                                                "again later")},
    [PAUSE_IO_ERROR] = {CST_ERROR_BUSY, N_("an I/O error has paused it (virsh domblkerror); resume "
                                           "it or stop it first")},
    [PAUSE_STOPPED] = {CST_ERROR_BUSY, N_("another program has stopped it, or it is ending; try "
                                          "again when it runs")},
    [PAUSE_LOCKED] = {CST_ERROR_BUSY, N_("another process pauses it, or undoes an earlier pause; "
                                         "try again later")},
    [PAUSE_FROZEN] = {CST_ERROR_BUSY, N_("another program has frozen its file systems; try again "
                                         "later")},
    [PAUSE_INTERRUPTED] = {CST_ERROR_BUSY, N_("another program resumed it; try again")},
    [PAUSE_UNVERIFIED] = {CST_ERROR_FAILED, N_("libvirt has not reported that it was resumed; try "
                                               "again")},
    [PAUSE_EXPIRED] = {CST_ERROR_TIMEOUT, N_("the time limit has passed, and it was resumed; try "
                                             "again")},
    [PAUSE_TIMEOUT] = {CST_ERROR_TIMEOUT, N_("libvirt did not answer")},
    [PAUSE_LOST] = {CST_ERROR_FAILED, N_("the connection to libvirt was lost; try again")},
    [PAUSE_BACKED_UP] = {CST_ERROR_BUSY, N_("another process backs it up, or ends an earlier "
                                            "backup; try again later")},
    [PAUSE_READ_ONLY] = {CST_ERROR_INVALID, N_("its disk is read-only; copy the volume without a "
                                               "backup job")},
    [PAUSE_BAD_TARGET] = {CST_ERROR_INVALID, N_("the name of its disk cannot name a file")},
    [PAUSE_DENIED] = {CST_ERROR_DENIED, N_("permission denied")},
    [PAUSE_NO_SPACE] = {CST_ERROR_NO_SPACE, N_("the scratch space is too small; free space there, "
                                               "or back up when the guest writes less")},
    [PAUSE_ABORTED] = {CST_ERROR_FAILED, N_("another program has ended its backup job; try again")},
    [PAUSE_SAVED] = {CST_ERROR_BUSY, N_("it has a managed save, which names its disks; run virsh "
                                        "managedsave-remove")},
    [PAUSE_TRANSIENT] = {CST_ERROR_INVALID, N_("it is transient, and its owner starts it again "
                                               "with the files of before; say --yes to accept "
                                               "that, or define it (virsh define)")},
    [PAUSE_FIXED] = {CST_ERROR_INVALID, N_("its disk is read-only; shut the domain down first")},
    [PAUSE_TRANSLATED] = {CST_ERROR_UNSUPPORTED,
                          N_("its disk is encrypted or a slice of its image")},
    [PAUSE_OTHER_IMAGE] = {CST_ERROR_FAILED, N_("another program has changed its persistent "
                                                "definition")},
    [PAUSE_NO_VOLUME] = {CST_ERROR_NOT_FOUND, N_("libvirt does not know the volume by its pool and "
                                                 "name")},
    [PAUSE_OWN_IMAGE] = {CST_ERROR_INVALID, N_("a disk of it has the destination already; choose "
                                               "another one")},
    [PAUSE_NO_LAYER] = {CST_ERROR_NOT_FOUND, N_("the disk has no such backing file")},
    [PAUSE_CHANGED] = {CST_ERROR_BUSY, N_("another process has a block job of its disk, or ends an "
                                          "earlier one; try again later")},
    [PAUSE_JOB_ENDED] = {CST_ERROR_FAILED, N_("another program has ended its block job; try "
                                              "again")},
    [PAUSE_JOB_FAILED] = {CST_ERROR_FAILED, N_("the block job failed; check the size and the free "
                                               "space of its destination")},
    [PAUSE_NOT_READY] = {CST_ERROR_INVALID, N_("the copy is not complete yet; wait for it first")},
    [PAUSE_CHECKED] = {CST_ERROR_DRY_RUN, N_("the dry run has ended before the block job")},
    [PAUSE_REFUSED] = {CST_ERROR_FAILED, N_("libvirt failed")},
    [PAUSE_FAILED] = {CST_ERROR_FAILED, N_("libvirt failed")},
};

static const char *const gaps[PAUSE_GAP_LAST] = {
    [PAUSE_GAP_NOT_REQUESTED] = N_("a freeze of the file systems was not requested"),
    [PAUSE_GAP_MONITOR] = N_("a monitor of QEMU cannot freeze the file systems"),
    [PAUSE_GAP_STOOD] = N_("the domain was paused before"),
    [PAUSE_GAP_NO_AGENT] = N_("the domain has no channel for a guest agent"),
    [PAUSE_GAP_DISCONNECTED] = N_("the guest agent is not connected"),
    [PAUSE_GAP_PING] = N_("the guest agent does not answer"),
    [PAUSE_GAP_FREEZE] = N_("the file systems could not be frozen"),
    [PAUSE_GAP_EMPTY] = N_("the guest agent froze no file system"),
    [PAUSE_GAP_THAW] = N_("the file systems could not be thawed"),
    [PAUSE_GAP_EXPIRED] = N_("the limit of a freeze passed before the copy was complete"),
    [PAUSE_GAP_LOST] = N_("the connection to libvirt was lost during the freeze"),
    [PAUSE_GAP_THAWED] = N_("file systems were thawed before the copy was complete"),
};

/* Returns "REASON: DETAIL", or "REASON" without a detail. The caller frees it. */
static char *reason_text(const char *reason, const char *detail)
{
    return detail ? g_strdup_printf("%s: %s", _(reason), detail) : g_strdup(_(reason));
}

CstErrorCode pause_outcome_code(PauseOutcome outcome)
{
    return outcomes[outcome].code;
}

char *pause_outcome_text(PauseOutcome outcome, const char *detail)
{
    return reason_text(outcomes[outcome].reason, detail);
}

char *pause_gap_text(PauseGap gap, const char *detail)
{
    return reason_text(gaps[gap], detail);
}
