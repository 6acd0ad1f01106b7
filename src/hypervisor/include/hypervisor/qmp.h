/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/hypervisor.h>
#include <model/domain.h>

/**
 * A QEMU that libvirt does not manage, by the Unix socket of its QMP monitor. A helper process
 * talks to the monitor (qmp_helper.c). It runs with the rights of this process, so the caller
 * decides whose path it may open. A monitor serves one client at a time.
 */

/** Maximum length of the path of a monitor's socket, in bytes. */
#define CST_QMP_SOCKET_MAX 107

/** Seconds in which the monitor must answer each command. */
#define CST_QMP_REPLY_S 5

/** A disk that is to grow. The texts are borrowed. */
typedef struct {
    const char *socket; /**< absolute path */
    int64_t pid;        /**< the process that has the volume open */
    const char *format; /**< of the volume */
    uint64_t bytes;     /**< the new size of the disk, a multiple of 512 */
    gboolean change;    /**< FALSE: check only */
} CstQmpDisk;

/**
 * Checks that the monitor belongs to process @disk->pid, that exactly one disk of it is @volume,
 * which must have a file, and that the disk can grow to @disk->bytes. Then grows it if
 * @disk->change is set (block_resize). *ret_capacity is the size of the disk afterwards, in bytes;
 * set on success. *ret_sent: the change was sent, and QEMU did not refuse it. @task may be NULL. It
 * cannot cancel a change.
 *
 * Return: FALSE with NOT_FOUND if there is no such socket or disk, DENIED if it may not be opened,
 * BUSY for a job, for a guest that an I/O error stopped, and for a monitor of another process,
 * INVALID for a smaller size, a backing file, another format, and a read-only disk, TIMEOUT
 * if the monitor does not answer, FAILED if it closes the connection, answers no QMP, or reports an
 * error. If *ret_sent is set then, it is unknown whether the disk has grown.
 */
gboolean cst_qmp_resize(const CstHypervisorVolume *volume, const CstQmpDisk *disk, CstTask *task,
                        uint64_t *ret_capacity, gboolean *ret_sent, GError **error);

/**
 * Returns process @pid, a QEMU whose monitor is at @socket, in the place of a running domain: the
 * URI and the UUID are accepted by cst_hypervisor_pause_begin(), and the name describes the
 * process. Checks neither the process nor the socket; the begin of the pause does. Free it with
 * cst_domain_disk_free().
 *
 * Return: NULL with INVALID if @socket cannot be that of a monitor, and with NOT_FOUND if the
 * process has ended.
 */
CstDomainDisk *cst_qmp_domain_disk(const char *socket, int64_t pid, GError **error);
