/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Encodes a parent locator ([MS-VHDX] 2.6.2.6): a header, one entry for each key-value pair, then
 * the text of keys and values in UTF-16, little endian. metadata.c decodes locators.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"
#include "header.h"

#define HEAD_LEN  20
#define ENTRY_LEN 12
#define MAX_VALUE 2000 /* UTF-16 units */
#define ROOM      (HEAD_LEN + (2 + VHDX_PATHS) * (ENTRY_LEN + 2 * (64 + MAX_VALUE)))

typedef struct {
    uint8_t *raw;
    uint32_t used; /* end of the text */
    uint16_t count;
} Locator;

void vhdx_parent_name(VhdxParent *parent, const char *name)
{
    gboolean absolute = name[0] == '/' || (g_ascii_isalpha(name[0]) && name[1] == ':');

    parent->paths[absolute ? 1 : 0] = name;
}

static uint32_t put_text(Locator *locator, const gunichar2 *text, glong count)
{
    uint32_t at = locator->used;

    for (glong i = 0; i < count; i++)
        cst_put_le16(locator->raw + at + i * 2, text[i]);
    locator->used += (uint32_t)count * 2;
    return at;
}

static gboolean add_pair(Locator *locator, const char *key, const char *value, GError **error)
{
    glong key_len = 0, value_len = 0;
    g_autofree gunichar2 *key16 = g_utf8_to_utf16(key, -1, NULL, &key_len, NULL);
    g_autofree gunichar2 *value16 = g_utf8_to_utf16(value, -1, NULL, &value_len, NULL);
    uint8_t *entry = locator->raw + HEAD_LEN + (size_t)locator->count * ENTRY_LEN;

    if (!value16 || value_len > MAX_VALUE || value_len == 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the name of the backing image can't be stored in a VHDX image"));
    cst_put_le32(entry, put_text(locator, key16, key_len));
    cst_put_le32(entry + 4, put_text(locator, value16, value_len));
    cst_put_le16(entry + 8, (uint16_t)(key_len * 2));
    cst_put_le16(entry + 10, (uint16_t)(value_len * 2));
    locator->count++;
    return TRUE;
}

static gboolean add_guid(Locator *locator, const char *key, const CstUuid *guid, GError **error)
{
    g_autofree char *text = vhdx_guid_text(guid);

    return add_pair(locator, key, text, error);
}

uint8_t *vhdx_locator_encode(const VhdxParent *parent, uint32_t *ret_len, GError **error)
{
    gboolean two = !cst_uuid_is_zero(&parent->linkage2);
    unsigned pairs = two ? 2 : 1;
    g_autofree uint8_t *raw = g_malloc0(ROOM);
    Locator locator = {.raw = raw};

    for (size_t i = 0; i < VHDX_PATHS; i++)
        pairs += parent->paths[i] != NULL;
    locator.used = HEAD_LEN + pairs * ENTRY_LEN;
    memcpy(raw, vhdx_guid_locator, 16);
    if (!add_guid(&locator, "parent_linkage", &parent->linkage, error) ||
        (two && !add_guid(&locator, "parent_linkage2", &parent->linkage2, error)))
        return NULL;
    for (size_t i = 0; i < VHDX_PATHS; i++)
        if (parent->paths[i] && !add_pair(&locator, vhdx_path_keys[i], parent->paths[i], error))
            return NULL;
    cst_put_le16(raw + 18, locator.count);
    *ret_len = locator.used;
    return g_steal_pointer(&raw);
}
