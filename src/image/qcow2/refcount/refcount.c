/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads and writes single entries of a refcount block, whose layout refcount.h describes. Callers
 * keep @index inside the block.
 */
#include "refcount.h"

#include "bytes.h"

uint64_t qcow2_refcount_get(const uint8_t *block, unsigned order, uint64_t index)
{
    switch (order) {
    case 3: return block[index];
    case 4: return cst_be16(block + index * 2);
    case 5: return cst_be32(block + index * 4);
    case 6: return cst_be64(block + index * 8);
    default: {
        unsigned bits = 1u << order, per_byte = 8 / bits;

        return (block[index / per_byte] >> (index % per_byte * bits)) & ((1u << bits) - 1);
    }
    }
}

void qcow2_refcount_set(uint8_t *block, unsigned order, uint64_t index, uint64_t value)
{
    switch (order) {
    case 3: block[index] = (uint8_t)value; break;
    case 4: cst_put_be16(block + index * 2, (uint16_t)value); break;
    case 5: cst_put_be32(block + index * 4, (uint32_t)value); break;
    case 6: cst_put_be64(block + index * 8, value); break;
    default: {
        unsigned bits = 1u << order, per_byte = 8 / bits;
        unsigned shift = (unsigned)(index % per_byte * bits), mask = (1u << bits) - 1;
        uint8_t *byte = block + index / per_byte;

        *byte = (uint8_t)((*byte & ~(mask << shift)) | ((unsigned)value & mask) << shift);
    }
    }
}
