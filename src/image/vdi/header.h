/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/units.h>

#include "inspection.h"

/**
 * VirtualBox's disk image, version 1.1 (formats.kaitai.io/vdi): 64 bytes of text, a preheader and a
 * little-endian header, a map of 32-bit block numbers, the blocks. Block n of the file is at
 * offset_data + n * block_size. Everything that changes lies in the first sector, so that a change
 * of several fields is there as a whole or not at all.
 */
#define VDI_SIGNATURE  0xbeda107fu
#define VDI_VERSION    0x00010001u
#define VDI_HEADER_LEN 0x1c8
#define VDI_SECTOR     512u

/** What QEMU accepts; it keeps the map in one piece of memory below 2 GiB. */
#define VDI_MAX_BLOCKS   0x1fffff80u
#define VDI_MAX_CAPACITY (VDI_MAX_BLOCKS * CST_MIB)

/** Entries of the map that are no block. */
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
    uint32_t allocated; /**< blocks of the file that are taken, counted from the first */
    uint8_t raw[VDI_SECTOR];
} VdiHeader;

/** As CstImageFormat.probe: returns 100 for an image of version 1.1, else 0. */
int vdi_probe(const uint8_t *head, size_t len, uint64_t size);

/**
 * Reads and checks the header. Damage, and images that can't be opened, go to @inspection as
 * problems. FALSE: there is no header of this format.
 */
gboolean vdi_header_read(CstInspection *inspection, VdiHeader *ret_header);

/**
 * Fills header->raw for a new image, with new UUIDs. Call vdi_header_update() before it is written.
 */
void vdi_header_init(VdiHeader *header);
/** Copies the other fields into header->raw. */
void vdi_header_update(VdiHeader *header);
