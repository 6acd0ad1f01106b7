/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Decodes the metadata region: its table, the known items, and the parent locator. An unknown item
 * that is marked required makes the image unsupported; other unknown items are skipped.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/i18n.h>
#include <base/uuid.h>

#include "bytes.h"
#include "header.h"

#define MAX_ITEMS   2047
#define MAX_PATH    4096
#define LOCATOR_LEN 20 /* of its header */

const uint8_t vhdx_guid_file_parameters[16] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                               0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
const uint8_t vhdx_guid_disk_size[16] = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                         0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
const uint8_t vhdx_guid_disk_id[16] = {0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
                                       0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46};
const uint8_t vhdx_guid_logical_sector[16] = {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                              0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};
const uint8_t vhdx_guid_physical_sector[16] = {0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
                                               0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56};
const uint8_t vhdx_guid_parent[16] = {0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                                      0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c};
const uint8_t vhdx_guid_locator[16] = {0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a,
                                       0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13};

typedef enum {
    ITEM_FILE = 1,
    ITEM_SIZE = 2,
    ITEM_SECTOR = 4,
    ITEM_PARENT = 8,
    ITEM_OTHER = 16
} Item;

/* --- the parent ------------------------------------------------------------------------------ */

const char *const vhdx_path_keys[VHDX_PATHS] = {"relative_path", "absolute_win32_path",
                                                "volume_path"};

char *vhdx_locator_value(const uint8_t *raw, size_t len, const char *wanted)
{
    uint16_t count = cst_le16(raw + 18);

    for (size_t i = 0; i < count && LOCATOR_LEN + (i + 1) * 12 <= len; i++) {
        const uint8_t *entry = raw + LOCATOR_LEN + i * 12;
        uint32_t key = cst_le32(entry), value = cst_le32(entry + 4);
        uint16_t key_len = cst_le16(entry + 8), value_len = cst_le16(entry + 10);
        g_autofree char *name = NULL;

        if (key > len || key_len > len - key || value > len || value_len > len - value ||
            value_len > MAX_PATH)
            return NULL;
        if (key_len > 2 * 64)
            continue;
        name = cst_inspection_utf16(raw + key, key_len, FALSE);
        if (strcmp(name, wanted) == 0)
            return cst_inspection_utf16(raw + value, value_len, FALSE);
    }
    return NULL;
}

/* The first three parts of a GUID are numbers, which are stored in little endian. */
static CstUuid guid_swapped(const CstUuid *guid)
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    CstUuid out;

    for (size_t i = 0; i < 16; i++)
        out.bytes[i] = guid->bytes[order[i]];
    return out;
}

char *vhdx_guid_text(const CstUuid *guid)
{
    const CstUuid text_order = guid_swapped(guid);
    char text[CST_UUID_TEXT_LEN];

    return g_strdup_printf("{%s}", cst_uuid_format(&text_order, text));
}

static CstUuid guid_of_text(const char *text)
{
    size_t len = text ? strlen(text) : 0;
    CstUuid guid = {0};

    if (len > 2 && text[0] == '{' && text[len - 1] == '}') {
        g_autofree char *inner = g_strndup(text + 1, len - 2);

        if (cst_uuid_parse(inner, &guid))
            return guid_swapped(&guid);
    }
    return (CstUuid){0};
}

static void read_parent(CstInspection *inspection, VhdxLayout *layout, uint64_t offset,
                        uint32_t len)
{
    g_autofree uint8_t *raw = NULL;
    g_autofree char *linkage = NULL, *linkage2 = NULL;

    if (len < LOCATOR_LEN || len > VHDX_MAX_LOCATOR) {
        cst_inspection_problem(inspection, _("the VHDX parent locator has a bad size"));
        return;
    }
    raw = cst_alloc(len, 1, inspection->blob->name, &inspection->error);
    if (!raw || !cst_inspection_read(inspection, offset, raw, len))
        return;
    for (size_t i = 0; i < VHDX_PATHS && !inspection->info->backing; i++)
        inspection->info->backing = vhdx_locator_value(raw, len, vhdx_path_keys[i]);
    linkage = vhdx_locator_value(raw, len, "parent_linkage");
    linkage2 = vhdx_locator_value(raw, len, "parent_linkage2");
    layout->linkage = guid_of_text(linkage);
    layout->linkage2 = guid_of_text(linkage2);
    layout->parent = (VhdxRange){offset, len};
}

/* --- the items ------------------------------------------------------------------------------- */

static Item item_of(const uint8_t *guid)
{
    static const struct {
        const uint8_t *guid;
        Item item;
    } known[] = {
        {vhdx_guid_file_parameters, ITEM_FILE},  {vhdx_guid_disk_size, ITEM_SIZE},
        {vhdx_guid_logical_sector, ITEM_SECTOR}, {vhdx_guid_parent, ITEM_PARENT},
        {vhdx_guid_disk_id, ITEM_OTHER},         {vhdx_guid_physical_sector, ITEM_OTHER},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (memcmp(guid, known[i].guid, 16) == 0)
            return known[i].item;
    return 0;
}

static void read_value(CstInspection *inspection, VhdxLayout *layout, Item item, uint64_t offset,
                       uint32_t len)
{
    uint8_t raw[8] = {0};

    if (item == ITEM_PARENT) {
        read_parent(inspection, layout, offset, len);
        return;
    }
    if (len != (item == ITEM_SECTOR ? 4 : 8)) {
        cst_inspection_problem(inspection, _("a VHDX metadata item has a bad size"));
        return;
    }
    if (!cst_inspection_read(inspection, offset, raw, len))
        return;
    if (item == ITEM_FILE) {
        layout->block_size = cst_le32(raw);
        layout->flags = cst_le32(raw + 4);
        layout->flags_at = offset + 4;
    } else if (item == ITEM_SIZE) {
        layout->capacity = cst_le64(raw);
        layout->capacity_at = offset;
        /* Checked here, because the size of an image of unknown kind is reported as well. */
        if (layout->capacity > VHDX_MAX_CAPACITY)
            cst_inspection_problem(inspection, _("the VHDX image has a bad size"));
    } else {
        layout->sector_size = cst_le32(raw);
    }
}

static gboolean read_item(CstInspection *inspection, VhdxLayout *layout, const uint8_t *entry)
{
    uint32_t offset = cst_le32(entry + 16), len = cst_le32(entry + 20);
    Item item = item_of(entry);

    if (len > 0 && (offset < VHDX_METADATA_LEN || offset > layout->metadata_length ||
                    len > layout->metadata_length - offset)) {
        cst_inspection_problem(inspection, _("a VHDX metadata item lies outside its region"));
        return FALSE;
    }
    if (item == 0) {
        if (cst_le32(entry + 24) & 4)
            cst_inspection_unsupported(inspection,
                                       _("the VHDX image requires an unknown metadata item"));
        return TRUE;
    }
    if (item == ITEM_OTHER)
        return TRUE;
    if (layout->items & item) {
        cst_inspection_problem(inspection, _("the VHDX metadata table names an item twice"));
        return FALSE;
    }
    layout->items |= item;
    read_value(inspection, layout, item, layout->metadata_offset + offset, len);
    return TRUE;
}

void vhdx_metadata_read(CstInspection *inspection, VhdxLayout *layout)
{
    g_autofree uint8_t *raw = g_malloc(VHDX_METADATA_LEN);
    const unsigned needed = ITEM_FILE | ITEM_SIZE | ITEM_SECTOR;
    uint16_t count;

    if (!cst_inspection_read(inspection, layout->metadata_offset, raw, VHDX_METADATA_LEN))
        return;
    count = cst_le16(raw + 10);
    if (memcmp(raw, "metadata", 8) != 0 || count > MAX_ITEMS) {
        cst_inspection_problem(inspection, _("the VHDX metadata table is damaged"));
        return;
    }
    layout->entries = count;
    for (uint16_t i = 0; i < count; i++) {
        const uint8_t *entry = raw + 32 + (size_t)i * 32;

        if (item_of(entry) == ITEM_PARENT)
            layout->parent_entry = layout->metadata_offset + 32 + (uint64_t)i * 32;
        if (!read_item(inspection, layout, entry))
            return;
    }
    if (!inspection->info->problem && (layout->items & needed) != needed)
        cst_inspection_problem(inspection, _("the VHDX metadata table lacks an item"));
}
