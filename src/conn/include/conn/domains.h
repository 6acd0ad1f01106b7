/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>
#include <model/domain.h>

/**
 * Returns the disks of libvirt's domains that show the volume, as CstDomainDisk *, also of domains
 * with a managed save. The host of the server is asked, which may take seconds. Fails with TIMEOUT
 * if libvirt does not answer there, and with NO_SUPPORT by a stock server.
 */
GPtrArray *cst_conn_vol_domains(CstConn *conn, const CstVolRef *vol, GError **error);

/**
 * Returns libvirt's domains with the name or UUID @name, as CstDomain *; NULL: all domains. A drive
 * has its pool and volume, or the reason why it has no volume. The document of a domain is set only
 * if @name is. Fails with NOT_FOUND if there is no domain @name, and else as
 * cst_conn_vol_domains().
 */
GPtrArray *cst_conn_domains(CstConn *conn, const char *name, GError **error);

/**
 * Checks that libvirt of this host has no domain with this name or UUID, and defines the domain of
 * @document. A helper of this process asks libvirt, with the rights of its user, also if a daemon
 * serves @conn. @uuid NULL: libvirt makes one. @document NULL, or a dry run: only the check. Fails
 * with NO_SUPPORT if the server is on another host, EXISTS, NOT_FOUND without libvirt, TIMEOUT,
 * FAILED, LIMIT, and with CONFIG if the setting "hypervisor" of cisternd.conf is wrong.
 */
gboolean cst_conn_domain_define(CstConn *conn, const char *name, const char *uuid,
                                const char *document, GError **error);

/**
 * Begins live snapshots: a backup job of libvirt keeps the content of @vols (of CstVolRef *), which
 * are disks of one running domain. They are read by cst_conn_vol_send(), are in no list, and end
 * with the connection or by cst_conn_live_end(). cst_conn_vol_changed() reports the changes of a
 * volume since its base in the request, with CST_CHECKPOINT_PREFIX before the name. Fails with
 * NOT_FOUND if a volume is no disk of a running domain, with INVALID for disks of several
 * domains, with STATE if the consistency is worse than requested, and with BUSY or NO_SPACE if the
 * job cannot begin. NO_SUPPORT by a stock server.
 */
gboolean cst_conn_live_create(CstConn *conn, const GPtrArray *vols, const CstLiveRequest *request,
                              CstTask *task, CstSnapshotSet *ret_set, GError **error);
/** Ends the live snapshots with this name of this connection. Fails with NOT_FOUND. */
gboolean cst_conn_live_end(CstConn *conn, const char *name, GError **error);

/**
 * Call it first in main(): an embedded service starts this program again as a helper. Returns if
 * the arguments do not ask for a helper.
 */
void cst_conn_run_helper(int argc, char **argv);
