/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/luks.h>

#include "inspection.h"

/**
 * Reads the LUKS header at @offset, at most @length bytes long, into @luks, which the caller zeroes
 * and clears. Reports damage in luks->problem only.
 */
void cst_luks_read(CstInspection *inspection, uint64_t offset, uint64_t length, CstImageLuks *luks);
