/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/**
 * Checks that the caller is the user of this process. It opens the socket of a monitor with its own
 * rights, so another user could have it talk to any socket. DENIED.
 */
gboolean running_qmp_check_caller(CstTask *task, GError **error);

/**
 * Appends the option --qmp to the message of *@error, a refusal because the volume is open, if a
 * QEMU has it that libvirt does not manage. Else like volume_explain_domains(), which it calls.
 */
void running_qmp_explain(const VolumeClaim *claim, GError **error);

/**
 * Finds the only process that has a claimed volume open. Return: FALSE with BUSY if there are
 * several, or if a domain of libvirt has the volume; INVALID if there is no process.
 */
gboolean running_qmp_find_process(const VolumeClaim *claim, int64_t *ret_pid, GError **error);

/**
 * Grows a claimed volume, and the disk of the QEMU whose monitor is at @socket, to @capacity bytes,
 * which are not less than the volume has. Only that QEMU may have the volume open, and no domain
 * of libvirt may have it. BUSY names the process or the domain. Else as cst_qmp_resize().
 */
gboolean running_qmp_grow(const VolumeClaim *claim, const CstVolume *volume, const char *socket,
                          uint64_t capacity, GError **error);
