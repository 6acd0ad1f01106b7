/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The disks of a domain in a backup, and the volumes that have their content. */

/** A volume of the backup. The texts are borrowed and untrusted. */
typedef struct {
    const char *pool, *name;
    const char *document; /**< the volume's XML, which has its path */
    const char *identity; /**< its key, which may be its path; "": not known */
} CstDomainVolume;

typedef struct {
    char *target; /**< of the disk */
    guint volume; /**< index of its volume */
} CstDomainVolumeDisk;

/**
 * Finds the volume of each disk that the guest can write, in the definition of the domain @xml,
 * which is untrusted. Returns CstDomainVolumeDisk *, in the order of the disks. A disk is compared
 * with the pool and name of each volume, with its path, and with the last part of its path. If one
 * disk and one volume remain, they belong together.
 *
 * Fails with the errors of the XML reader, with XML for a disk without a target, and with NOT_FOUND
 * if a disk has no volume, because the backup is then not complete, if a volume has no disk, or if
 * there is no disk.
 * INVALID if two disks have one volume.
 */
GPtrArray *cst_domain_volume_disks(const char *xml, const CstDomainVolume *volumes, guint n_volumes,
                                   GError **error);
