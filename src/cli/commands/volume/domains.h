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

/** Adds the domains that use @vol to the facts about it. Adds no fact if there are none. */
void cli_vol_domains_add(CliSheet *sheet, const CstVolRef *vol);
