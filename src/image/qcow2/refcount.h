/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/**
 * One entry of a refcount block (qcow2, "Host cluster management"): 1 << @order bits wide, big
 * endian, and inside a byte from the least significant bit up.
 */
uint64_t qcow2_refcount_get(const uint8_t *block, unsigned order, uint64_t index);
void qcow2_refcount_set(uint8_t *block, unsigned order, uint64_t index, uint64_t value);

/** The largest count that fits. */
static inline uint64_t qcow2_refcount_max(unsigned order)
{
    return order == 6 ? UINT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
}
