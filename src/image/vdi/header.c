/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Decodes, checks and encodes the header. Fields that Cistern does not use (comment, geometry,
 * UUIDs) stay in header->raw and are written back unchanged.
 */
#include "header.h"

#include <string.h>

#include <base/i18n.h>
#include <base/uuid.h>

#include "bytes.h"

enum {
    AT_SIGNATURE = 0x40,
    AT_VERSION = 0x44,
    AT_LENGTH = 0x48,
    AT_KIND = 0x4c,
    AT_MAP = 0x154,
    AT_DATA = 0x158,
    AT_SECTOR_SIZE = 0x168,
    AT_CAPACITY = 0x170,
    AT_BLOCK_SIZE = 0x178,
    AT_BLOCK_EXTRA = 0x17c,
    AT_BLOCKS = 0x180,
    AT_ALLOCATED = 0x184,
    AT_UUID = 0x188,
    AT_UUID_SNAPSHOT = 0x198,
    AT_UUID_LINK = 0x1a8,
    AT_UUID_PARENT = 0x1b8
};

int vdi_probe(const uint8_t *head, size_t len, uint64_t size)
{
    if (len < AT_LENGTH || cst_le32(head + AT_SIGNATURE) != VDI_SIGNATURE)
        return 0;
    return cst_le32(head + AT_VERSION) == VDI_VERSION ? 100 : 0;
}

static void describe_kind(CstInspection *inspection, uint32_t kind)
{
    switch (kind) {
    case VDI_DYNAMIC: cst_inspection_set(&inspection->info->subformat, "dynamic"); break;
    case VDI_STATIC: cst_inspection_set(&inspection->info->subformat, "static"); break;
    case VDI_UNDO: cst_inspection_set(&inspection->info->subformat, "undo"); break;
    case VDI_DIFFERENCING: cst_inspection_set(&inspection->info->subformat, "differencing"); break;
    default: cst_inspection_problem(inspection, _("the VDI header has a bad image type")); break;
    }
}

static void check_sizes(CstInspection *inspection, const VdiHeader *header)
{
    uint64_t map_end = header->offset_map + (uint64_t)header->blocks * 4;

    if (header->block_size < 512 || (header->block_size & (header->block_size - 1)) != 0)
        cst_inspection_problem(inspection, _("the VDI header has a bad block size"));
    else if (header->capacity > VDI_MAX_CAPACITY || header->blocks > VDI_MAX_BLOCKS)
        cst_inspection_problem(inspection, _("the VDI header has a bad size"));
    else if (header->capacity > (uint64_t)header->blocks * header->block_size)
        cst_inspection_problem(inspection, _("the VDI block map is too small for the image"));
    else if (cst_le32(header->raw + AT_SECTOR_SIZE) != VDI_SECTOR)
        cst_inspection_problem(inspection, _("the VDI header has a bad sector size"));
    else if (header->offset_map % VDI_SECTOR != 0 || header->offset_data % VDI_SECTOR != 0)
        cst_inspection_problem(inspection, _("the VDI block map or data is not aligned"));
    else if (map_end > inspection->size)
        cst_inspection_problem(inspection, _("the VDI block map lies outside the file"));
    else if (header->offset_map < VDI_SECTOR || header->offset_data < map_end)
        cst_inspection_problem(inspection, _("parts of the VDI image overlap"));
}

static void check_support(CstInspection *inspection, const VdiHeader *header)
{
    static const uint8_t nil[CST_UUID_LEN];

    if (memcmp(header->raw + AT_UUID_LINK, nil, sizeof(nil)) != 0 ||
        memcmp(header->raw + AT_UUID_PARENT, nil, sizeof(nil)) != 0)
        cst_inspection_unsupported(inspection,
                                   _("the VDI image builds on another one, named by UUID only"));
    else if (header->kind != VDI_DYNAMIC && header->kind != VDI_STATIC)
        cst_inspection_unsupported(inspection,
                                   _("undo and differencing VDI images are not supported"));
    else if (cst_le32(header->raw + AT_BLOCK_EXTRA) != 0)
        cst_inspection_unsupported(inspection,
                                   _("VDI images with extra data in their blocks are not "
                                     "supported"));
}

gboolean vdi_header_read(CstInspection *inspection, VdiHeader *ret_header)
{
    VdiHeader header = {0};

    if (!cst_inspection_read(inspection, 0, header.raw,
                             (size_t)CLAMP(inspection->size, VDI_HEADER_LEN, VDI_SECTOR)))
        return FALSE;
    if (!vdi_probe(header.raw, VDI_HEADER_LEN, inspection->size)) {
        cst_inspection_problem(inspection, _("this is no VDI image of version 1.1"));
        return FALSE;
    }
    header.kind = cst_le32(header.raw + AT_KIND);
    header.offset_map = cst_le32(header.raw + AT_MAP);
    header.offset_data = cst_le32(header.raw + AT_DATA);
    header.capacity = cst_le64(header.raw + AT_CAPACITY);
    header.block_size = cst_le32(header.raw + AT_BLOCK_SIZE);
    header.blocks = cst_le32(header.raw + AT_BLOCKS);
    header.allocated = cst_le32(header.raw + AT_ALLOCATED);
    inspection->info->capacity = header.capacity;
    inspection->info->cluster_size = header.block_size;
    describe_kind(inspection, header.kind);
    check_sizes(inspection, &header);
    if (header.capacity <= VDI_MAX_CAPACITY)
        inspection->info->capacity = header.capacity = (header.capacity + 511) / 512 * 512;
    check_support(inspection, &header);
    *ret_header = header;
    return TRUE;
}

void vdi_header_init(VdiHeader *header)
{
    static const char text[] = "<<< Cistern virtual disk image >>>\n";
    CstUuid uuid;

    memset(header->raw, 0, sizeof(header->raw));
    memcpy(header->raw, text, sizeof(text) - 1);
    cst_put_le32(header->raw + AT_SIGNATURE, VDI_SIGNATURE);
    cst_put_le32(header->raw + AT_VERSION, VDI_VERSION);
    cst_put_le32(header->raw + AT_LENGTH, VDI_HEADER_LEN - AT_LENGTH);
    cst_put_le32(header->raw + AT_SECTOR_SIZE, VDI_SECTOR);
    cst_uuid_generate(&uuid);
    memcpy(header->raw + AT_UUID, uuid.bytes, sizeof(uuid.bytes));
    cst_uuid_generate(&uuid);
    memcpy(header->raw + AT_UUID_SNAPSHOT, uuid.bytes, sizeof(uuid.bytes));
}

void vdi_header_update(VdiHeader *header)
{
    cst_put_le32(header->raw + AT_KIND, header->kind);
    cst_put_le32(header->raw + AT_MAP, header->offset_map);
    cst_put_le32(header->raw + AT_DATA, header->offset_data);
    cst_put_le64(header->raw + AT_CAPACITY, header->capacity);
    cst_put_le32(header->raw + AT_BLOCK_SIZE, header->block_size);
    cst_put_le32(header->raw + AT_BLOCKS, header->blocks);
    cst_put_le32(header->raw + AT_ALLOCATED, header->allocated);
}
