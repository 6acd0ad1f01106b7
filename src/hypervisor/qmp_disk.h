/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/hypervisor.h>

#include "qmp_client.h"

/** The disks of a QEMU, as its monitor reports them. Each failure sets that of the client. */

/** The disk that has a volume as its top image. */
typedef struct {
    char *name;        /**< of its node, or of its device */
    gboolean has_node; /**< @name is that of a node */
    gboolean reads_only;
    char *driver;      /**< of its image: "qcow2" */
    uint64_t capacity; /**< in bytes */
} QmpDisk;

void qmp_disk_clear(QmpDisk *disk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QmpDisk, qmp_disk_clear)

/**
 * Finds the only disk of process @pid that has @volume as its top image. *ret_disk is cleared
 * first, and set on success.
 */
gboolean qmp_disk_find(QmpClient *client, int64_t pid, const CstHypervisorVolume *volume,
                       QmpDisk *ret_disk);
/** Whether an image of QEMU's driver is one of the format. A disk without a format node is raw. */
gboolean qmp_disk_has_format(const QmpDisk *disk, const char *format);

/** Fails if a disk has a block job. */
gboolean qmp_check_jobs(QmpClient *client);
/** Returns the state of the guest ("running"), borrowed until the next command, or NULL. */
const char *qmp_read_status(QmpClient *client);
