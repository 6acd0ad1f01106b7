/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/domain.h>

#include "block_entry.h"

/** The layers of the disk of a block job, in a definition of its domain. */

/** Returns the layer of disk @target at a level, borrowed; NULL: the chain ends above. */
const CstDomainLayer *block_chain_layer(const CstDomainDef *def, const char *target, guint level);

/**
 * Returns whether the layers at @level and below it show that the guest uses the destination of the
 * job. Another program may have put overlays on an image. UNKNOWN: they have neither image, or an
 * image without a path may hide it.
 */
CstHypervisorPivot block_chain_pivot(const CstDomainDef *def, const BlockEntry *entry, guint level);

/** Whether the disk has the layers of a job without a pivot that has succeeded. */
gboolean block_chain_is_complete(const CstDomainDef *def, const BlockEntry *entry);
