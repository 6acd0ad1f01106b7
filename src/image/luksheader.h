/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/luks.h>

#include "inspection.h"

/**
 * Reads the LUKS header at @offset, which may be up to @length bytes long, into @luks (zeroed; the
 * caller clears it). Damage is noted in luks->problem, never returned.
 */
void cst_luks_read(CstInspection *inspection, uint64_t offset, uint64_t length, CstImageLuks *luks);
