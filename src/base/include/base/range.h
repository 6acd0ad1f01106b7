/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/** A range of bytes. */
typedef struct {
    uint64_t offset, length;
} CstRange;
