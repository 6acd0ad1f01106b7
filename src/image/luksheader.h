/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/luks.h>

#include "look.h"

/** Describes the header at @offset, of which @length bytes are its own. */
void cst_luks_read(CstImageLook *look, uint64_t offset, uint64_t length, CstImageLuks *luks);
