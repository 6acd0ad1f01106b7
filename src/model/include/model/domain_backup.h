/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The documents of virDomainBackupBegin() in pull mode. */

typedef struct {
    const char *target;  /**< of the disk; also the name of its export */
    const char *scratch; /**< path of its scratch file; NULL: the disk takes no part */
} CstDomainBackupDisk;

/**
 * Returns the document of a backup whose exports are served at @socket. It must name each disk of
 * the domain. The caller frees it. Fails with INVALID if XML cannot represent a value.
 */
char *cst_domain_backup_format(const char *socket, const CstDomainBackupDisk *disks, guint n_disks,
                               GError **error);

/**
 * Returns the socket of the server in the document of a running backup, which is untrusted. NULL:
 * there is no such socket, or the document cannot be parsed. The caller frees it.
 */
char *cst_domain_backup_socket(const char *xml);
