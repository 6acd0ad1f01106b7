/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The definition of a domain whose disks were restored from a backup as new volumes. */

/** A disk with its new volume. The texts are borrowed. */
typedef struct {
    const char *target; /**< of the disk: "vda" */
    const char *path;   /**< of the new volume */
    const char *format; /**< of the new volume, as libvirt's driver names it: "qcow2" */
    gboolean is_device; /**< the path is a block device, else a file */
} CstDomainNewDisk;

typedef struct {
    const char *name; /**< of a new domain; NULL: the domain keeps its identity */
    const CstDomainNewDisk *disks;
    guint n_disks;
} CstDomainRestore;

/** A rewritten definition. */
typedef struct {
    char *document;
    char *name;
    char *uuid;             /**< NULL: libvirt makes one */
    gboolean has_arguments; /**< <qemu:commandline>, which is kept */
    char *display; /**< address of a VNC or SPICE display that is no loopback one; NULL: there is
                      none. A definition that was read without privileges has no password of it. */
} CstDomainDefinition;

void cst_domain_definition_clear(CstDomainDefinition *definition);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstDomainDefinition, cst_domain_definition_clear)

/**
 * Rewrites the definition of a domain, which is untrusted, for its new disks. Each disk that the
 * guest can write must be in restore->disks. CD-ROM and floppy drives, and disks with <readonly/>,
 * are kept. The new volume has no backing file, no encryption and no login, so these elements of
 * the old source are removed, and <mirror> too. <genid> is made anew, because the guest returns to
 * an earlier state.
 *
 * With restore->name the result can run next to the old domain: its UUID, MAC addresses, names of
 * network devices, fixed ports of displays, socket paths, NVRAM file, vsock address, files of a TPM
 * and of a pstore, hardware UUID and dynamic labels are removed, so that libvirt makes new ones.
 *
 * The caller clears *ret_definition. Fails with the errors of the XML reader; XML if the domain or
 * a disk has no name; INVALID if two disks have one target, or a name or a path cannot be used;
 * NOT_FOUND if restore->disks lacks a disk or has an unknown one; UNSUPPORTED if a disk is
 * encrypted or a slice of its image, because the guest sees other bytes than those of the volume,
 * and with restore->name if a memory device has a file, because two guests would write to it.
 */
gboolean cst_domain_restore(const char *xml, const CstDomainRestore *restore,
                            CstDomainDefinition *ret_definition, GError **error);

/** Fails with INVALID if libvirt does not accept @name as the name of a domain. */
gboolean cst_domain_check_name(const char *name, GError **error);
