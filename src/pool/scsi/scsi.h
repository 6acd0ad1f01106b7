/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/attached.h>

/**
 * Pools that are the LUNs of a SCSI host adapter, as libvirt has them: of any host by its number or
 * by where its hardware is, or of a Fibre Channel host by its world wide names, which may be a
 * virtual port (NPIV) that the pool makes and removes.
 *
 * From below to above; a file calls files of the lines before its own:
 *
 *     ../device/…      LUNs, names, volumes
 *     host.c           which host an adapter is
 *     vport.c          virtual ports
 *     scsi.c           the callbacks and their table
 *
 * Functions that are a callback of the table do what CstBackend says of it.
 */
extern const CstBackend cst_scsi_backend;

/* --- host.c ----------------------------------------------------------------------------------- */

/**
 * Number of the SCSI host that @adapter, of pool @pool, is now. NOT_FOUND when there is none;
 * CONFIG for a name that is none.
 */
gboolean scsi_host_find(const CstAdapter *adapter, const char *pool, unsigned *ret_host,
                        GError **error);
/** The same for a Fibre Channel host; FALSE: there is none of these names. */
gboolean scsi_fc_host_find(const char *wwnn, const char *wwpn, unsigned *ret_host);
/** "host7" or "scsi_host7" as a number. */
gboolean scsi_host_number(const char *name, unsigned *ret_host);
/** Whether the kernel has such a host. */
gboolean scsi_host_exists(unsigned host);
/** Where the hardware of @host is, as a path in sysfs; NULL: there is no such host. Free it. */
char *scsi_host_place(unsigned host);
/** Attribute of a Fibre Channel host; NULL: it has none of the name. Free it. */
char *scsi_fc_attribute(unsigned host, const char *name);
/** Numbers (unsigned) of all Fibre Channel hosts, in order; the caller unrefs. */
GArray *scsi_fc_hosts(void);
/** Whether two world wide names are the same, with or without "0x". */
gboolean scsi_same_wwn(const char *a, const char *b);

/* --- vport.c ---------------------------------------------------------------------------------- */

/**
 * Makes the virtual port that @adapter names, unless there is a host of its names; *ret_made: it
 * was made now. Waits for the host to appear.
 */
gboolean scsi_vport_ensure(const CstAdapter *adapter, const char *pool, gboolean *ret_made,
                           GError **error);
/** How long a driver may take to make or remove a port; tests change it. */
extern gint64 scsi_vport_wait_us;
/** Removes the virtual port; one that is gone is success. */
gboolean scsi_vport_remove(const CstAdapter *adapter, const char *pool, GError **error);
