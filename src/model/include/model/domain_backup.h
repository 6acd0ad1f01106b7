/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The documents of virDomainBackupBegin() in pull mode, and of checkpoints. */

typedef struct {
    const char *target;  /**< of the disk; also the name of its export */
    const char *scratch; /**< path of its scratch file; NULL: the disk takes no part */
    const char
        *base; /**< checkpoint: the changes since then are exported, too; NULL: they are not */
    gboolean tracked; /**< the new checkpoint has the disk, so QEMU records its changes */
} CstDomainBackupDisk;

/**
 * Whether QEMU can record the changes of an image with this format, as libvirt names it. NULL: not
 * known.
 */
gboolean cst_domain_can_track(const char *format);

/**
 * Returns the name of the NBD metadata context with the changes of the disk @target since the
 * checkpoint of its backup. The caller frees it.
 */
char *cst_domain_backup_context(const char *target);

/**
 * Returns the document of a backup whose exports are served at @socket. It must name each disk of
 * the domain. The caller frees it. Fails with INVALID if XML cannot represent a value.
 */
char *cst_domain_backup_format(const char *socket, const CstDomainBackupDisk *disks, guint n_disks,
                               GError **error);

/**
 * Returns the document of a new checkpoint @name, which has the tracked ones of @disks. The caller
 * frees it. Fails with INVALID if XML cannot represent a value.
 */
char *cst_domain_checkpoint_format(const char *name, const CstDomainBackupDisk *disks,
                                   guint n_disks, GError **error);

/**
 * Whether the document of a checkpoint, which is untrusted, has the size of the changes of disk
 * @target. libvirt reports it only if QEMU still has the bitmap of each checkpoint since then.
 */
gboolean cst_domain_checkpoint_has_changes(const char *xml, const char *target);

/** Whether such a document has a disk without the size of its changes. */
gboolean cst_domain_checkpoint_is_broken(const char *xml);
/** Returns the time of the checkpoint in seconds since the epoch; 0: not shown. */
gint64 cst_domain_checkpoint_created(const char *xml);

/** Whether a backup of Cistern may have a checkpoint with this name: "cistern-backup-ID-RANDOM". */
gboolean cst_checkpoint_name_is_valid(const char *name);
/** Whether two such names belong to the same repository. */
gboolean cst_checkpoint_is_sibling(const char *name, const char *other);

/**
 * Returns the socket of the server in the document of a running backup, which is untrusted. NULL:
 * there is no such socket, or the document cannot be parsed. The caller frees it.
 */
char *cst_domain_backup_socket(const char *xml);
