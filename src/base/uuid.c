/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UUIDs. libuuid generates and formats them. The parser accepts the same forms as libvirt. */
#include <base/uuid.h>

#include <string.h>
#include <uuid/uuid.h>

void cst_uuid_generate(CstUuid *ret_uuid)
{
    uuid_generate_random(ret_uuid->bytes);
}

/* Not uuid_parse(), which accepts the canonical form only. */
gboolean cst_uuid_parse(const char *text, CstUuid *ret_uuid)
{
    CstUuid uuid;
    const char *p = text;

    while (g_ascii_isspace(*p))
        p++;
    for (size_t i = 0; i < CST_UUID_LEN; i++) {
        int high, low;

        while (*p == '-')
            p++;
        high = g_ascii_xdigit_value(p[0]);
        low = high < 0 ? -1 : g_ascii_xdigit_value(p[1]);
        if (low < 0)
            return FALSE;
        uuid.bytes[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    while (g_ascii_isspace(*p))
        p++;
    if (*p)
        return FALSE;
    *ret_uuid = uuid;
    return TRUE;
}

const char *cst_uuid_format(const CstUuid *uuid, char ret_text[CST_UUID_TEXT_LEN])
{
    uuid_unparse_lower(uuid->bytes, ret_text);
    return ret_text;
}

gboolean cst_uuid_equal(const CstUuid *a, const CstUuid *b)
{
    return memcmp(a->bytes, b->bytes, CST_UUID_LEN) == 0;
}

gboolean cst_uuid_is_zero(const CstUuid *uuid)
{
    return uuid_is_null(uuid->bytes);
}

guint cst_uuid_hash(gconstpointer uuid)
{
    guint hash;

    /* UUIDs are random, so the first bytes are a good hash. */
    memcpy(&hash, uuid, sizeof(hash));
    return hash;
}

gboolean cst_uuid_hash_equal(gconstpointer a, gconstpointer b)
{
    return cst_uuid_equal(a, b);
}
