/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/attached.h>

/**
 * Pools of the LUNs of a SCSI host adapter, as in libvirt. The adapter is a host by its number or
 * by the address of its hardware, or a Fibre Channel host by its world wide names. The latter may
 * be a virtual port (NPIV) that the pool creates and removes.
 *
 * From bottom to top; a file calls only files of earlier lines:
 *
 *     ../device/…      LUNs, names, volumes
 *     host.c           finds the host of an adapter
 *     vport.c          virtual ports
 *     scsi.c           the callbacks and their table
 *
 * CstBackend has the contracts of the callbacks.
 */
extern const CstBackend cst_scsi_backend;

/* --- host.c ----------------------------------------------------------------------------------- */

/**
 * Finds the current number of the SCSI host of @adapter, of pool @pool. NOT_FOUND if the host does
 * not exist; CONFIG if the adapter's name is not valid.
 */
gboolean scsi_host_find(const CstAdapter *adapter, const char *pool, unsigned *ret_host,
                        GError **error);
/** Finds a Fibre Channel host by its names. FALSE if no host has them. */
gboolean scsi_fc_host_find(const char *wwnn, const char *wwpn, unsigned *ret_host);
/** Parses "host7", "scsi_host7" or "fc_host7". FALSE for other names. */
gboolean scsi_host_number(const char *name, unsigned *ret_host);
/** Whether the kernel has such a host. */
gboolean scsi_host_exists(unsigned host);
/**
 * Returns the location of the hardware of @host, as a path in sysfs. NULL if the host does not
 * exist. The caller frees it.
 */
char *scsi_host_place(unsigned host);
/** Returns an attribute of a Fibre Channel host; NULL if it does not exist. The caller frees it. */
char *scsi_fc_attribute(unsigned host, const char *name);
/** Returns the sorted numbers (unsigned) of all Fibre Channel hosts. The caller unrefs it. */
GArray *scsi_fc_hosts(void);
/** Whether two world wide names are equal, with or without "0x". */
gboolean scsi_same_wwn(const char *a, const char *b);

/* --- vport.c ---------------------------------------------------------------------------------- */

/**
 * Creates the virtual port of @adapter, unless a host has its names. Sets *ret_made to whether it
 * was created now. Waits until the host appears.
 */
gboolean scsi_vport_ensure(const CstAdapter *adapter, const char *pool, gboolean *ret_made,
                           GError **error);
/** Maximum wait for a driver to create or remove a port, in µs; tests change it. */
extern gint64 scsi_vport_wait_us;
/** Removes the virtual port. Succeeds if it does not exist. */
gboolean scsi_vport_remove(const CstAdapter *adapter, const char *pool, GError **error);
