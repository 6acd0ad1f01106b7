/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/domain.h>
#include <store/paths.h>

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

/**
 * Checks that libvirt of this host has no domain with this name or UUID, and defines the domain of
 * @document, with the rights of this process. @uuid NULL: libvirt makes one. @document NULL: only
 * the check. The first connection of the setting "hypervisor" in the configuration of @paths is
 * used. No service is needed. Fails with EXISTS, NOT_FOUND without libvirt, TIMEOUT, FAILED, LIMIT,
 * and CONFIG.
 */
gboolean cst_service_define_domain(const CstPaths *paths, const char *name, const char *uuid,
                                   const char *document, GError **error);
