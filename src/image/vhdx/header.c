/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Decodes and encodes the header section: the two headers and the two copies of the region table.
 * Checks that regions, log and header section do not overlap. metadata.c reads the metadata region.
 * The file is untrusted: offsets and lengths are checked before use, and VHDX_MAX_RANGES limits the
 * number of ranges.
 */
#include "header.h"

#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "crc32c.h"

#define MAX_REGIONS 2047

const uint8_t vhdx_guid_bat[16] = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                   0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
const uint8_t vhdx_guid_metadata[16] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                        0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};

static uint32_t header_checksum(const uint8_t *raw, size_t len)
{
    static const uint8_t zero[4];
    uint32_t crc = cst_crc32c(0, raw, 4);

    crc = cst_crc32c(crc, zero, sizeof(zero));
    return cst_crc32c(crc, raw + 8, len - 8);
}

gboolean vhdx_checksum_holds(const uint8_t *raw, size_t len)
{
    return header_checksum(raw, len) == cst_le32(raw + 4);
}

void vhdx_checksum_set(uint8_t *raw, size_t len)
{
    cst_put_le32(raw + 4, header_checksum(raw, len));
}

static gboolean read_checked(CstInspection *inspection, uint64_t offset, const char *signature,
                             uint8_t *buf, size_t len)
{
    return offset <= inspection->size && len <= inspection->size - offset &&
           cst_inspection_read(inspection, offset, buf, len) && memcmp(buf, signature, 4) == 0 &&
           vhdx_checksum_holds(buf, len);
}

/* --- headers --------------------------------------------------------------------------------- */

static void check_header(CstInspection *inspection, const VhdxHeader *header, const uint8_t *raw)
{
    static const uint8_t nil[16];

    if (cst_le16(raw + 66) != 1)
        cst_inspection_unsupported(inspection, _("the VHDX image has an unknown version"));
    else if (cst_le16(raw + 64) != 0 && memcmp(header->log_guid, nil, 16) != 0)
        cst_inspection_unsupported(inspection, _("the VHDX image's log has an unknown version"));
    else if (header->log_offset < VHDX_SECTION || header->log_offset % CST_MIB != 0 ||
             header->log_length == 0 || header->log_length % CST_MIB != 0 ||
             header->log_offset > inspection->size ||
             header->log_length > inspection->size - header->log_offset)
        cst_inspection_problem(inspection, _("the VHDX image's log lies outside the file"));
}

void vhdx_header_read(CstInspection *inspection, VhdxHeader *ret_header)
{
    static const uint8_t nil[16];
    uint8_t raw[VHDX_HEADER_LEN], best[VHDX_HEADER_LEN] = {0};
    VhdxHeader header = {0};

    for (unsigned i = 1; i <= 2; i++) {
        if (!read_checked(inspection, i * 64 * CST_KIB, "head", raw, sizeof(raw)))
            continue;
        if (header.slot != 0 && cst_le64(raw + 8) <= header.sequence)
            continue;
        header.slot = i;
        header.sequence = cst_le64(raw + 8);
        memcpy(best, raw, sizeof(best));
    }
    if (header.slot == 0) {
        cst_inspection_problem(inspection, _("the VHDX image has no valid header"));
        return;
    }
    memcpy(header.file_write, best + 16, 16);
    memcpy(header.data_write, best + 32, 16);
    memcpy(header.log_guid, best + 48, 16);
    header.log_length = cst_le32(best + 68);
    header.log_offset = cst_le64(best + 72);
    inspection->info->dirty = memcmp(header.log_guid, nil, 16) != 0; /* the log must be replayed */
    *ret_header = header;
    check_header(inspection, &header, best);
}

void vhdx_header_encode(const VhdxHeader *header, uint8_t *ret_raw)
{
    memset(ret_raw, 0, VHDX_HEADER_LEN);
    vhdx_put_signature(ret_raw, "head");
    cst_put_le64(ret_raw + 8, header->sequence);
    memcpy(ret_raw + 16, header->file_write, 16);
    memcpy(ret_raw + 32, header->data_write, 16);
    memcpy(ret_raw + 48, header->log_guid, 16);
    cst_put_le16(ret_raw + 66, 1);
    cst_put_le32(ret_raw + 68, header->log_length);
    cst_put_le64(ret_raw + 72, header->log_offset);
    vhdx_checksum_set(ret_raw, VHDX_HEADER_LEN);
}

/* --- regions --------------------------------------------------------------------------------- */

gboolean vhdx_range_is_free(const VhdxLayout *layout, uint64_t offset, uint64_t length)
{
    for (unsigned i = 0; i < layout->range_count; i++) {
        const VhdxRange *range = &layout->ranges[i];

        if (offset < range->offset + range->length && range->offset < offset + length)
            return FALSE;
    }
    return TRUE;
}

static gboolean add_range(CstInspection *inspection, VhdxLayout *layout, uint64_t offset,
                          uint64_t length)
{
    if (offset % CST_MIB != 0 || length == 0 || length % CST_MIB != 0 ||
        offset > inspection->size || length > inspection->size - offset) {
        cst_inspection_problem(inspection, _("a region of the VHDX image lies outside the file"));
        return FALSE;
    }
    if (!vhdx_range_is_free(layout, offset, length)) {
        cst_inspection_problem(inspection, _("two regions of the VHDX image overlap"));
        return FALSE;
    }
    if (layout->range_count == VHDX_MAX_RANGES) {
        cst_inspection_unsupported(inspection, _("the VHDX image has too many regions"));
        return FALSE;
    }
    layout->ranges[layout->range_count++] = (VhdxRange){offset, length};
    return TRUE;
}

static gboolean read_region(CstInspection *inspection, VhdxLayout *layout, const uint8_t *entry)
{
    uint64_t offset = cst_le64(entry + 16);
    uint32_t length = cst_le32(entry + 24);
    gboolean is_bat = memcmp(entry, vhdx_guid_bat, 16) == 0;
    gboolean is_metadata = memcmp(entry, vhdx_guid_metadata, 16) == 0;

    if ((is_bat && layout->bat_length) || (is_metadata && layout->metadata_length)) {
        cst_inspection_problem(inspection, _("the VHDX region table names a region twice"));
        return FALSE;
    }
    if (!add_range(inspection, layout, offset, length))
        return FALSE;
    if (is_bat) {
        layout->bat_offset = offset;
        layout->bat_length = length;
    } else if (is_metadata) {
        layout->metadata_offset = offset;
        layout->metadata_length = length;
    } else if (cst_le32(entry + 28) & 1) {
        cst_inspection_unsupported(inspection, _("the VHDX image requires an unknown region"));
        return FALSE;
    }
    return TRUE;
}

/* The first valid table is used, because it is the one that is written first (resize.c). */
static uint8_t *find_regions(CstInspection *inspection, VhdxLayout *layout)
{
    g_autofree uint8_t *first = g_malloc(VHDX_REGIONS_LEN), *second = g_malloc(VHDX_REGIONS_LEN);
    uint64_t copy_at = VHDX_AT_REGIONS + VHDX_REGIONS_LEN;
    gboolean valid = read_checked(inspection, VHDX_AT_REGIONS, "regi", first, VHDX_REGIONS_LEN);
    gboolean copy_valid =
        !inspection->error && read_checked(inspection, copy_at, "regi", second, VHDX_REGIONS_LEN);

    if (!valid && !copy_valid) {
        cst_inspection_problem(inspection, _("the VHDX image has no valid region table"));
        return NULL;
    }
    layout->regions_at = valid ? VHDX_AT_REGIONS : copy_at;
    layout->regions_differ = !valid || !copy_valid || memcmp(first, second, VHDX_REGIONS_LEN) != 0;
    return valid ? g_steal_pointer(&first) : g_steal_pointer(&second);
}

static void read_regions(CstInspection *inspection, VhdxLayout *layout)
{
    g_autofree uint8_t *raw = find_regions(inspection, layout);
    uint32_t count;

    if (!raw)
        return;
    count = cst_le32(raw + 8);
    if (count > MAX_REGIONS) {
        cst_inspection_problem(inspection, _("the VHDX region table is too large"));
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!read_region(inspection, layout, raw + 16 + i * 32))
            return;
    if (layout->bat_length == 0 || layout->metadata_length == 0)
        cst_inspection_problem(inspection, _("the VHDX region table lacks a region"));
}

/* --- layout ---------------------------------------------------------------------------------- */

uint64_t vhdx_bat_entries(uint64_t capacity, uint32_t block_size, uint32_t sector_size,
                          gboolean differencing)
{
    uint64_t ratio = vhdx_chunk_ratio(block_size, sector_size);
    uint64_t blocks = cst_div_up(capacity, block_size);

    if (blocks == 0)
        return 0;
    if (differencing)
        return cst_div_up(blocks, ratio) * (ratio + 1);
    return blocks + (blocks - 1) / ratio;
}

static void check_layout(CstInspection *inspection, const VhdxLayout *layout)
{
    gboolean has_parent = (layout->flags & VHDX_FLAG_PARENT) != 0;

    if (!cst_is_power_of_two(layout->block_size, VHDX_MIN_BLOCK, VHDX_MAX_BLOCK))
        cst_inspection_problem(inspection, _("the VHDX image has a bad block size"));
    else if (layout->sector_size != 512 && layout->sector_size != 4096)
        cst_inspection_problem(inspection, _("the VHDX image has a bad sector size"));
    else if (layout->capacity % layout->sector_size != 0)
        cst_inspection_problem(inspection, _("the VHDX image has a bad size"));
    else if (has_parent && !inspection->info->backing)
        cst_inspection_problem(inspection,
                               _("the differencing VHDX image does not name its parent"));
    else if (vhdx_bat_entries(layout->capacity, layout->block_size, layout->sector_size,
                              has_parent) > layout->bat_length / 8)
        cst_inspection_problem(inspection,
                               _("the block allocation table of the VHDX image is too short"));
}

void vhdx_layout_read(CstInspection *inspection, const VhdxHeader *header, VhdxLayout *ret_layout)
{
    VhdxLayout layout = {0};

    layout.ranges[layout.range_count++] = (VhdxRange){0, VHDX_SECTION};
    if (add_range(inspection, &layout, header->log_offset, header->log_length))
        read_regions(inspection, &layout);
    if (layout.metadata_length > 0)
        vhdx_metadata_read(inspection, &layout);
    if (layout.items && !inspection->info->problem)
        check_layout(inspection, &layout);
    *ret_layout = layout;
}
