/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * The messages between this process and the helper for QMP: one GVariant each, on the helper's
 * stdin and stdout.
 */

/** argv[1] of the helper. */
#define HYPERVISOR_QMP "--hypervisor-qmp"

/** socket, pid, is_device, device, inode, format, change, bytes. */
#define QMP_QUESTION "(sxbttsbt)"
/** outcome, detail, sent, capacity. */
#define QMP_ANSWER "(usbt)"

#define QMP_PACKET_MAX 65536 /* bytes of a question or an answer */
#define QMP_DETAIL_MAX 1024  /* bytes */

typedef enum {
    QMP_DONE,
    QMP_NO_LIBRARY,
    QMP_NO_SOCKET,
    QMP_DENIED,
    QMP_UNCONNECTED, /* the detail is the reason */
    QMP_OTHER_PROCESS,
    QMP_SILENT,
    QMP_CLOSED,
    QMP_MALFORMED,
    QMP_TOO_LONG,
    QMP_REFUSED, /* the detail is QEMU's message */
    QMP_NO_DISK,
    QMP_BELOW_TOP,
    QMP_SEVERAL_DISKS,
    QMP_READ_ONLY,
    QMP_OTHER_FORMAT,
    QMP_HAS_JOB,
    QMP_STOPPED, /* the detail is the state of the guest */
    QMP_LARGER,
    QMP_MIGRATES,   /* the detail is the state of the migration */
    QMP_UNVERIFIED, /* no event RESUME */
    QMP_LOST,       /* the process that talks to the monitor has ended */
    QMP_OUTCOME_LAST
} QmpOutcome;
