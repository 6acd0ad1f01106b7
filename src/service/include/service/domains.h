/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/domain.h>

#include <service/service.h>

/**
 * Returns libvirt's domains with the name or UUID @name, as CstDomain *; NULL: all domains, also
 * shut-off ones. The pool and the volume of a drive are those of this service; NULL if the drive is
 * no volume of an active pool, and ->problem says why then. The documents of domains are set only
 * if @name is. Asks libvirt, which may take seconds. The caller holds no lock and no claim.
 *
 * Return: NULL with NOT_FOUND if libvirt has no domain @name, or does not run. INVALID if several
 * domains have that name. TIMEOUT or FAILED if libvirt does not answer, and CONFIG if the setting
 * "hypervisor" of cisternd.conf is wrong.
 */
GPtrArray *cst_service_domains(CstService *service, const char *name, CstTask *task,
                               GError **error);
