/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/**
 * Reads entry @index of a refcount block (qcow2, "Host cluster management"). Entries are 1 <<
 * @order bits wide (@order is 0 to 6) and big endian. Entries narrower than a byte begin at its
 * least significant bit.
 */
uint64_t qcow2_refcount_get(const uint8_t *block, unsigned order, uint64_t index);
/** Sets entry @index to @value, which is at most qcow2_refcount_max(). */
void qcow2_refcount_set(uint8_t *block, unsigned order, uint64_t index, uint64_t value);

/** Returns the largest count of an entry with 1 << @order bits. */
static inline uint64_t qcow2_refcount_max(unsigned order)
{
    return order == 6 ? UINT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
}
