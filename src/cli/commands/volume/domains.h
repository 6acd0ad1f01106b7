/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/domain.h>

#include "output/sheet.h"
#include "volume.h"

/**
 * Returns the disks of libvirt's domains that show @vol, as CstDomainDisk *. If they cannot be
 * found, warns and returns an empty array. A server that does not support the question has no
 * domains.
 */
GPtrArray *cli_vol_domains(CliCtl *ctl, const CstVolRef *vol);

/**
 * Removes the disk of a running or paused domain that has the volume as its image and may write to
 * it from @disks (CstDomainDisk *), and returns it. The caller frees it. NULL: @disks has no such
 * disk.
 */
CstDomainDisk *cli_disks_steal_running(GPtrArray *disks);
/** Likewise for the disks that show @vol. Warns as cli_vol_domains(). */
CstDomainDisk *cli_vol_running_disk(CliCtl *ctl, const CstVolRef *vol);

#define CLI_DOMAIN_FACTS 2
/**
 * Sets the facts "domain" and "disk" of the JSON of work on the disk of a running domain, and
 * returns their number. Their texts are borrowed from @disk. NULL: no facts.
 */
guint cli_domain_facts(const CstDomainDisk *disk, CliFact ret_facts[CLI_DOMAIN_FACTS]);

/**
 * Adds to @vols the volumes of the disks of domain @name, as CstVolRef *. @name is a name or a UUID
 * of libvirt. Disks that the guest only reads are left out. A volume that @vols already has is not
 * added. *ret_domain, which may be NULL, is the domain with its definition. Fails with INVALID if a
 * disk is no volume of an active pool, because a part of the disks has no common point in time.
 */
gboolean cli_domain_vols(CliCtl *ctl, const char *name, GPtrArray *vols, CstDomain **ret_domain,
                         GError **error);

/** Completes the names of libvirt's domains. */
void cli_complete_domains(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** Adds the domains that use @vol to the facts about it. Adds no fact if there are none. */
void cli_vol_domains_add(CliSheet *sheet, const CstVolRef *vol);
