/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/units.h>

#include "inspection.h"

/**
 * VirtualBox's disk image, version 1.1 (formats.kaitai.io/vdi): 64 bytes of text, a preheader and a
 * little-endian header, a map of 32-bit block numbers, the blocks. Block n of the file is at
 * offset_data + n * block_size. All mutable fields are in the first sector, so a change of several
 * fields is atomic.
 */
#define VDI_SIGNATURE  0xbeda107fu
#define VDI_VERSION    0x00010001u
#define VDI_HEADER_LEN 0x1c8
#define VDI_SECTOR     512u

/** Limits of QEMU, which keeps the map in one piece of memory below 2 GiB. */
#define VDI_MAX_BLOCKS   0x1fffff80u
#define VDI_MAX_CAPACITY (VDI_MAX_BLOCKS * CST_MIB)

/** Entries of the map that refer to no block. */
#define VDI_NOWHERE 0xffffffffu
#define VDI_ZERO    0xfffffffeu

typedef enum { VDI_DYNAMIC = 1, VDI_STATIC, VDI_UNDO, VDI_DIFFERENCING } VdiKind;

typedef struct {
    VdiKind kind;
    uint32_t offset_map;
    uint32_t offset_data;
    uint64_t capacity; /**< whole sectors */
    uint32_t block_size;
    uint32_t blocks;    /**< entries of the map */
    uint32_t allocated; /**< number of leading blocks of the file that are allocated */
    uint8_t raw[VDI_SECTOR];
} VdiHeader;

/** Implements CstImageFormat.probe: returns 100 for an image of version 1.1, else 0. */
int vdi_probe(const uint8_t *head, size_t len, uint64_t size);

/**
 * Read and check the header. Damage and unsupported features are recorded in @inspection as
 * problems. Return: FALSE if the file has no header of this format.
 */
gboolean vdi_header_read(CstInspection *inspection, VdiHeader *ret_header);

/**
 * Fill header->raw for a new image, with new UUIDs. The caller calls vdi_header_update() before
 * writing.
 */
void vdi_header_init(VdiHeader *header);
/** Copy the other fields into header->raw. */
void vdi_header_update(VdiHeader *header);
