/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

/**
 * On-disk integers at any alignment, on hosts of either byte order: cst_be32() reads, and
 * cst_put_be32() writes, 32 bits in big-endian order; cst_le32() and cst_put_le32() use
 * little-endian order. The caller has checked that the bytes are inside the buffer.
 */
#define CST_DEFINE_DISK_INTEGER(order, bits)                               \
    static inline uint##bits##_t cst_##order##bits(const uint8_t *p)       \
    {                                                                      \
        uint##bits##_t v;                                                  \
                                                                           \
        memcpy(&v, p, sizeof(v));                                          \
        return order##bits##toh(v);                                        \
    }                                                                      \
                                                                           \
    static inline void cst_put_##order##bits(uint8_t *p, uint##bits##_t v) \
    {                                                                      \
        v = hto##order##bits(v);                                           \
        memcpy(p, &v, sizeof(v));                                          \
    }

CST_DEFINE_DISK_INTEGER(be, 16)
CST_DEFINE_DISK_INTEGER(be, 32)
CST_DEFINE_DISK_INTEGER(be, 64)
CST_DEFINE_DISK_INTEGER(le, 16)
CST_DEFINE_DISK_INTEGER(le, 32)
CST_DEFINE_DISK_INTEGER(le, 64)
#undef CST_DEFINE_DISK_INTEGER
