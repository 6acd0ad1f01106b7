/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Decodes, checks and encodes footer and dynamic header. The footer at the end of the file is
 * authoritative. If it is missing or damaged, the copy at the start of a dynamic disk replaces it.
 * Damage becomes a problem of the CstInspection, so that inspection can continue.
 */
#include "header.h"

#include <string.h>

#include <base/i18n.h>
#include <base/units.h>
#include <base/uuid.h>

#include "bytes.h"
#include "geometry.h"

enum { /* of the footer */
       AT_FEATURES = 8,
       AT_VERSION = 12,
       AT_HEADER = 16,
       AT_TIME = 24,
       AT_CREATOR = 28,
       AT_CREATOR_VERSION = 32,
       AT_CREATOR_OS = 36,
       AT_ORIGINAL_SIZE = 40,
       AT_SIZE = 48,
       AT_GEOMETRY = 56,
       AT_KIND = 60,
       AT_CHECKSUM = 64,
       AT_UUID = 68
};

enum { /* of the header */
       AT_NEXT = 8,
       AT_TABLE = 16,
       AT_HEADER_VERSION = 24,
       AT_ENTRIES = 28,
       AT_BLOCK_SIZE = 32,
       AT_HEADER_CHECKSUM = 36,
       AT_LOCATORS = 576
};

#define FORMAT_VERSION 0x10000u
#define EPOCH          946684800 /* the year 2000 */

static gboolean is_footer(const uint8_t *raw)
{
    return memcmp(raw, "conectix", 8) == 0;
}

int vpc_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= 16 && is_footer(head) && cst_be32(head + AT_VERSION) == FORMAT_VERSION ? 100 : 0;
}

/* Returns the one's complement of the sum of all bytes except the checksum's own. */
static uint32_t checksum_of(const uint8_t *raw, size_t len, size_t at)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        if (i < at || i >= at + 4)
            sum += raw[i];
    return ~sum;
}

static gboolean footer_holds(const uint8_t *raw)
{
    return is_footer(raw) &&
           cst_be32(raw + AT_CHECKSUM) == checksum_of(raw, VPC_FOOTER_LEN, AT_CHECKSUM);
}

gboolean vpc_probe_tail(const uint8_t *tail, uint64_t size)
{
    return footer_holds(tail) && cst_be32(tail + AT_VERSION) == FORMAT_VERSION &&
           cst_be32(tail + AT_KIND) == VPC_FIXED &&
           cst_be64(tail + AT_SIZE) == size - VPC_FOOTER_LEN;
}

/*
 * Programs disagree on whether the geometry or the size field is authoritative: Virtual PC uses the
 * geometry, Hyper-V the size. As in QEMU, the size field is used for creators known to write it
 * exactly, and if the geometry has its largest value.
 */
static uint64_t guest_size(const uint8_t *footer)
{
    static const char exact[][4] = {"win ", "qem2", "d2v ", "tap", "CTXS", "wa"};
    const uint8_t *raw = footer + AT_GEOMETRY;
    uint64_t geometry = (uint64_t)cst_be16(raw) * raw[2] * raw[3],
             size = cst_be64(footer + AT_SIZE);

    for (size_t i = 0; i < G_N_ELEMENTS(exact); i++)
        if (memcmp(footer + AT_CREATOR, exact[i], 4) == 0)
            return size;
    return geometry >= VPC_MAX_GEOMETRY || geometry == 0 ? size : geometry * VPC_SECTOR;
}

static void add_region(VpcHeader *header, uint64_t offset, uint64_t length)
{
    header->regions[header->region_count++] = (VpcRegion){offset, length};
}

void vpc_header_derive(VpcHeader *header)
{
    uint32_t bits = header->block_size / VPC_SECTOR;

    header->bitmap_size = (uint32_t)cst_round_up(cst_div_up(bits, 8), VPC_SECTOR);
    header->region_count = 0;
    add_region(header, 0, VPC_FOOTER_LEN);
    add_region(header, header->header_offset, VPC_HEADER_LEN);
    add_region(header, header->table_offset, (uint64_t)header->entries * 4);
    for (unsigned i = 0; header->kind == VPC_DIFFERENCING && i < VPC_LOCATORS; i++) {
        const uint8_t *locator = header->raw + AT_LOCATORS + (size_t)i * 24;

        if (cst_be32(locator) != 0 && cst_be32(locator + 8) != 0)
            add_region(header, cst_be64(locator + 16), cst_be32(locator + 8));
    }
}

static void check_regions(CstInspection *inspection, const VpcHeader *header)
{
    for (unsigned i = 0; i < header->region_count; i++) {
        const VpcRegion *a = &header->regions[i];

        if (a->offset > inspection->size || a->length > inspection->size - a->offset) {
            cst_inspection_problem(inspection, _("a part of the VHD image lies outside the file"));
            return;
        }
        for (unsigned j = 0; j < i; j++) {
            const VpcRegion *b = &header->regions[j];

            if (a->length > 0 && b->length > 0 && a->offset < b->offset + b->length &&
                b->offset < a->offset + a->length) {
                cst_inspection_problem(inspection, _("parts of the VHD image overlap"));
                return;
            }
        }
    }
}

static gboolean read_dynamic(CstInspection *inspection, VpcHeader *header)
{
    CstImageInfo *info = inspection->info;

    header->header_offset = cst_be64(header->footer + AT_HEADER);
    if (!cst_inspection_read(inspection, header->header_offset, header->raw, sizeof(header->raw)))
        return FALSE;
    if (memcmp(header->raw, "cxsparse", 8) != 0) {
        cst_inspection_problem(inspection, _("the dynamic header of the VHD image is missing"));
        return FALSE;
    }
    header->table_offset = cst_be64(header->raw + AT_TABLE);
    header->entries = cst_be32(header->raw + AT_ENTRIES);
    header->block_size = cst_be32(header->raw + AT_BLOCK_SIZE);
    info->cluster_size = header->block_size;
    if (header->kind == VPC_DIFFERENCING)
        vpc_parent_inspect(inspection, header);
    if (cst_be32(header->raw + AT_HEADER_CHECKSUM) !=
        checksum_of(header->raw, sizeof(header->raw), AT_HEADER_CHECKSUM))
        cst_inspection_problem(inspection,
                               _("the checksum of the VHD image's dynamic header is wrong"));
    else if (header->block_size < 512 || (header->block_size & (header->block_size - 1)) != 0)
        cst_inspection_problem(inspection, _("the VHD image has a bad block size"));
    else if ((uint64_t)header->entries * header->block_size < info->capacity)
        cst_inspection_problem(inspection, _("the VHD block table is too small for the image"));
    vpc_header_derive(header);
    check_regions(inspection, header);
    return TRUE;
}

/*
 * The footer at the end is authoritative; the copy at the start replaces a missing one. The order
 * matters, because the guest can write arbitrary data to the start of a fixed disk.
 */
static gboolean find_footer(CstInspection *inspection, VpcHeader *header)
{
    uint8_t end[VPC_FOOTER_LEN] = {0}, front[VPC_FOOTER_LEN] = {0};

    if (inspection->size < VPC_FOOTER_LEN) {
        cst_inspection_problem(inspection, _("this is no VHD image: it has no footer"));
        return FALSE;
    }
    if (!cst_inspection_read(inspection, inspection->size - VPC_FOOTER_LEN, end, sizeof(end)) ||
        !cst_inspection_read(inspection, 0, front, sizeof(front)))
        return FALSE;
    header->has_end = footer_holds(end);
    header->has_front = footer_holds(front) && cst_be32(front + AT_KIND) != VPC_FIXED;
    header->differ = memcmp(front, end, sizeof(end)) != 0;
    if (!is_footer(end) && !is_footer(front)) {
        cst_inspection_problem(inspection, _("this is no VHD image: it has no footer"));
        return FALSE;
    }
    if (!header->has_end && !header->has_front)
        cst_inspection_problem(inspection, _("the checksum of the VHD image's footer is wrong"));
    memcpy(header->footer, header->has_end || (is_footer(end) && !header->has_front) ? end : front,
           sizeof(header->footer));
    return TRUE;
}

static void check_fixed(CstInspection *inspection, const VpcHeader *header)
{
    cst_inspection_set(&inspection->info->subformat, "fixed");
    if (!header->has_end)
        cst_inspection_problem(inspection, _("the fixed VHD image has no sound footer at its end"));
    else if (header->capacity > inspection->size - VPC_FOOTER_LEN)
        cst_inspection_problem(inspection, _("the fixed VHD image is cut off"));
}

gboolean vpc_header_read(CstInspection *inspection, VpcHeader *ret_header)
{
    CstImageInfo *info = inspection->info;
    VpcHeader header = {0};

    if (!find_footer(inspection, &header))
        return FALSE;
    header.kind = cst_be32(header.footer + AT_KIND);
    info->capacity = header.capacity = guest_size(header.footer) / VPC_SECTOR * VPC_SECTOR;
    if (info->capacity > VPC_MAX_CAPACITY)
        cst_inspection_problem(inspection, _("the VHD image has a bad size"));
    if (header.kind == VPC_FIXED) {
        check_fixed(inspection, &header);
    } else if (header.kind == VPC_DYNAMIC || header.kind == VPC_DIFFERENCING) {
        cst_inspection_set(&info->subformat,
                           header.kind == VPC_DYNAMIC ? "dynamic" : "differencing");
        info->dirty = !header.has_end;
        if (!read_dynamic(inspection, &header))
            return FALSE;
    } else {
        cst_inspection_problem(inspection, _("the VHD image has a bad type"));
    }
    *ret_header = header;
    return TRUE;
}

/* --- writing --------------------------------------------------------------------------------- */

void vpc_footer_init(VpcHeader *header, const char *creator)
{
    uint8_t *raw = header->footer;
    CstUuid uuid;

    memset(raw, 0, VPC_FOOTER_LEN);
    memcpy(raw, "conectix", 8);
    cst_put_be32(raw + AT_FEATURES, 2); /* reserved, always set */
    cst_put_be32(raw + AT_VERSION, FORMAT_VERSION);
    cst_put_be64(raw + AT_HEADER, header->kind == VPC_FIXED ? UINT64_MAX : header->header_offset);
    cst_put_be32(raw + AT_TIME, (uint32_t)(g_get_real_time() / G_USEC_PER_SEC - EPOCH));
    memcpy(raw + AT_CREATOR, creator, 4);
    cst_put_be32(raw + AT_CREATOR_VERSION, 0x00010000);
    memcpy(raw + AT_CREATOR_OS, "Wi2k", 4); /* Windows; the alternative is Macintosh */
    cst_put_be32(raw + AT_KIND, header->kind);
    cst_uuid_generate(&uuid);
    memcpy(raw + AT_UUID, uuid.bytes, sizeof(uuid.bytes));
}

const uint8_t *vpc_footer_uuid(const VpcHeader *header)
{
    return header->footer + AT_UUID;
}

void vpc_footer_set_size(VpcHeader *header, uint64_t capacity, gboolean exact)
{
    VpcGeometry geometry = {65535, 16, 255};
    uint8_t *raw = header->footer;

    if (exact)
        memcpy(raw + AT_CREATOR, "qem2", 4);
    else
        geometry = vpc_geometry_for(capacity / VPC_SECTOR);
    header->capacity = capacity;
    if (cst_be64(raw + AT_ORIGINAL_SIZE) == 0)
        cst_put_be64(raw + AT_ORIGINAL_SIZE, capacity);
    cst_put_be64(raw + AT_SIZE, capacity);
    cst_put_be16(raw + AT_GEOMETRY, geometry.cylinders);
    raw[AT_GEOMETRY + 2] = geometry.heads;
    raw[AT_GEOMETRY + 3] = geometry.sectors;
    cst_put_be32(raw + AT_CHECKSUM, checksum_of(raw, VPC_FOOTER_LEN, AT_CHECKSUM));
}

void vpc_footer_set_header(VpcHeader *header, VpcKind kind, uint64_t offset)
{
    uint8_t *raw = header->footer;

    header->kind = kind;
    header->header_offset = offset;
    cst_put_be64(raw + AT_HEADER, offset);
    cst_put_be32(raw + AT_KIND, kind);
    cst_put_be32(raw + AT_CHECKSUM, checksum_of(raw, VPC_FOOTER_LEN, AT_CHECKSUM));
}

void vpc_header_update(VpcHeader *header)
{
    uint8_t *raw = header->raw;

    memcpy(raw, "cxsparse", 8);
    cst_put_be64(raw + AT_NEXT, UINT64_MAX);
    cst_put_be64(raw + AT_TABLE, header->table_offset);
    cst_put_be32(raw + AT_HEADER_VERSION, FORMAT_VERSION);
    cst_put_be32(raw + AT_ENTRIES, header->entries);
    cst_put_be32(raw + AT_BLOCK_SIZE, header->block_size);
    cst_put_be32(raw + AT_HEADER_CHECKSUM, checksum_of(raw, VPC_HEADER_LEN, AT_HEADER_CHECKSUM));
}
