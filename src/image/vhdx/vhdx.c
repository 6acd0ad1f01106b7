/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "crc32c.h"
#include "format.h"

/*
 * Virtual Hard Disk v2 ([MS-VHDX] 2.2 "Header Section", 2.6 "Metadata Region"). Two headers of
 * which the valid one with the larger sequence number counts, two equal region tables, and a
 * metadata region that holds the size, the block size and where the parent is.
 */
#define VHDX_HEADER_LEN   4096
#define VHDX_REGION_LEN   (64 * CST_KIB)
#define VHDX_METADATA_LEN (64 * CST_KIB) /* of its table; items lie behind */
#define VHDX_MAX_REGIONS  2047
#define VHDX_MAX_ITEMS    2047
#define VHDX_MAX_LOCATOR  (64 * CST_KIB)
#define VHDX_MAX_CAPACITY (64 * CST_TIB)
#define VHDX_PARENT_LEN   20
#define VHDX_FLAG_FIXED   1u
#define VHDX_FLAG_PARENT  2u
#define VHDX_MAX_PATH     4096

/* GUIDs as they lie on disk */
static const uint8_t guid_bat[16] = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                     0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
static const uint8_t guid_metadata[16] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                          0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
static const uint8_t guid_file_parameters[16] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                                 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
static const uint8_t guid_disk_size[16] = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                           0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
static const uint8_t guid_logical_sector[16] = {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                                0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};
static const uint8_t guid_parent[16] = {0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                                        0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c};

typedef struct {
    uint64_t bat_offset;
    uint64_t metadata_offset;
    uint32_t metadata_length;
    uint32_t block_size;
    uint32_t flags;
    uint64_t capacity;
    uint32_t sector_size;
} Vhdx;

static int vhdx_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= 8 && memcmp(head, "vhdxfile", 8) == 0 ? 100 : 0;
}

/* The checksum at byte 4 is taken with itself as zero. */
static gboolean checksum_holds(const uint8_t *raw, size_t len)
{
    static const uint8_t zero[4];
    uint32_t crc = cst_crc32c(0, raw, 4);

    crc = cst_crc32c(crc, zero, sizeof(zero));
    crc = cst_crc32c(crc, raw + 8, len - 8);
    return crc == cst_le32(raw + 4);
}

static gboolean read_checked(CstImageLook *look, uint64_t offset, const char *signature,
                             uint8_t *buf, size_t len)
{
    return offset <= look->size && len <= look->size - offset &&
           cst_look_read(look, offset, buf, len) && memcmp(buf, signature, 4) == 0 &&
           checksum_holds(buf, len);
}

static void inspect_headers(CstImageLook *look)
{
    static const uint8_t nil[16];
    uint8_t raw[VHDX_HEADER_LEN];
    uint64_t best = 0;
    gboolean found = FALSE;

    for (unsigned i = 1; i <= 2; i++) {
        if (!read_checked(look, i * 64 * CST_KIB, "head", raw, sizeof(raw)))
            continue;
        if (found && cst_le64(raw + 8) <= best)
            continue;
        found = TRUE;
        best = cst_le64(raw + 8);
        look->info->dirty = memcmp(raw + 48, nil, 16) != 0; /* a log waits to be replayed */
        if (cst_le16(raw + 66) != 1)
            cst_look_unsupported(look, _("the VHDX image has an unknown version"));
    }
    if (!found)
        cst_look_problem(look, _("the VHDX image has no valid header"));
}

static gboolean find_regions(CstImageLook *look, Vhdx *vhdx)
{
    g_autofree uint8_t *raw = g_malloc(VHDX_REGION_LEN);
    uint32_t count;

    if (!read_checked(look, 192 * CST_KIB, "regi", raw, VHDX_REGION_LEN) &&
        (look->error || !read_checked(look, 256 * CST_KIB, "regi", raw, VHDX_REGION_LEN))) {
        cst_look_problem(look, _("the VHDX image has no valid region table"));
        return FALSE;
    }
    count = cst_le32(raw + 8);
    if (count > VHDX_MAX_REGIONS) {
        cst_look_problem(look, _("the VHDX region table is too large"));
        return FALSE;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = raw + 16 + i * 32;

        if (memcmp(entry, guid_bat, 16) == 0) {
            vhdx->bat_offset = cst_le64(entry + 16);
        } else if (memcmp(entry, guid_metadata, 16) == 0) {
            vhdx->metadata_offset = cst_le64(entry + 16);
            vhdx->metadata_length = cst_le32(entry + 24);
        } else if (cst_le32(entry + 28) & 1) {
            cst_look_unsupported(look, _("the VHDX image requires an unknown region"));
        }
    }
    if (vhdx->metadata_offset < CST_MIB || vhdx->bat_offset < CST_MIB ||
        vhdx->metadata_length < VHDX_METADATA_LEN)
        cst_look_problem(look, _("the VHDX region table lacks a region"));
    return vhdx->metadata_offset >= CST_MIB && vhdx->metadata_length >= VHDX_METADATA_LEN;
}

static char *locator_value(const uint8_t *raw, size_t len, const char *wanted)
{
    uint16_t count = cst_le16(raw + 18);

    for (size_t i = 0; i < count && VHDX_PARENT_LEN + (i + 1) * 12 <= len; i++) {
        const uint8_t *entry = raw + VHDX_PARENT_LEN + i * 12;
        uint32_t key = cst_le32(entry), value = cst_le32(entry + 4);
        uint16_t key_len = cst_le16(entry + 8), value_len = cst_le16(entry + 10);
        g_autofree char *name = NULL;

        if (key > len || key_len > len - key || value > len || value_len > len - value ||
            value_len > VHDX_MAX_PATH)
            return NULL;
        if (key_len > 2 * 64)
            continue;
        name = cst_look_utf16(raw + key, key_len, FALSE);
        if (strcmp(name, wanted) == 0)
            return cst_look_utf16(raw + value, value_len, FALSE);
    }
    return NULL;
}

static void read_parent(CstImageLook *look, uint64_t offset, uint32_t len)
{
    static const char *const keys[] = {"relative_path", "absolute_win32_path", "volume_path"};
    g_autofree uint8_t *raw = NULL;

    if (len < VHDX_PARENT_LEN || len > VHDX_MAX_LOCATOR) {
        cst_look_problem(look, _("the VHDX parent locator has a bad size"));
        return;
    }
    raw = g_malloc(len);
    if (!cst_look_read(look, offset, raw, len))
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(keys) && !look->info->backing; i++)
        look->info->backing = locator_value(raw, len, keys[i]);
}

/* @len: as the table says; items are read only at their fixed lengths. */
static void read_item(CstImageLook *look, Vhdx *vhdx, const uint8_t *guid, uint64_t offset,
                      uint32_t len)
{
    uint8_t raw[8] = {0};

    if (memcmp(guid, guid_parent, 16) == 0) {
        read_parent(look, offset, len);
    } else if (memcmp(guid, guid_file_parameters, 16) == 0) {
        if (cst_look_read(look, offset, raw, 8)) {
            vhdx->block_size = cst_le32(raw);
            vhdx->flags = cst_le32(raw + 4);
        }
    } else if (memcmp(guid, guid_disk_size, 16) == 0) {
        if (cst_look_read(look, offset, raw, 8))
            vhdx->capacity = cst_le64(raw);
    } else if (memcmp(guid, guid_logical_sector, 16) == 0) {
        if (cst_look_read(look, offset, raw, 4))
            vhdx->sector_size = cst_le32(raw);
    }
}

static void read_metadata(CstImageLook *look, Vhdx *vhdx)
{
    g_autofree uint8_t *raw = g_malloc(VHDX_METADATA_LEN);
    uint16_t count;

    if (!cst_look_read(look, vhdx->metadata_offset, raw, VHDX_METADATA_LEN))
        return;
    count = cst_le16(raw + 10);
    if (memcmp(raw, "metadata", 8) != 0 || count > VHDX_MAX_ITEMS) {
        cst_look_problem(look, _("the VHDX metadata table is damaged"));
        return;
    }
    for (uint16_t i = 0; i < count; i++) {
        const uint8_t *entry = raw + 32 + i * 32;
        uint32_t offset = cst_le32(entry + 16), len = cst_le32(entry + 20);

        if (offset > vhdx->metadata_length || len > vhdx->metadata_length - offset) {
            cst_look_problem(look, _("a VHDX metadata item lies outside its region"));
            return;
        }
        read_item(look, vhdx, entry, vhdx->metadata_offset + offset, len);
    }
}

static void check(CstImageLook *look, const Vhdx *vhdx)
{
    if (vhdx->block_size < CST_MIB || vhdx->block_size > 256 * CST_MIB ||
        (vhdx->block_size & (vhdx->block_size - 1)) != 0)
        cst_look_problem(look, _("the VHDX image has a bad block size"));
    else if (vhdx->sector_size != 512 && vhdx->sector_size != 4096)
        cst_look_problem(look, _("the VHDX image has a bad sector size"));
    else if (vhdx->capacity > VHDX_MAX_CAPACITY || vhdx->capacity % vhdx->sector_size != 0)
        cst_look_problem(look, _("the VHDX image has a bad size"));
    else if ((vhdx->flags & VHDX_FLAG_PARENT) && !look->info->backing)
        cst_look_problem(look, _("the differencing VHDX image does not name its parent"));
}

static void vhdx_inspect(CstImageLook *look)
{
    CstImageInfo *info = look->info;
    Vhdx vhdx = {0};

    if (!vhdx_probe(look->head, look->head_len, look->size)) {
        cst_look_problem(look, _("this is no VHDX image"));
        return;
    }
    inspect_headers(look);
    if (look->error || !find_regions(look, &vhdx))
        return;
    read_metadata(look, &vhdx);
    info->capacity = vhdx.capacity;
    info->cluster_size = vhdx.block_size;
    cst_look_set(&info->subformat, vhdx.flags & VHDX_FLAG_PARENT  ? "differencing"
                                   : vhdx.flags & VHDX_FLAG_FIXED ? "fixed"
                                                                  : "dynamic");
    if (!(vhdx.flags & VHDX_FLAG_PARENT))
        g_clear_pointer(&info->backing, g_free);
    else
        cst_look_set(&info->backing_format, "vhdx");
    check(look, &vhdx);
}

const CstImageFormat cst_format_vhdx = {
    .name = "vhdx",
    .probe = vhdx_probe,
    .inspect = vhdx_inspect,
};
